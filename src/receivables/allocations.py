"""Allocations: say which money settles which debt, and take it back. Rows are only added."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from receivables import access
from receivables.drafts import Auto, Share
from receivables.errors import AllocationNotFound, CreditNoteNotOpen, ReceiptReversed
from receivables.ledger import Standing, WriteOff
from receivables.locks import lock_debtors
from receivables.models import Allocation, AllocationRule, CreditNote, DocumentState, Receipt, ReceiptState
from receivables.posting import Posting, Source
from receivables.sharing import parts_for, rule_of
from receivables.views import CreditNoteView, ReceiptView
from receivables.writing_off import end_write_off, take_discounts
from storage.session import TenantSession, tenant_of

How = Sequence[Share] | Auto | AllocationRule


async def allocate_receipt(session: TenantSession, receipt_id: UUID, shares: How, now: datetime) -> ReceiptView:
    """Settle debts with what a receipt has left, on the day that its money came.

    Raises Invalid, ReceiptReversed, NotEnoughLeft, ExceedsBalance, AllocationMismatch, InvoiceNotOpen and not-founds.
    """
    receipt = await access.receipt(session, receipt_id, lock=True)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    await _allocate(session, receipt, shares, receipt.effective_on, now)
    return ReceiptView.of(receipt)


async def allocate_credit_note(
    session: TenantSession, credit_note_id: UUID, shares: How, now: datetime
) -> CreditNoteView:
    """Settle debts with what a credit note has left. Raises as allocate_receipt, and CreditNoteNotOpen."""
    note = await access.credit_note(session, credit_note_id, lock=True)
    if note.document is not DocumentState.OPEN:
        raise CreditNoteNotOpen
    await _allocate(session, note, shares, note.issued_on, now)
    return CreditNoteView.of(note)


async def unallocate_receipt(
    session: TenantSession, receipt_id: UUID, allocation_ids: Sequence[UUID] | None, now: datetime
) -> ReceiptView:
    """Take allocations of a receipt back (None: all of them). Raises ReceiptReversed, AllocationNotFound.

    That was a mistake from the start, and it is undone from the start: as known from now on, the money was unapplied.
    """
    receipt = await access.receipt(session, receipt_id, lock=True)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    await _unallocate(session, receipt, allocation_ids, now)
    return ReceiptView.of(receipt)


async def unallocate_credit_note(
    session: TenantSession, credit_note_id: UUID, allocation_ids: Sequence[UUID] | None, now: datetime
) -> CreditNoteView:
    """Take allocations of a credit note back (None: all of them). Raises CreditNoteNotOpen, AllocationNotFound."""
    note = await access.credit_note(session, credit_note_id, lock=True)
    if note.document is not DocumentState.OPEN:
        raise CreditNoteNotOpen
    await _unallocate(session, note, allocation_ids, now)
    return CreditNoteView.of(note)


async def active_of_source(session: TenantSession, source: Source) -> list[Allocation]:
    """The allocations of a receipt or credit note that stand."""
    return await _active(session, _column_of(source) == source.id)


async def active_of_charge(session: TenantSession, charge_id: UUID) -> list[Allocation]:
    """The allocations to a charge that stand."""
    return await _active(session, Allocation.charge_id == charge_id)


async def active_by_rule(session: TenantSession, source_ids: Collection[UUID], *, limit: int) -> list[Allocation]:
    """The allocations of receipts and credit notes that a rule has made and that stand."""
    of_sources = Allocation.receipt_id.in_(source_ids) | Allocation.credit_note_id.in_(source_ids)
    return await _active(session, of_sources & Allocation.rule.is_not(None), limit=limit)


async def discounted(session: TenantSession, allocations: Collection[Allocation]) -> set[UUID]:
    """Those of these allocations that have earned a discount, which stands and falls with them."""
    receipt_ids = {each.receipt_id for each in allocations if each.receipt_id is not None}
    statement = select(WriteOff.receipt_id, WriteOff.instalment_id).where(
        WriteOff.tenant_id == tenant_of(session),
        WriteOff.receipt_id.in_(receipt_ids),
        WriteOff.state == Standing.STANDING,
    )
    earned = {(row[0], row[1]) for row in await session.execute(statement)}  # bounded: by the allocations
    return {each.id for each in allocations if (each.receipt_id, each.instalment_id) in earned}


async def freed_on(session: TenantSession, source: Source) -> date | None:
    """The last day on which a source got something back that it had settled until then; none where it never did.

    What is settled with it now is settled from that day on: the same money does not pay two debts on one day.
    """
    undone = aliased(Allocation)
    statement = (
        select(func.max(Allocation.effective_on))
        .join(undone, (undone.tenant_id == Allocation.tenant_id) & (undone.id == Allocation.undoes_id))
        .where(
            Allocation.tenant_id == tenant_of(session),
            _column_of(source) == source.id,
            Allocation.effective_on > undone.effective_on,
        )
    )
    return (await session.execute(statement)).scalar_one()


def _column_of(source: Source) -> InstrumentedAttribute[UUID | None]:
    if isinstance(source, WriteOff):
        return Allocation.write_off_id
    return Allocation.receipt_id if isinstance(source, Receipt) else Allocation.credit_note_id


async def active_of_invoice(session: TenantSession, invoice_id: UUID) -> list[Allocation]:
    """The allocations to an invoice that stand."""
    return await _active(session, Allocation.invoice_id == invoice_id)


async def _active(session: TenantSession, which: ColumnElement[bool], *, limit: int | None = None) -> list[Allocation]:
    undoing = aliased(Allocation)
    undone = exists().where(undoing.tenant_id == Allocation.tenant_id, undoing.undoes_id == Allocation.id)
    statement = (
        select(Allocation)
        .where(Allocation.tenant_id == tenant_of(session), which, Allocation.undoes_id.is_(None), ~undone)
        .order_by(Allocation.id)
        .limit(limit)
    )
    return list(await session.scalars(statement))  # bounded: by what one document has settled


async def undo_all(posting: Posting, source: Source, allocations: Iterable[Allocation], day: date | None) -> None:
    """Take allocations of one source back, what they settled loaded as it stands.

    From `day` on, or (None) each from its own day on, as if it had never been. A discount that a receipt's payment
    in time had earned goes with it.
    """
    undone = list(allocations)
    await posting.load(
        invoice_ids={each.invoice_id for each in undone if each.invoice_id is not None},
        charge_ids={each.charge_id for each in undone if each.charge_id is not None},
    )
    for allocation in undone:
        posting.undo(source, allocation, day or allocation.effective_on)
    if isinstance(source, Receipt):
        lines = {each.instalment_id for each in undone if each.instalment_id is not None}
        for write_off in await _discounts_of(posting.session, source, lines):
            standing = await active_of_source(posting.session, write_off)
            await undo_all(posting, write_off, standing, day)
            end_write_off(posting, write_off, day or write_off.effective_on)


async def _discounts_of(session: TenantSession, receipt: Receipt, lines: set[UUID]) -> list[WriteOff]:
    if not lines:
        return []
    statement = select(WriteOff).where(
        WriteOff.tenant_id == tenant_of(session),
        WriteOff.receipt_id == receipt.id,
        WriteOff.instalment_id.in_(lines),
        WriteOff.state == Standing.STANDING,
    )
    fresh = statement.order_by(WriteOff.id).execution_options(populate_existing=True)
    return list(await session.scalars(fresh))  # bounded: one for each instalment


async def sources_of(session: TenantSession, allocations: Iterable[Allocation]) -> dict[UUID, Source]:
    """The receipts, credit notes and write-offs behind allocations; their debtors are locked."""
    rows = list(allocations)
    tenant_id = tenant_of(session)
    receipt_ids = {row.receipt_id for row in rows if row.receipt_id is not None}
    note_ids = {row.credit_note_id for row in rows if row.credit_note_id is not None}
    write_off_ids = {row.write_off_id for row in rows if row.write_off_id is not None}
    found: dict[UUID, Source] = {}
    if receipt_ids:
        receipts = select(Receipt).where(Receipt.tenant_id == tenant_id, Receipt.id.in_(receipt_ids))
        fresh = receipts.execution_options(populate_existing=True)
        found |= {row.id: row for row in await session.scalars(fresh)}  # bounded: by the allocations
    if note_ids:
        notes = select(CreditNote).where(CreditNote.tenant_id == tenant_id, CreditNote.id.in_(note_ids))
        fresh_notes = notes.execution_options(populate_existing=True)
        found |= {row.id: row for row in await session.scalars(fresh_notes)}  # bounded: by the allocations
    if write_off_ids:
        given_up = select(WriteOff).where(WriteOff.tenant_id == tenant_id, WriteOff.id.in_(write_off_ids))
        fresh_ones = given_up.execution_options(populate_existing=True)
        found |= {row.id: row for row in await session.scalars(fresh_ones)}  # bounded: by the allocations
    return found


async def _allocate(
    session: TenantSession, source: Receipt | CreditNote, shares: How, day: date, now: datetime
) -> None:
    root_id = (await lock_debtors(session, [source.debtor_id]))[source.debtor_id]
    posting = Posting(session, now)
    rule = await rule_of(session, source.creditor_id, shares)
    parts = await parts_for(posting, source, root_id, shares, rule)
    from_day = max(day, await freed_on(session, source) or day)
    for target_id, amount_minor in parts:
        posting.settle(source, target_id, amount_minor, from_day, rule=rule)
    if isinstance(source, Receipt):
        take_discounts(posting, source, [target_id for target_id, _ in parts])
    posting.tell()
    await posting.write()


async def _unallocate(
    session: TenantSession, source: Receipt | CreditNote, allocation_ids: Sequence[UUID] | None, now: datetime
) -> None:
    active = await active_of_source(session, source)
    if allocation_ids is not None:
        wanted = set(allocation_ids)
        active = [allocation for allocation in active if allocation.id in wanted]
        if len(active) < len(wanted):
            raise AllocationNotFound
    posting = Posting(session, now)
    await undo_all(posting, source, active, None)
    posting.tell()
    await posting.write()
