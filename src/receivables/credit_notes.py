"""Credit notes: what a creditor gives back. They settle invoices by allocations, as receipts do."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, structs
from sqlalchemy import select, text

from kernel import ids
from kernel.clock import day_of
from kernel.errors import AppError
from receivables import access, ledger, refusals
from receivables.allocations import active_of_source, undo_all
from receivables.changes import copy_to, draft_of, expect, flush, named
from receivables.drafts import CreditNoteChange, NewCreditNote
from receivables.errors import (
    AmountBelowAllocated,
    CreditNoteNotOpen,
    ExternalIdTaken,
)
from receivables.events import CreditNoteCreated, CreditNoteUpdated, CreditNoteVoided
from receivables.ledger import Entry, EntryKind
from receivables.locks import lock_debtors
from receivables.merges import roots_of
from receivables.models import NEVER_WAS, CreditNote, DocumentState, VoidReason
from receivables.outcomes import Outcome
from receivables.posting import Posting
from receivables.rules import checked_credit_note, oldest_first, same_year
from receivables.sharing import parts_for, rule_of
from receivables.views import CreditNoteView
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_BATCH: Final = 5_000
_REFUSALS: Final = {"uq_credit_note_external_id": ExternalIdTaken}


class Drafted(Struct, frozen=True):
    """A credit note about to be written."""

    id: UUID
    new: NewCreditNote


async def create_credit_note(session: TenantSession, new: NewCreditNote, now: datetime) -> CreditNoteView:
    """Record one credit note and allocate what the caller says, or what the invoice that it names still owes.

    Raises Invalid, CreditorNotFound, DebtorNotFound, CreditNoteNumberTaken, ExternalIdTaken and what allocating raises.
    """
    return (await create_credit_notes(session, [new], now))[0].get()


async def create_credit_notes(
    session: TenantSession, news: Sequence[NewCreditNote], now: datetime
) -> list[Outcome[CreditNoteView]]:
    """Record many credit notes in few statements; each has its own outcome, in order.

    Raises what allocating raises: only those that name the invoice that they precede never fail by it.
    """
    if len(news) > MAX_BATCH:
        raise ValueError(f"at most {MAX_BATCH} credit notes at once")
    drafts = [_draft(new) for new in news]
    drafted = [draft for draft in drafts if isinstance(draft, Drafted)]
    roots = await roots_of(session, {draft.new.debtor_id for draft in drafted})
    await lock_debtors(session, roots)
    written = await _insert(session, drafted, now)
    left = [(draft.id, draft.new) for draft in drafted if draft.id not in written]
    refused = await refusals.of_credit_notes(session, left)
    created = [draft for draft in drafted if draft.id in written]
    views = {draft.id: _view(draft, now) for draft in created}
    for view in views.values():
        emit(session, CreditNoteCreated(view, None, now))
    views |= await _settle(session, created, roots, now)
    outcomes: list[Outcome[CreditNoteView]] = []
    for draft in drafts:
        error = draft if isinstance(draft, AppError) else refused.get(draft.id)
        if error is not None or isinstance(draft, AppError):
            outcomes.append(Outcome("refused", error=error))
        else:
            outcomes.append(Outcome("created", views[draft.id]))
    return outcomes


async def update_credit_note(
    session: TenantSession,
    credit_note_id: UUID,
    change: CreditNoteChange,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> CreditNoteView:
    """Correct a credit note; the same again changes nothing.

    Raises Invalid, CreditNoteNotOpen, AmountBelowAllocated, ExternalIdTaken.
    """
    row = await access.credit_note(session, credit_note_id, lock=True)
    expect(row.version, expected_version)
    if row.document is not DocumentState.OPEN:
        raise CreditNoteNotOpen
    before = CreditNoteView.of(row)
    known = draft_from(row)
    new = checked_credit_note(same_year(known, structs.replace(known, **named(change))))
    allocated_minor = row.total_minor - row.used_minor - row.remaining_minor
    remaining_minor = new.total_minor - new.used_minor - allocated_minor
    if remaining_minor < 0:
        raise AmountBelowAllocated
    entries = _corrected(row, new, now)
    copy_to(row, new, ("issued_on", "total_minor", "used_minor", "external_id", "source", "source_rank"))
    row.remaining_minor = remaining_minor
    if CreditNoteView.of(row) == before:
        return before
    row.version += 1
    await flush(session, _REFUSALS)
    await ledger.write(session, entries)
    after = CreditNoteView.of(row)
    emit(session, CreditNoteUpdated(after, before, now))
    return after


async def void_credit_note(
    session: TenantSession,
    credit_note_id: UUID,
    reason: VoidReason,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> CreditNoteView:
    """The credit note no longer counts; what it had settled is to be paid again. Raises CreditNoteNotOpen."""
    row = await access.credit_note(session, credit_note_id, lock=True)
    expect(row.version, expected_version)
    if row.document is not DocumentState.OPEN:
        raise CreditNoteNotOpen
    creditor = await access.creditor(session, row.creditor_id)
    before = CreditNoteView.of(row)
    posting = Posting(session, now)
    day = row.issued_on if reason in NEVER_WAS else max(day_of(now, creditor.zone), row.issued_on)
    await undo_all(posting, row, await active_of_source(session, row), day)
    net_minor = row.total_minor - row.used_minor
    posting.entries.append(_entry(row, EntryKind.CREDIT_NOTE_VOIDED, net_minor, day, now))
    row.document, row.void_reason, row.remaining_minor = DocumentState.VOID, reason, 0
    row.version += 1
    after = CreditNoteView.of(row)
    emit(session, CreditNoteVoided(after, before, now))
    posting.told(row.id)
    posting.tell()
    await posting.write()
    return after


def _corrected(row: CreditNote, new: NewCreditNote, now: datetime) -> list[Entry]:
    """What a correction changes in the ledger; another issue day moves the whole amount to it."""
    was_minor, is_minor = row.used_minor - row.total_minor, new.used_minor - new.total_minor
    kind = EntryKind.CREDIT_NOTE_CORRECTED
    if new.issued_on != row.issued_on:
        parts = ((-was_minor, row.issued_on), (is_minor, new.issued_on))
    else:
        parts = ((is_minor - was_minor, row.issued_on),)
    return [_entry(row, kind, amount_minor, day, now) for amount_minor, day in parts if amount_minor]


def _entry(row: CreditNote, kind: EntryKind, amount_minor: int, day: date, now: datetime) -> Entry:
    return Entry(
        kind=kind, creditor_id=row.creditor_id, debtor_id=row.debtor_id, currency=row.currency,
        amount_minor=amount_minor, credit_note_id=row.id, effective_on=day, known_at=now,
    )  # fmt: skip


def draft_from(row: CreditNote) -> NewCreditNote:
    """A known credit note in the form in which it could have been handed in."""
    return draft_of(NewCreditNote, row, preceding=None, allocations=())


def _draft(new: NewCreditNote) -> Drafted | AppError:
    try:
        return Drafted(ids.new_id(), checked_credit_note(new))
    except AppError as error:
        return error


def _view(draft: Drafted, now: datetime) -> CreditNoteView:
    new = draft.new
    return CreditNoteView(
        id=ids.encode("crn", draft.id),
        version=1,
        external_id=new.external_id,
        creditor_id=ids.encode("crd", new.creditor_id),
        debtor_id=ids.encode("dbt", new.debtor_id),
        number=new.number,
        issued_on=new.issued_on,
        currency=new.currency,
        total_minor=new.total_minor,
        used_minor=new.used_minor,
        remaining_minor=new.total_minor - new.used_minor,
        document=DocumentState.OPEN,
        void_reason=None,
        source=new.source,
        known_at=now,
    )


async def _settle(
    session: TenantSession, created: Sequence[Drafted], roots: Mapping[UUID, UUID], now: datetime
) -> dict[UUID, CreditNoteView]:
    """Allocate new credit notes; answers those that settle something."""
    wanted = [draft for draft in created if draft.new.allocations or draft.new.preceding is not None]
    if not wanted:
        return {}
    ids_ = [draft.id for draft in wanted]
    statement = select(CreditNote).where(CreditNote.tenant_id == tenant_of(session), CreditNote.id.in_(ids_))
    notes = {row.id: row for row in await session.scalars(statement)}  # bounded: by the credit notes asked for
    named_invoices = await _preceding(session, wanted)
    posting = Posting(session, now)
    await posting.load(invoice_ids=named_invoices.values())
    roots = {**roots, **await roots_of(session, {row.debtor_id for row in posting.invoices.values()} - roots.keys())}
    for draft in wanted:
        note = notes[draft.id]
        if draft.new.allocations:
            rule = await rule_of(session, note.creditor_id, draft.new.allocations)
            parts = await parts_for(posting, note, roots[note.debtor_id], draft.new.allocations, rule)
        else:
            rule = None
            parts = _parts_of_preceding(posting, note, named_invoices.get(draft.id), roots)
        for target_id, amount_minor in parts:
            posting.settle(note, target_id, amount_minor, note.issued_on, rule=rule)
    posting.tell()
    await posting.write()
    return {note.id: CreditNoteView.of(note) for note in notes.values()}


def _parts_of_preceding(
    posting: Posting, note: CreditNote, invoice_id: UUID | None, roots: Mapping[UUID, UUID]
) -> list[tuple[UUID, int]]:
    """What a credit note settles of the invoice that it names; of a stranger's nothing."""
    if invoice_id is None:
        return []
    invoice = posting.invoices[invoice_id]
    same = roots.get(invoice.debtor_id) == roots[note.debtor_id] and invoice.currency == note.currency
    if not same or invoice.document is not DocumentState.OPEN:
        return []
    return oldest_first(note.remaining_minor, [(line.id, line.balance_minor) for line in posting.lines_of(invoice_id)])


