"""Receipts: money that arrives, becomes final, or goes back. Their amounts never change."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from kernel import ids
from kernel.clock import day_of
from kernel.errors import AppError
from receivables import access
from receivables.allocations import active_of_source, undo_all
from receivables.changes import expect, flush
from receivables.checking import MAX_EXTERNAL_ID, Faults
from receivables.drafts import NewReceipt, NewReversal
from receivables.errors import (
    DebtorNotFound,
    ExceedsReceipt,
    ExternalIdTaken,
    ReceiptNotProvisional,
    ReceiptReversed,
)
from receivables.events import ReceiptFinalised, ReceiptPartlyReversed, ReceiptRecorded, ReversalRecorded
from receivables.events import ReceiptReversed as WasReversed
from receivables.ledger import Entry, EntryKind
from receivables.ledger_views import ReversalView
from receivables.locks import lock_debtors
from receivables.merges import roots_of
from receivables.models import Allocation, Receipt, ReceiptState, Reversal, ReversalKind
from receivables.outcomes import Outcome
from receivables.posting import Posting
from receivables.rules import MAX_REFERENCE, MAX_SOURCE
from receivables.sharing import parts_for, rule_of
from receivables.views import ReceiptView
from receivables.writing_off import take_discounts
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_BATCH: Final = 100
MAX_NAMED: Final = 100
MAX_METHOD: Final = 60
MAX_REASON: Final = 200


async def record_receipt(session: TenantSession, new: NewReceipt, now: datetime) -> ReceiptView:
    """Record money that arrived and allocate what the caller says; the rest stays unapplied.

    The same receipt again, known by its external_id, changes nothing. Raises Invalid, CreditorNotFound,
    DebtorNotFound, ExternalIdTaken and what allocating raises.
    """
    return (await record_receipts(session, [new], now))[0].get()


async def record_receipts(
    session: TenantSession, news: Sequence[NewReceipt], now: datetime
) -> list[Outcome[ReceiptView]]:
    """Record many receipts, at most MAX_BATCH; each has its own outcome, in order.

    Raises ExternalIdTaken for the whole batch only where another request has taken one at the same instant.
    """
    if len(news) > MAX_BATCH:
        raise ValueError(f"at most {MAX_BATCH} receipts at once")
    known_roots = await roots_of(session, {new.debtor_id for new in news})
    await lock_debtors(session, known_roots)
    roots = await roots_of(session, known_roots)
    known = await _known(session, news)
    outcomes: list[Outcome[ReceiptView]] = []
    for new in news:
        try:
            clean = _checked(new)
            before = known.get(clean.external_id or "")
            if before is not None:
                if not _same(before, clean, roots):
                    raise ExternalIdTaken(clean.external_id or "")
                outcomes.append(Outcome("unchanged", ReceiptView.of(before)))
                continue
            if clean.debtor_id not in roots:
                raise DebtorNotFound
            receipt = await _record(session, clean, roots, now)
        except AppError as error:
            outcomes.append(Outcome("refused", error=error))
            continue
        if receipt.external_id is not None:
            known[receipt.external_id] = receipt
        outcomes.append(Outcome("created", ReceiptView.of(receipt)))
    return outcomes


async def _record(session: TenantSession, new: NewReceipt, roots: Mapping[UUID, UUID], now: datetime) -> Receipt:
    """Everything that can be refused is refused before anything is written."""
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
        reversed_minor=0,
        unapplied_minor=new.amount_minor,
        state=new.state,
        method=new.method,
        reference=new.reference,
        named_invoice_ids=list(new.named_invoice_ids),
        source=new.source,
        effective_on=new.effective_on or day_of(now, creditor.zone),
        known_at=now,
    )
    posting = Posting(session, now)
    if new.named_invoice_ids:
        await posting.load(invoice_ids=new.named_invoice_ids)
        lines = [line.id for each in new.named_invoice_ids for line in posting.lines_of(each)]
        await posting.check_owners(receipt, lines)
    rule = await rule_of(session, new.creditor_id, new.allocations)
    parts = await parts_for(posting, receipt, roots[new.debtor_id], new.allocations, rule)
    emit(session, ReceiptRecorded(ReceiptView.of(receipt), None, now))
    for target_id, amount_minor in parts:
        posting.settle(receipt, target_id, amount_minor, receipt.effective_on, rule=rule)
    take_discounts(posting, receipt, [target_id for target_id, _ in parts])
    posting.tell()
    posting.entries.append(
        _entry(receipt, EntryKind.RECEIPT_RECORDED, -receipt.amount_minor, receipt.effective_on, now)
    )
    await _insert(session, receipt)
    await posting.write()
    return receipt


async def _known(session: TenantSession, news: Sequence[NewReceipt]) -> dict[str, Receipt]:
    names = {new.external_id for new in news if new.external_id is not None}
    if not names:
        return {}
    statement = select(Receipt).where(Receipt.tenant_id == tenant_of(session), Receipt.external_id.in_(names))
    fresh = statement.execution_options(populate_existing=True)
    return {row.external_id or "": row for row in await session.scalars(fresh)}  # bounded: by the names asked for


def _same(row: Receipt, new: NewReceipt, roots: Mapping[UUID, UUID]) -> bool:
    """Whether this is the receipt that we know: what arrived, for whom, from whom, and the day where it is given."""
    return (
        (row.creditor_id, row.currency, row.amount_minor) == (new.creditor_id, new.currency, new.amount_minor)
        and (row.debtor_id == new.debtor_id or roots.get(row.debtor_id, row.debtor_id) == roots.get(new.debtor_id))
        and new.effective_on in {None, row.effective_on}
    )


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
    before = ReceiptView.of(receipt)
    receipt.state, receipt.version = ReceiptState.FINAL, receipt.version + 1
    after = ReceiptView.of(receipt)
    emit(session, ReceiptFinalised(after, before, now))
    return after


async def reverse(
    session: TenantSession, receipt_id: UUID, why: NewReversal, now: datetime, *, expected_version: int | None = None
) -> ReceiptView:
    """Money went back, wholly or in part: exactly as much of what it settled is open again, to the cent.

    What nobody had allocated goes first, then the latest allocations. The same reversal again, known by its
    external_id, changes nothing. Raises Invalid, ReceiptNotFound, ReceiptReversed, ExceedsReceipt, ExternalIdTaken.
    """
    why = _checked_reversal(why)
    receipt = await access.receipt(session, receipt_id, lock=True)
    known = await _known_reversal(session, why)
    if known is not None:
        if known.receipt_id != receipt.id or why.amount_minor not in {None, known.amount_minor}:
            raise ExternalIdTaken(why.external_id or "")
        return ReceiptView.of(receipt)
    expect(receipt.version, expected_version)
    if receipt.state is ReceiptState.REVERSED:
        raise ReceiptReversed
    left_minor = receipt.amount_minor - receipt.reversed_minor
    amount_minor = why.amount_minor or left_minor
    if amount_minor > left_minor:
        raise ExceedsReceipt
    creditor = await access.creditor(session, receipt.creditor_id)
    never_came = receipt.effective_on if why.kind is ReversalKind.MISTAKE else None
    day = max(why.effective_on or never_came or day_of(now, creditor.zone), receipt.effective_on)
    before = ReceiptView.of(receipt)
    reversal = Reversal(
        tenant_id=receipt.tenant_id, id=ids.new_id(), version=1, receipt_id=receipt.id, kind=why.kind,
        external_id=why.external_id, reason=why.reason, amount_minor=amount_minor, effective_on=day, known_at=now,
    )  # fmt: skip
    session.add(reversal)
    posting = Posting(session, now)
    await _take_back(posting, receipt, amount_minor, day)
    posting.entries.append(_entry(receipt, EntryKind.RECEIPT_REVERSED, amount_minor, day, now))
    receipt.reversed_minor += amount_minor
    receipt.version += 1
    whole = receipt.reversed_minor == receipt.amount_minor
    if whole:
        receipt.state = ReceiptState.REVERSED
    await flush(session, {"uq_reversal_external_id": ExternalIdTaken})
    kind = WasReversed if whole else ReceiptPartlyReversed
    emit(session, ReversalRecorded(ReversalView.of(reversal, receipt), None, now))
    emit(session, kind(ReceiptView.of(receipt), before, now))
    posting.told(receipt.id)
    posting.tell()
    await posting.write()
    return ReceiptView.of(receipt)


async def _take_back(posting: Posting, receipt: Receipt, amount_minor: int, day: date) -> None:
    """Make an amount of a receipt free again and take it out of what is unapplied; the latest allocations go first."""
    short_minor = amount_minor - receipt.unapplied_minor
    standing = await active_of_source(posting.session, receipt) if short_minor > 0 else []
    taken: list[Allocation] = []
    while short_minor > 0:  # bounded: by the allocations that stand, which hold what is not unapplied
        latest = standing.pop()
        taken.append(latest)
        short_minor -= latest.amount_minor
    await undo_all(posting, receipt, taken, day)
    if taken and short_minor < 0:
        kept = taken[-1]
        target_id = kept.instalment_id or kept.charge_id or kept.id
        posting.settle(receipt, target_id, -short_minor, max(day, kept.effective_on), rule=kept.rule)
    receipt.unapplied_minor -= amount_minor


async def _known_reversal(session: TenantSession, why: NewReversal) -> Reversal | None:
    if why.external_id is None:
        return None
    statement = select(Reversal).where(
        Reversal.tenant_id == tenant_of(session), Reversal.external_id == why.external_id
    )
    return (await session.scalars(statement.limit(1))).one_or_none()


def _checked_reversal(why: NewReversal) -> NewReversal:
    faults = Faults()
    faults.day("/effective_on", why.effective_on)
    if why.amount_minor is not None:
        faults.amount("/amount_minor", why.amount_minor, low=1)
    clean = structs.replace(
        why,
        reason=faults.line("/reason", why.reason, MAX_REASON),
        external_id=faults.optional_line("/external_id", why.external_id, MAX_EXTERNAL_ID),
    )
    faults.stop()
    return clean


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
    "reversed_minor", "unapplied_minor", "state", "method", "reference", "named_invoice_ids", "source",
    "effective_on", "known_at",
)  # fmt: skip


def _checked(new: NewReceipt) -> NewReceipt:
    faults = Faults()
    faults.currency("/currency", new.currency)
    faults.amount("/amount_minor", new.amount_minor, low=1)
    faults.day("/effective_on", new.effective_on)
    if len(new.named_invoice_ids) > MAX_NAMED:
        faults.add("/named_invoice_ids", "too_many", f"at most {MAX_NAMED} invoices")
    clean = structs.replace(
        new,
        named_invoice_ids=tuple(dict.fromkeys(new.named_invoice_ids)),
        method=faults.optional_line("/method", new.method, MAX_METHOD),
        reference=faults.optional_line("/reference", new.reference, MAX_REFERENCE),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        source=faults.line("/source", new.source, MAX_SOURCE),
    )
    faults.stop()
    return clean
