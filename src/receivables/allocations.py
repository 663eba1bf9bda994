"""Allocations: say which money settles which debt, and take it back. Rows are only added."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from kernel.clock import day_of
from receivables import access
from receivables.drafts import Auto, Share
from receivables.errors import AllocationNotFound, CreditNoteNotOpen, ReceiptReversed
from receivables.locks import lock_debtors
from receivables.models import Allocation, CreditNote, DocumentState, Receipt, ReceiptState
from receivables.posting import Posting, Source
from receivables.sharing import parts_for
from receivables.views import CreditNoteView, ReceiptView
from storage.session import TenantSession, tenant_of


async def allocate_receipt(
    session: TenantSession, receipt_id: UUID, shares: Sequence[Share] | Auto, now: datetime
) -> ReceiptView:
    """Settle debts with what a receipt has left, on the day that its money came.

    Raises Invalid, ReceiptReversed, NotEnoughLeft, ExceedsBalance, AllocationMismatch, InvoiceNotOpen and not-founds.
    """
    receipt = await access.receipt(session, receipt_id, lock=True)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    await _allocate(session, receipt, shares, receipt.effective_on, now)
    return ReceiptView.of(receipt, None)


async def allocate_credit_note(
    session: TenantSession, credit_note_id: UUID, shares: Sequence[Share] | Auto, now: datetime
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
    """Take allocations of a receipt back (None: all of them). Raises ReceiptReversed, AllocationNotFound."""
    receipt = await access.receipt(session, receipt_id, lock=True)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    await _unallocate(session, receipt, allocation_ids, now)
    return ReceiptView.of(receipt, None)


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
    column = Allocation.receipt_id if isinstance(source, Receipt) else Allocation.credit_note_id
    return await _active(session, column == source.id)


async def active_of_invoice(session: TenantSession, invoice_id: UUID) -> list[Allocation]:
    """The allocations to an invoice that stand."""
    return await _active(session, Allocation.invoice_id == invoice_id)


async def _active(session: TenantSession, which: ColumnElement[bool]) -> list[Allocation]:
    undoing = aliased(Allocation)
    undone = exists().where(undoing.tenant_id == Allocation.tenant_id, undoing.undoes_id == Allocation.id)
    statement = (
        select(Allocation)
        .where(Allocation.tenant_id == tenant_of(session), which, Allocation.undoes_id.is_(None), ~undone)
        .order_by(Allocation.id)
    )
    return list(await session.scalars(statement))  # bounded: by what one document has settled


async def undo_all(posting: Posting, source: Source, allocations: Iterable[Allocation], day: date) -> None:
    """Take allocations of one source back, their invoices loaded as they stand."""
    undone = list(allocations)
    await posting.load(invoice_ids={allocation.invoice_id for allocation in undone})
    for allocation in undone:
        posting.undo(source, allocation, day)


async def sources_of(session: TenantSession, allocations: Iterable[Allocation]) -> dict[UUID, Source]:
    """The receipts and credit notes behind allocations; their debtors are locked."""
    rows = list(allocations)
    tenant_id = tenant_of(session)
    receipt_ids = {row.receipt_id for row in rows if row.receipt_id is not None}
    note_ids = {row.credit_note_id for row in rows if row.credit_note_id is not None}
    found: dict[UUID, Source] = {}
    if receipt_ids:
        receipts = select(Receipt).where(Receipt.tenant_id == tenant_id, Receipt.id.in_(receipt_ids))
        fresh = receipts.execution_options(populate_existing=True)
        found |= {row.id: row for row in await session.scalars(fresh)}  # bounded: by the allocations
    if note_ids:
        notes = select(CreditNote).where(CreditNote.tenant_id == tenant_id, CreditNote.id.in_(note_ids))
        fresh_notes = notes.execution_options(populate_existing=True)
        found |= {row.id: row for row in await session.scalars(fresh_notes)}  # bounded: by the allocations
    return found


async def _allocate(
    session: TenantSession, source: Source, shares: Sequence[Share] | Auto, day: date, now: datetime
) -> None:
    root_id = (await lock_debtors(session, [source.debtor_id]))[source.debtor_id]
    posting = Posting(session, now)
    for instalment_id, amount_minor in await parts_for(posting, source, root_id, shares):
        posting.settle(source, instalment_id, amount_minor, day)
    posting.tell()
    await posting.write()


async def _unallocate(
    session: TenantSession, source: Source, allocation_ids: Sequence[UUID] | None, now: datetime
) -> None:
    active = await active_of_source(session, source)
    if allocation_ids is not None:
        wanted = set(allocation_ids)
        active = [allocation for allocation in active if allocation.id in wanted]
        if len(active) < len(wanted):
            raise AllocationNotFound
    creditor = await access.creditor(session, source.creditor_id)
    posting = Posting(session, now)
    await undo_all(posting, source, active, day_of(now, creditor.zone))
    posting.tell()
    await posting.write()
