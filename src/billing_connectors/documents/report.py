"""What an import answers about each document: the line of `relance import documents --json`."""

from collections.abc import Iterable
from datetime import date
from typing import Literal

from msgspec import Struct

from billing_connectors.documents.canonical import Document, DueOnSource, Kind, LegalId, Refusal

Movement = Literal["receipt", "return"]  # of money, in the books of a year
Status = Literal["imported", "updated", "unchanged", "rejected", "quarantined"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one document or CSV row; what was not read is null."""

    file: str
    status: Status
    reason: str | None
    kind: Kind | Movement | None
    number: str | None
    issued_on: date | None
    due_on: date | None
    due_on_source: DueOnSource | None
    due_on_computed: date | None  # from terms: `due_on` is only what a field of the document states
    currency: str | None
    total_minor: int | None
    amount_due_minor: int | None
    seller_ids: list[LegalId] | None
    buyer_name: str | None
    warnings: list[str] | None


def refused(file: str, refusal: Refusal) -> Verdict:
    """The verdict on a file that could not be read."""
    return Verdict(
        file=file,
        status="rejected",
        reason=refusal.reason,
        kind=None,
        number=None,
        issued_on=None,
        due_on=None,
        due_on_source=None,
        due_on_computed=None,
        currency=None,
        total_minor=None,
        amount_due_minor=None,
        seller_ids=None,
        buyer_name=None,
        warnings=None,
    )


def judged(
    file: str, document: Document, status: Status, *, reason: str | None = None, warnings: Iterable[str] = ()
) -> Verdict:
    """The verdict on a document that was read, with what importing it had to say on top."""
    return Verdict(
        file=file,
        status=status,
        reason=reason,
        kind=document.kind,
        number=document.number,
        issued_on=document.issued_on,
        due_on=document.due_on,
        due_on_source=document.due_on_source,
        due_on_computed=document.due_on_computed,
        currency=document.currency,
        total_minor=document.total_minor,
        amount_due_minor=document.amount_due_minor,
        seller_ids=list(document.seller.legal_ids),
        buyer_name=document.buyer.name,
        warnings=list(dict.fromkeys([*document.warnings, *warnings])),
    )