async def _preceding(session: TenantSession, drafts: Iterable[Drafted]) -> dict[UUID, UUID]:
    """The invoice that each credit note names, the latest of that number unless the day is given."""
    named_ = [(draft, draft.new.preceding) for draft in drafts if draft.new.preceding is not None]
    if not named_:
        return {}
    values: dict[str, Any] = {  # Any: arrays of each column's type
        "tenant_id": tenant_of(session),
        "ids": [draft.id for draft, _ in named_],
        "creditors": [draft.new.creditor_id for draft, _ in named_],
        "numbers": [preceding.number for _, preceding in named_],
        "years": [preceding.issued_on.year if preceding.issued_on else None for _, preceding in named_],
    }
    return {row.note_id: row.id for row in await session.execute(_PRECEDING, values)}


_PRECEDING: Final = text("""
select distinct on (u.note_id) u.note_id, v.id
from unnest(cast(:ids as uuid[]), cast(:creditors as uuid[]), cast(:numbers as text[]), cast(:years as bigint[]))
  as u(note_id, creditor_id, number, issue_year)
join app.invoice v on v.tenant_id = :tenant_id and v.creditor_id = u.creditor_id and v.number = u.number
  and (u.issue_year is null or v.issue_year = u.issue_year)
order by u.note_id, v.issued_on desc, v.id
""")  # bounded: by the credit notes asked for


