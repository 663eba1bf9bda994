"""Conflicts as the world sees them, in answers and in events."""

from datetime import date, datetime

from msgspec import Struct

from billing_connectors.models import ConflictRow, ConflictState
from kernel import ids
from receivables.views import encoded


class ConflictView(Struct, frozen=True, kw_only=True):
    """A document that contradicts what is known under its number, or whose buyer may be one of several debtors."""

    id: str
    version: int
    state: ConflictState
    reason: str  # the reason of the quarantine
    kind: str  # invoice or credit_note
    creditor_id: str
    debtor_id: str | None
    invoice_id: str | None  # the known document
    credit_note_id: str | None
    number: str
    source: str
    document_id: str  # the incoming one
    resolution: str | None
    resolved_at: datetime | None
    known_at: datetime

    @classmethod
    def of(cls, row: ConflictRow) -> "ConflictView":
        """Show a conflict."""
        return cls(
            id=ids.encode("cfl", row.id),
            version=row.version,
            state=row.state,
            reason=row.reason,
            kind=row.kind,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=encoded("dbt", row.debtor_id),
            invoice_id=encoded("inv", row.object_id) if row.kind == "invoice" else None,
            credit_note_id=encoded("crn", row.object_id) if row.kind == "credit_note" else None,
            number=row.number,
            source=row.source,
            document_id=ids.encode("doc", row.document_id),
            resolution=row.resolution,
            resolved_at=row.resolved_at,
            known_at=row.known_at,
        )


class ConflictSide(Struct, frozen=True, kw_only=True):
    """Where one side of a conflict comes from."""

    source: str
    document_id: str | None  # null: no document, a program or a person has said it
    line: int | None  # of an export
    stated_on: date | None  # the day of issue that it bears
    known_at: datetime | None  # when we learned of it


class ConflictField(Struct, frozen=True, kw_only=True):
    """One fact as both sides have it; amounts are minor units, as text like the rest."""

    name: str
    known: str | None
    incoming: str | None
    differs: bool


class ConflictDetail(Struct, frozen=True, kw_only=True):
    """A conflict with both sides as they were when it was found, field by field.

    The sides are null once the debtor has been erased.
    """

    conflict: ConflictView
    known: ConflictSide | None
    incoming: ConflictSide | None
    fields: tuple[ConflictField, ...]
    candidates: tuple[str, ...]  # debtors, one of whom the buyer may be
