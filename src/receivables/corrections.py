"""Correct invoices and void them: what has been paid stays paid, or is given back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy.exc import IntegrityError

from kernel import ids
from kernel.clock import day_of
from kernel.errors import AppError
from receivables import access
from receivables.allocations import active_of_invoice, sources_of, undo_all
from receivables.changes import copy_to, draft_of, expect, flush, named, refusal_of
from receivables.drafts import InvoiceChange, Line, NewInvoice
from receivables.errors import AmountBelowAllocated, ExternalIdTaken, InvoiceNotOpen
from receivables.events import InvoiceUpdated, InvoiceVoided
from receivables.ledger import Entry, EntryKind, WriteOff
from receivables.locks import lock_debtors
from receivables.models import NEVER_WAS, DocumentState, Instalment, Invoice, VoidReason
from receivables.outcomes import Outcome
from receivables.posting import Posting, payment_event
from receivables.rules import revised
from receivables.taxes import ExchangeRate, taxes_read, taxes_written
from receivables.views import InvoiceView
from receivables.writing_off import end_write_off
from storage.bulk import update_rows
from storage.events import emit
from storage.session import TenantSession

_COLUMNS: Final = (
    "external_id", "issued_on", "due_on", "due_on_source", "total_minor", "prepaid_minor", "purchase_order",
    "payment_terms", "direct_debit_on", "contract", "project", "delivery_note", "buyer_reference", "source",
    "source_rank",
)  # fmt: skip
_WRITTEN: Final = (
    "id", "version", *_COLUMNS, "balance_minor", "taxes", "reporting_currency", "exchange_rate", "exchange_rate_on",
)  # fmt: skip
_LINE_WRITTEN: Final = ("id", "amount_minor", "balance_minor", "due_on", "discount_minor", "discount_until")
MANY: Final = 20  # from here on two statements cost less than one for each row
_REFUSALS: Final = {"uq_invoice_external_id": ExternalIdTaken}


async def update_invoice(
    session: TenantSession,
    invoice_id: UUID,
    change: InvoiceChange,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> InvoiceView:
    """Correct one invoice; the same again changes nothing.

    Raises Invalid, InvoiceNotOpen, AmountBelowAllocated, ExternalIdTaken.
    """
    posting = await _locked(session, [invoice_id], now)
    expect(posting.invoices[invoice_id].version, expected_version)
    return (await correct_loaded(posting, {invoice_id: change}))[invoice_id].get()


async def correct_invoices(
    session: TenantSession, changes: Mapping[UUID, InvoiceChange], now: datetime
) -> dict[UUID, Outcome[InvoiceView]]:
    """Correct many invoices in few statements; each has its own outcome. Raises InvoiceNotFound, ExternalIdTaken."""
    return await correct_loaded(await _locked(session, changes, now), changes)


async def _locked(session: TenantSession, invoice_ids: Iterable[UUID], now: datetime) -> Posting:
    """Invoices read under their debtors' locks."""
    wanted = list(invoice_ids)
    await lock_debtors(session, await access.debtors_of_invoices(session, wanted))
    posting = Posting(session, now)
    await posting.load(invoice_ids=wanted)
    return posting


async def correct_loaded(posting: Posting, changes: Mapping[UUID, InvoiceChange]) -> dict[UUID, Outcome[InvoiceView]]:
    """Correct invoices that were loaded under their debtors' locks."""
    outcomes = {invoice_id: _correct(posting, invoice_id, change) for invoice_id, change in changes.items()}
    changed = [invoice_id for invoice_id, outcome in outcomes.items() if outcome.status == "updated"]
    if len(changed) >= MANY:
        await _write_many(posting, changed)
    await flush(posting.session, _REFUSALS)
    await posting.write()
    return outcomes


async def _write_many(posting: Posting, invoice_ids: Sequence[UUID]) -> None:
    """Write many corrected invoices in two statements; the session then knows them no longer as changed."""
    session = posting.session
    rows = [posting.invoices[invoice_id] for invoice_id in invoice_ids]
    lines = [line for invoice_id in invoice_ids for line in posting.lines_of(invoice_id) if line not in session.new]
    with session.no_autoflush:
        try:
            await update_rows(session, Invoice, _WRITTEN, [[getattr(row, name) for name in _WRITTEN] for row in rows])
        except IntegrityError as error:
            raise refusal_of(error, _REFUSALS) from error
        values = [[getattr(line, name) for name in _LINE_WRITTEN] for line in lines]
        await update_rows(session, Instalment, _LINE_WRITTEN, values)
    for row in (*rows, *lines):
        session.expunge(row)


def draft_from(row: Invoice, lines: Sequence[Instalment]) -> NewInvoice:
    """A known invoice in the form in which it could have been handed in."""
    last = max((line.place for line in lines if line.amount_minor), default=1)
    shown = tuple(_shown(line) for line in lines if line.place <= last)
    rate = ExchangeRate.of(row.reporting_currency, row.exchange_rate, row.exchange_rate_on)
    return draft_of(NewInvoice, row, instalments=shown, taxes=taxes_read(row.taxes), exchange_rate=rate)


def _shown(line: Instalment) -> Line:
    return Line(
        amount_minor=line.amount_minor,
        due_on=line.due_on,
        discount_minor=line.discount_minor,
        discount_until=line.discount_until,
    )


def _copy(row: Invoice, new: NewInvoice) -> None:
    copy_to(row, new, _COLUMNS)
    row.taxes = taxes_written(new.taxes)
    rate = new.exchange_rate
    row.reporting_currency = None if rate is None else rate.currency
    row.exchange_rate = None if rate is None else rate.rate
    row.exchange_rate_on = None if rate is None else rate.on


