"""Write-offs: a debt that is given up, wholly or in part, and asked for again when that is reversed."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from kernel.clock import day_of
from kernel.errors import AppError
from kernel.text import MAX_NOTE
from receivables import access
from receivables.allocations import active_of_source, undo_all
from receivables.changes import expect
from receivables.checking import Faults
from receivables.drafts import NewWriteOff
from receivables.errors import (
    ExceedsBalance,
    InstalmentNotFound,
    InvoiceNotFound,
    InvoiceNotOpen,
    NothingOpen,
    WriteOffNotStanding,
)
from receivables.events import InvoiceWrittenOff
from receivables.ledger import Standing, WriteOff, WriteOffReason
from receivables.ledger_views import WriteOffView
from receivables.locks import lock_debtors
from receivables.models import DocumentState, Instalment
from receivables.outcomes import Outcome
from receivables.posting import Posting
from receivables.rules import oldest_first
from receivables.writing_off import end_write_off, give_up
from storage.events import emit
from storage.session import TenantSession

MAX_BATCH: Final = 100
LOSSES: Final = frozenset(  # given up as lost: an invoice that is, as a whole, leaves the axis of what is open
    {WriteOffReason.BAD_DEBT, WriteOffReason.INSOLVENCY, WriteOffReason.TIME_BARRED, WriteOffReason.OTHER}
)


async def write_off(session: TenantSession, new: NewWriteOff, now: datetime) -> WriteOffView:
    """Give up what is left of an invoice or instalment, or a part of it.

    Raises Invalid, InvoiceNotFound, InstalmentNotFound, InvoiceNotOpen, NothingOpen, ExceedsBalance.
    """
    return (await write_off_many(session, [new], now))[0].get()


async def write_off_many(
    session: TenantSession, news: Sequence[NewWriteOff], now: datetime
) -> list[Outcome[WriteOffView]]:
    """Give up many debts, at most MAX_BATCH; each has its own outcome, in order."""
    if len(news) > MAX_BATCH:
        raise ValueError(f"at most {MAX_BATCH} write-offs at once")
    wanted = {new.invoice_id for new in news}
    await lock_debtors(session, await access.debtors_of_invoices(session, wanted))
    posting = Posting(session, now)
    known = await access.existing_invoices(session, wanted)
    await posting.load(invoice_ids=known)
    zones = await access.zones_of(session, {row.creditor_id for row in posting.invoices.values()})
    outcomes: list[Outcome[WriteOffView]] = []
    whole: set[UUID] = set()
    for new in news:
        try:
            if new.invoice_id not in known:
                raise InvoiceNotFound
            row = _one(posting, new, day_of(now, zones[posting.invoices[new.invoice_id].creditor_id]))
        except AppError as error:
            outcomes.append(Outcome("refused", error=error))
            continue
        outcomes.append(Outcome("created", WriteOffView.of(row)))
        if posting.invoices[new.invoice_id].document is DocumentState.WRITTEN_OFF:
            whole.add(new.invoice_id)
    for invoice_id in sorted(whole):
        _tell_whole(posting, invoice_id)
    posting.tell()
    await posting.write()
    return outcomes


def _one(posting: Posting, new: NewWriteOff, today: date) -> WriteOff:
    faults = Faults()
    note = faults.lines("/note", new.note, MAX_NOTE)
    faults.day("/effective_on", new.effective_on)
    if new.amount_minor is not None:
        faults.amount("/amount_minor", new.amount_minor, low=1)
    faults.stop()
    invoice = posting.invoices[new.invoice_id]
    if invoice.document is not DocumentState.OPEN:
        raise InvoiceNotOpen
    lines = _lines(posting, new)
    left_minor = sum(line.balance_minor for line in lines)
    if left_minor == 0:
        raise NothingOpen
    amount_minor = new.amount_minor or left_minor
    if amount_minor > left_minor:
        raise ExceedsBalance
    given = oldest_first(amount_minor, [(line.id, line.balance_minor) for line in lines])
    parts = [(posting.instalments[line_id], part) for line_id, part in given]
    row = give_up(posting, parts, new.reason, new.effective_on or today, note=note)
    if new.amount_minor is None and new.instalment_id is None and new.reason in LOSSES:
        invoice.document = DocumentState.WRITTEN_OFF
    return row


def _lines(posting: Posting, new: NewWriteOff) -> list[Instalment]:
    lines = posting.lines_of(new.invoice_id)
    if new.instalment_id is not None:
        lines = [line for line in lines if line.id == new.instalment_id]
        if not lines:
            raise InstalmentNotFound
    return sorted(lines, key=lambda line: (line.due_on is None, line.due_on or date.max, line.place))


def _tell_whole(posting: Posting, invoice_id: UUID) -> None:
    row, before = posting.invoices[invoice_id], posting.before(invoice_id)
    row.version += 1
    emit(posting.session, InvoiceWrittenOff(posting.view(invoice_id), before, posting.now))
    posting.told(invoice_id)


async def reverse_write_off(
    session: TenantSession, write_off_id: UUID, now: datetime, *, expected_version: int | None = None
) -> WriteOffView:
    """Ask for what was given up again, from today on; an invoice that was written off is open again.

    Raises WriteOffNotFound, WriteOffNotStanding.
    """
    row = await access.write_off(session, write_off_id, lock=True)
    expect(row.version, expected_version)
    if row.state is not Standing.STANDING:
        raise WriteOffNotStanding
    creditor = await access.creditor(session, row.creditor_id)
    day = max(day_of(now, creditor.zone), row.effective_on)
    posting = Posting(session, now)
    await undo_all(posting, row, await active_of_source(session, row), day)
    end_write_off(posting, row, day)
    posting.tell()
    await posting.write()
    return WriteOffView.of(row)
