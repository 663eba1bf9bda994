"""Receipts: money that arrives, becomes final, or goes back. Their amounts never change."""

from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy.dialects.postgresql import insert

from kernel import ids
from kernel.clock import day_of
from receivables import access
from receivables.allocations import active_of_source, undo_all
from receivables.changes import expect
from receivables.checking import MAX_EXTERNAL_ID, Faults
from receivables.drafts import NewReceipt, NewReversal
from receivables.errors import ExternalIdTaken, ReceiptNotProvisional, ReceiptReversed
from receivables.events import ReceiptFinalised, ReceiptRecorded
from receivables.events import ReceiptReversed as WasReversed
from receivables.ledger import Entry, EntryKind
from receivables.locks import lock_debtors
from receivables.models import Receipt, ReceiptState, Reversal
from receivables.posting import Posting
from receivables.rules import MAX_REFERENCE, MAX_SOURCE
from receivables.sharing import parts_for
from receivables.views import ReceiptView
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_METHOD: Final = 60
MAX_REASON: Final = 200


async def record_receipt(session: TenantSession, new: NewReceipt, now: datetime) -> ReceiptView:
    """Record money that arrived and allocate what the caller says; the rest stays unapplied.

    Raises Invalid, CreditorNotFound, DebtorNotFound, ExternalIdTaken and what allocating raises.
    """
    new = _checked(new)
    roots = await lock_debtors(session, [new.debtor_id])
    creditor = await access.creditor(session, new.creditor_id)
    receipt = Receipt(
        tenant_id=tenant_of(session),
        id=ids.new_id(),
        version=1,
        creditor_id=new.creditor_id,
        debtor_id=new.debtor_id,
        external_id=new.external_id,
        currency=new.currency,
        amount_minor=new.amount_minor,
        unapplied_minor=new.amount_minor,
        state=new.state,
        method=new.method,
        reference=new.reference,
        source=new.source,
        effective_on=new.effective_on or day_of(now, creditor.zone),
        known_at=now,
    )
    posting = Posting(session, now)
    parts = await parts_for(posting, receipt, roots[new.debtor_id], new.allocations)
    emit(session, ReceiptRecorded(ReceiptView.of(receipt, None), None, now))
    for instalment_id, amount_minor in parts:
        posting.settle(receipt, instalment_id, amount_minor, receipt.effective_on)
    posting.tell()
    posting.entries.append(
        _entry(receipt, EntryKind.RECEIPT_RECORDED, -receipt.amount_minor, receipt.effective_on, now)
    )
    await _insert(session, receipt)
    await posting.write()
    return ReceiptView.of(receipt, None)


async def finalise(
    session: TenantSession, receipt_id: UUID, now: datetime, *, expected_version: int | None = None
) -> ReceiptView:
    """The money has arrived for good. Raises ReceiptNotProvisional, ReceiptReversed."""
    receipt = await access.receipt(session, receipt_id, lock=True)
    expect(receipt.version, expected_version)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    if receipt.state is not ReceiptState.PROVISIONAL:
        raise ReceiptNotProvisional
    before = ReceiptView.of(receipt, None)
    receipt.state, receipt.version = ReceiptState.FINAL, receipt.version + 1
    after = ReceiptView.of(receipt, None)
    emit(session, ReceiptFinalised(after, before, now))
    return after


async def reverse(
    session: TenantSession, receipt_id: UUID, why: NewReversal, now: datetime, *, expected_version: int | None = None
) -> ReceiptView:
    """The money went back, wholly: what it settled is open again, to the cent. Raises Invalid, ReceiptReversed."""
    faults = Faults()
    reason = faults.line("/reason", why.reason, MAX_REASON)
    faults.day("/effective_on", why.effective_on)
    faults.stop()
    receipt = await access.receipt(session, receipt_id, lock=True)
    expect(receipt.version, expected_version)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    creditor = await access.creditor(session, receipt.creditor_id)
    day = max(why.effective_on or day_of(now, creditor.zone), receipt.effective_on)
    before = ReceiptView.of(receipt, None)
    reversal = Reversal(
        tenant_id=receipt.tenant_id, id=ids.new_id(), version=1, receipt_id=receipt.id, reason=reason,
        amount_minor=receipt.amount_minor, effective_on=day, known_at=now,
    )  # fmt: skip
    session.add(reversal)
    posting = Posting(session, now)
    await undo_all(posting, receipt, await active_of_source(session, receipt), day)
    posting.entries.append(_entry(receipt, EntryKind.RECEIPT_REVERSED, reversal.amount_minor, day, now))
    receipt.state, receipt.unapplied_minor, receipt.version = ReceiptState.REVERSED, 0, receipt.version + 1
    after = ReceiptView.of(receipt, reversal)
    emit(session, WasReversed(after, before, now))
    posting.told(receipt.id)
    posting.tell()
    await posting.write()
    return after


def _entry(receipt: Receipt, kind: EntryKind, amount_minor: int, day: date, now: datetime) -> Entry:
    return Entry(
        kind=kind, creditor_id=receipt.creditor_id, debtor_id=receipt.debtor_id, currency=receipt.currency,
        amount_minor=amount_minor, receipt_id=receipt.id, effective_on=day, known_at=now,
    )  # fmt: skip


async def _insert(session: TenantSession, receipt: Receipt) -> None:
    values = {column: getattr(receipt, column) for column in _COLUMNS}
    statement = insert(Receipt).values(values).on_conflict_do_nothing().returning(Receipt.id)
    if (await session.execute(statement)).scalar_one_or_none() is None:
        raise ExternalIdTaken(receipt.external_id or "")


_COLUMNS: Final = (
    "tenant_id", "id", "version", "creditor_id", "debtor_id", "external_id", "currency", "amount_minor",
    "unapplied_minor", "state", "method", "reference", "source", "effective_on", "known_at",
)  # fmt: skip


def _checked(new: NewReceipt) -> NewReceipt:
    faults = Faults()
    faults.currency("/currency", new.currency)
    faults.amount("/amount_minor", new.amount_minor, low=1)
    faults.day("/effective_on", new.effective_on)
    clean = structs.replace(
        new,
        method=faults.optional_line("/method", new.method, MAX_METHOD),
        reference=faults.optional_line("/reference", new.reference, MAX_REFERENCE),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        source=faults.line("/source", new.source, MAX_SOURCE),
    )
    faults.stop()
    return clean
