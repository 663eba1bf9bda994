"""Put what a source has read: new documents are opened, known ones corrected, what says nothing new changes nothing.

An invoice is known by its external_id or by (creditor, number, issue year); the same holds for a credit note.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec import UNSET, Struct
from sqlalchemy import text

from kernel.errors import AppError
from receivables import access
from receivables.changes import named
from receivables.corrections import correct_loaded, draft_from
from receivables.credit_notes import create_credit_notes, update_credit_note
from receivables.drafts import CreditNoteChange, InvoiceChange, NewCreditNote, NewInvoice
from receivables.errors import AmountBelowAllocated, CreditNoteNotOpen, DocumentConflict
from receivables.invoices import open_invoices
from receivables.locks import lock_debtors
from receivables.merges import roots_of
from receivables.outcomes import Outcome
from receivables.posting import Posting
from receivables.rules import checked_credit_note, checked_invoice, merged
from receivables.views import CreditNoteView, InvoiceView
from storage.session import TenantSession, tenant_of

D = TypeVar("D", NewInvoice, NewCreditNote)


class Known(Struct, frozen=True):
    """Which documents a batch already finds: by its external_id, by its number."""

    by_external_id: UUID | None
    by_number: UUID | None

    def one(self) -> UUID | None:
        """The one document that is meant. Raises DocumentConflict where the two names lead to two."""
        found = {each for each in (self.by_external_id, self.by_number) if each is not None}
        if len(found) > 1:
            raise DocumentConflict
        return next(iter(found), None)


async def put_invoice(session: TenantSession, new: NewInvoice, now: datetime) -> Outcome[InvoiceView]:
    """Open one invoice or correct the one that is known. Raises what opening and correcting raise."""
    outcome = (await put_invoices(session, [new], now))[0]
    outcome.get()
    return outcome


async def put_invoices(session: TenantSession, news: Sequence[NewInvoice], now: datetime) -> list[Outcome[InvoiceView]]:
    """Open or correct many invoices in few statements; each has its own outcome, in order.

    Raises ExternalIdTaken when a correction gives an invoice the external_id of another.
    """
    outcomes: dict[int, Outcome[InvoiceView]] = {}
    waiting = _checked(news, checked_invoice, outcomes)
    while waiting:  # bounded: each round puts the first of those that share a name
        fresh, seen, waiting = await _round(session, "invoice", waiting, outcomes)
        opened = await open_invoices(session, list(fresh.values()), now)
        outcomes |= dict(zip(fresh, opened, strict=True))
        outcomes |= await _correct(session, seen, now)
    return [outcomes[place] for place in range(len(news))]


async def put_credit_notes(
    session: TenantSession, news: Sequence[NewCreditNote], now: datetime
) -> list[Outcome[CreditNoteView]]:
    """Record or correct many credit notes; each has its own outcome, in order. A known one is not allocated again."""
    outcomes: dict[int, Outcome[CreditNoteView]] = {}
    waiting = _checked(news, checked_credit_note, outcomes)
    while waiting:  # bounded: as above
        fresh, seen, waiting = await _round(session, "credit_note", waiting, outcomes)
        created = await create_credit_notes(session, list(fresh.values()), now)
        outcomes |= dict(zip(fresh, created, strict=True))
        for place, (note_id, new) in seen.items():
            outcomes[place] = await _correct_note(session, note_id, new, now)
    return [outcomes[place] for place in range(len(news))]


def _checked(news: Sequence[D], check: Any, outcomes: dict[int, Outcome[Any]]) -> dict[int, D]:  # Any: per kind
    found: dict[int, D] = {}
    for place, new in enumerate(news):
        try:
            found[place] = check(new)
        except AppError as error:
            outcomes[place] = Outcome("refused", error=error)
    return found


async def _round(
    session: TenantSession,
    table: str,
    waiting: dict[int, D],
    outcomes: dict[int, Outcome[Any]],  # Any: views of both kinds
) -> tuple[dict[int, D], dict[int, tuple[UUID, D]], dict[int, D]]:
    """Of what waits: the new documents, those that are known, and those that share a name with one before them."""
    first: dict[int, D] = {}
    later: dict[int, D] = {}
    names: set[object] = set()
    for place, new in waiting.items():
        own = {(new.creditor_id, new.number, new.issued_on.year), new.external_id} - {None}
        (later if own & names else first)[place] = new
        names |= own
    known = await _known(session, table, first)
    fresh: dict[int, D] = {}
    seen: dict[int, tuple[UUID, D]] = {}
    taken: set[UUID] = set()
    for place, new in first.items():
        try:
            found = known[place].one()
        except DocumentConflict as conflict:
            outcomes[place] = Outcome("refused", error=conflict)
            continue
        if found is None:
            fresh[place] = new
        elif found in taken:
            later[place] = new
        else:
            taken.add(found)
            seen[place] = found, new
    return fresh, seen, later


async def _correct(
    session: TenantSession, seen: dict[int, tuple[UUID, NewInvoice]], now: datetime
) -> dict[int, Outcome[InvoiceView]]:
    """Correct known invoices: look first, and lock and look again only where something differs."""
    if not seen:
        return {}
    looked = Posting(session, now, changes=False)
    await looked.load(invoice_ids=[invoice_id for invoice_id, _ in seen.values()])
    roots = await _roots(session, looked, seen)
    outcomes: dict[int, Outcome[InvoiceView]] = {}
    differing: dict[int, tuple[UUID, NewInvoice]] = {}
    for place, (invoice_id, new) in seen.items():
        if _conflicts(looked, invoice_id, new, roots):
            outcomes[place] = Outcome("refused", error=DocumentConflict())
        elif named(_change(looked, invoice_id, new)):
            differing[place] = invoice_id, new
        else:
            outcomes[place] = Outcome("unchanged", looked.view(invoice_id))
    if differing:
        wanted = [invoice_id for invoice_id, _ in differing.values()]
        await lock_debtors(session, {looked.invoices[invoice_id].debtor_id for invoice_id in wanted})
        posting = Posting(session, now)
        await posting.load(invoice_ids=wanted)
        changes = {invoice_id: _change(posting, invoice_id, new) for invoice_id, new in differing.values()}
        corrected = await correct_loaded(posting, changes)
        outcomes |= {place: corrected[invoice_id] for place, (invoice_id, _) in differing.items()}
    return outcomes


def _change(posting: Posting, invoice_id: UUID, new: NewInvoice) -> InvoiceChange:
    return merged(draft_from(posting.invoices[invoice_id], posting.lines_of(invoice_id)), new)


async def _roots(
    session: TenantSession, posting: Posting, seen: dict[int, tuple[UUID, NewInvoice]]
) -> dict[UUID, UUID]:
    """The roots of debtors that differ between what is known and what was read."""
    pairs = [(posting.invoices[invoice_id].debtor_id, new.debtor_id) for invoice_id, new in seen.values()]
    return await roots_of(session, {each for pair in pairs if pair[0] != pair[1] for each in pair})


def _conflicts(posting: Posting, invoice_id: UUID, new: NewInvoice, roots: dict[UUID, UUID]) -> bool:
    row = posting.invoices[invoice_id]
    if (row.creditor_id, row.currency) != (new.creditor_id, new.currency):
        return True
    return row.debtor_id != new.debtor_id and roots.get(row.debtor_id) != roots.get(new.debtor_id)


async def _correct_note(
    session: TenantSession, note_id: UUID, new: NewCreditNote, now: datetime
) -> Outcome[CreditNoteView]:
    row = await access.credit_note(session, note_id)
    if (row.creditor_id, row.currency) != (new.creditor_id, new.currency):
        return Outcome("refused", error=DocumentConflict())
    richer = new.source_rank >= row.source_rank
    change = CreditNoteChange(
        issued_on=new.issued_on if richer and new.issued_on.year == row.issue_year else UNSET,
        total_minor=new.total_minor if richer else UNSET,
        used_minor=new.used_minor if richer else UNSET,
        external_id=new.external_id if new.external_id is not None and (richer or not row.external_id) else UNSET,
    )
    if all(getattr(row, name) == value for name, value in named(change).items()):
        return Outcome("unchanged", CreditNoteView.of(row))
    try:
        return Outcome("updated", await update_credit_note(session, row.id, change, now))
    except (CreditNoteNotOpen, AmountBelowAllocated) as error:  # refused before anything was written
        return Outcome("refused", error=error)


async def _known(session: TenantSession, table: str, checked: dict[int, D]) -> dict[int, Known]:
    if not checked:
        return {}
    drafts = list(checked.values())
    values: dict[str, Any] = {  # Any: arrays of each column's type
        "tenant_id": tenant_of(session),
        "places": list(checked),
        "external_ids": [new.external_id for new in drafts],
        "creditors": [new.creditor_id for new in drafts],
        "numbers": [new.number for new in drafts],
        "years": [new.issued_on.year for new in drafts],
    }
    rows = await session.execute(_STATEMENTS[table], values)
    return {row.place: Known(row.by_external_id, row.by_number) for row in rows}


_KNOWN: Final = """
select u.place, e.id as by_external_id, n.id as by_number
from unnest(cast(:places as bigint[]), cast(:external_ids as text[]), cast(:creditors as uuid[]),
            cast(:numbers as text[]), cast(:years as bigint[]))
  as u(place, external_id, creditor_id, number, issue_year)
left join app.{table} e on e.tenant_id = :tenant_id and e.external_id = u.external_id
left join app.{table} n on n.tenant_id = :tenant_id and n.creditor_id = u.creditor_id and n.number = u.number
  and n.issue_year = u.issue_year
"""
_STATEMENTS: Final = {table: text(_KNOWN.replace("{table}", table)) for table in ("invoice", "credit_note")}