async def _insert(session: TenantSession, drafts: Sequence[Drafted], now: datetime) -> set[UUID]:
    """Write credit notes; what a missing creditor or debtor or a taken number refuses is left out."""
    if not drafts:
        return set()
    values: dict[str, Any] = {  # Any: arrays of each column's type
        "tenant_id": tenant_of(session),
        "known_at": now,
        "ids": [draft.id for draft in drafts],
        "issue_years": [draft.new.issued_on.year for draft in drafts],
        "entry_ids": [ids.new_id() for _ in drafts],
        **{name: [getattr(draft.new, name) for draft in drafts] for name in _COLUMNS},
    }
    return set((await session.execute(_INSERT, values)).scalars())


_COLUMNS: Final = (
    "creditor_id", "debtor_id", "external_id", "number", "issued_on", "currency", "total_minor", "used_minor",
    "source", "source_rank",
)  # fmt: skip
_INSERT: Final = text("""
with draft as (
  select * from unnest(cast(:ids as uuid[]), cast(:entry_ids as uuid[]), cast(:issue_years as bigint[]),
                       cast(:creditor_id as uuid[]), cast(:debtor_id as uuid[]), cast(:external_id as text[]),
                       cast(:number as text[]), cast(:issued_on as date[]), cast(:currency as text[]),
                       cast(:total_minor as bigint[]), cast(:used_minor as bigint[]), cast(:source as text[]),
                       cast(:source_rank as bigint[]))
    as u(id, entry_id, issue_year, creditor_id, debtor_id, external_id, number, issued_on, currency, total_minor,
         used_minor, source, source_rank)
), written as (
  insert into app.credit_note
    (tenant_id, id, version, creditor_id, debtor_id, external_id, number, issue_year, issued_on, currency, total_minor,
     used_minor, remaining_minor, document, source, source_rank, known_at)
  select :tenant_id, u.id, 1, u.creditor_id, u.debtor_id, u.external_id, u.number, u.issue_year, u.issued_on,
         u.currency, u.total_minor, u.used_minor, u.total_minor - u.used_minor, 'open', u.source, u.source_rank,
         :known_at
  from draft u
  join app.creditor c on c.tenant_id = :tenant_id and c.id = u.creditor_id
  join app.debtor d on d.tenant_id = :tenant_id and d.id = u.debtor_id
  order by u.creditor_id, u.number, u.id
  on conflict do nothing
  returning id
), entries as (
  insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, credit_note_id,
                                effective_on, known_at)
  select :tenant_id, u.entry_id, 'credit_note_recorded', u.creditor_id, u.debtor_id, u.currency,
         u.used_minor - u.total_minor, u.id, u.issued_on, :known_at
  from draft u join written w on w.id = u.id
)
select id from written
""")