def _correct(posting: Posting, invoice_id: UUID, change: InvoiceChange) -> Outcome[InvoiceView]:
    row, before = posting.invoices[invoice_id], posting.before(invoice_id)
    if row.document is not DocumentState.OPEN:
        return Outcome("refused", error=InvoiceNotOpen())
    try:
        new = revised(draft_from(row, posting.lines_of(invoice_id)), named(change))
        _lay(posting, row, new)
    except AppError as error:
        return Outcome("refused", error=error)
    _copy(row, new)
    after = posting.view(invoice_id)
    if after == before:
        return Outcome("unchanged", before)
    row.version += 1
    after = structs.replace(after, version=row.version)
    emit(posting.session, InvoiceUpdated(after, before, posting.now))
    crossing = payment_event(before.balance_minor, after.balance_minor)
    if crossing is not None and 0 in {before.balance_minor, after.balance_minor}:  # settled or reopened by it
        row.version += 1
        crossed = structs.replace(after, version=row.version)
        emit(posting.session, crossing(crossed, after, posting.now))
        return Outcome("updated", crossed)
    return Outcome("updated", after)


def _lay(posting: Posting, row: Invoice, draft: NewInvoice) -> None:
    """Give the instalments other amounts and days by their place; one that is no longer named keeps nothing due."""
    kept = posting.lines_of(row.id)
    wanted = dict(enumerate(draft.instalments, start=1))
    for line in kept:
        settled_minor = line.amount_minor - line.balance_minor
        amount_minor = wanted[line.place].amount_minor if line.place in wanted else 0
        if amount_minor < settled_minor:
            raise AmountBelowAllocated
    was = {line.id: (line.amount_minor, line.due_on) for line in kept}
    for line in kept:
        new = wanted.pop(line.place, None)
        settled_minor = line.amount_minor - line.balance_minor
        line.amount_minor = 0 if new is None else new.amount_minor
        line.balance_minor = line.amount_minor - settled_minor
        line.due_on = line.due_on if new is None else new.due_on
        line.discount_minor = None if new is None else new.discount_minor
        line.discount_until = None if new is None else new.discount_until
    for place, new in wanted.items():
        added = Instalment(
            tenant_id=row.tenant_id, id=ids.new_id(), version=1, invoice_id=row.id, debtor_id=row.debtor_id,
            place=place, due_on=new.due_on, amount_minor=new.amount_minor, balance_minor=new.amount_minor,
            discount_minor=new.discount_minor, discount_until=new.discount_until,
        )  # fmt: skip
        kept.append(added)
        posting.session.add(added)
    row.balance_minor = sum(line.balance_minor for line in kept)
    for line in kept:
        _enter(posting, row, line, was.get(line.id), draft.issued_on)


def _enter(posting: Posting, row: Invoice, line: Instalment, was: tuple[int, date | None] | None, day: date) -> None:
    """What a correction changes in the ledger: the difference, or, on another issue day, the whole amount moved to it.

    A due date that alone has changed is an entry of nothing, from which on it is known.
    """
    was_minor, was_due_on = was or (0, line.due_on)
    if was is not None and day != row.issued_on:
        parts = [part for part in ((-was_minor, row.issued_on), (line.amount_minor, day)) if part[0]]
    else:
        parts = [(line.amount_minor - was_minor, day)] if line.amount_minor != was_minor else []
    if not parts and (was is None or was_due_on != line.due_on):
        parts = [(0, day)]
    for amount_minor, effective_on in parts:
        posting.entries.append(entry_of(posting, row, line, EntryKind.INVOICE_CORRECTED, amount_minor, effective_on))


def entry_of(  # noqa: PLR0917 - what an entry is
    posting: Posting, row: Invoice, line: Instalment, kind: EntryKind, amount_minor: int, effective_on: date
) -> Entry:
    """A change of one instalment's amount, for the ledger."""
    return Entry(
        kind=kind, creditor_id=row.creditor_id, debtor_id=line.debtor_id, currency=row.currency,
        amount_minor=amount_minor, invoice_id=row.id, instalment_id=line.id, due_on=line.due_on,
        effective_on=effective_on, known_at=posting.now,
    )  # fmt: skip


async def void_invoice(
    session: TenantSession, invoice_id: UUID, reason: VoidReason, now: datetime, *, expected_version: int | None = None
) -> InvoiceView:
    """The invoice no longer counts; what had settled it is free again. Raises InvoiceNotOpen."""
    row = await access.invoice(session, invoice_id, lock=True)
    expect(row.version, expected_version)
    if row.document is not DocumentState.OPEN:
        raise InvoiceNotOpen
    creditor = await access.creditor(session, row.creditor_id)
    posting = Posting(session, now)
    await posting.load(invoice_ids=[invoice_id])
    before = posting.before(invoice_id)
    standing = await active_of_invoice(session, invoice_id)
    sources = await sources_of(session, standing)
    day = row.issued_on if reason in NEVER_WAS else max(day_of(now, creditor.zone), row.issued_on)
    for source in sources.values():
        mine = [each for each in standing if source.id in {each.receipt_id, each.credit_note_id, each.write_off_id}]
        await undo_all(posting, source, mine, day)
        if isinstance(source, WriteOff):
            end_write_off(posting, source, day)
    for line in posting.lines_of(invoice_id):
        line.balance_minor = 0
        if line.amount_minor:
            posting.entries.append(entry_of(posting, row, line, EntryKind.INVOICE_VOIDED, -line.amount_minor, day))
    row.document, row.void_reason, row.balance_minor, row.version = DocumentState.VOID, reason, 0, row.version + 1
    after = posting.view(invoice_id)
    emit(session, InvoiceVoided(after, before, now))
    posting.told(invoice_id)
    posting.tell()
    await posting.write()
    return after
