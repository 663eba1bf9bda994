"""Give debts up within a posting: the write-off's row, its entry, its allocations and its event."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from kernel import ids
from receivables.events import WriteOffRecorded, WriteOffReversed
from receivables.ledger import Entry, EntryKind, Standing, WriteOff, WriteOffReason
from receivables.ledger_views import WriteOffView
from receivables.models import DocumentState, Instalment, Receipt
from receivables.posting import Posting
from storage.events import emit
from storage.session import tenant_of


def give_up(
    posting: Posting,
    parts: Iterable[tuple[Instalment, int]],
    reason: WriteOffReason,
    day: date,
    *,
    note: str | None = None,
    receipt: Receipt | None = None,
) -> WriteOff:
    """Write amounts of one loaded invoice's instalments off, each at most what is left of it."""
    given = list(parts)
    first = given[0][0]
    invoice = posting.invoices[first.invoice_id]
    day = max(day, invoice.issued_on)
    row = WriteOff(
        tenant_id=tenant_of(posting.session),
        id=ids.new_id(),
        version=1,
        creditor_id=invoice.creditor_id,
        debtor_id=invoice.debtor_id,
        invoice_id=invoice.id,
        instalment_id=first.id if len(given) == 1 else None,
        receipt_id=None if receipt is None else receipt.id,
        currency=invoice.currency,
        amount_minor=sum(amount_minor for _, amount_minor in given),
        reason=reason,
        note=note,
        state=Standing.STANDING,
        effective_on=day,
        known_at=posting.now,
    )
    posting.given_up.append(row)
    posting.entries.append(_entry(posting, row, EntryKind.WRITTEN_OFF, -row.amount_minor, day))
    for line, amount_minor in given:
        posting.settle(row, line.id, amount_minor, day)
    emit(posting.session, WriteOffRecorded(WriteOffView.of(row), None, posting.now))
    return row


def end_write_off(posting: Posting, row: WriteOff, day: date) -> None:
    """The write-off counts no longer; its allocations are undone by the caller."""
    before = WriteOffView.of(row)
    row.state, row.version = Standing.REVERSED, row.version + 1
    day = max(day, row.effective_on)
    posting.entries.append(_entry(posting, row, EntryKind.WRITE_OFF_REVERSED, row.amount_minor, day))
    emit(posting.session, WriteOffReversed(WriteOffView.of(row), before, posting.now))


def take_discounts(posting: Posting, receipt: Receipt, target_ids: Iterable[UUID]) -> None:
    """What a payment in time leaves of an instalment, up to its discount, need not be paid."""
    for target_id in dict.fromkeys(target_ids):
        line = posting.instalments.get(target_id)
        if line is None or line.discount_minor is None or line.discount_until is None:
            continue
        document = posting.invoices[line.invoice_id].document
        in_time = receipt.effective_on <= line.discount_until
        if in_time and 0 < line.balance_minor <= line.discount_minor and document is DocumentState.OPEN:
            parts = [(line, line.balance_minor)]
            give_up(posting, parts, WriteOffReason.DISCOUNT, receipt.effective_on, receipt=receipt)


def _entry(posting: Posting, row: WriteOff, kind: EntryKind, amount_minor: int, day: date) -> Entry:
    return Entry(
        kind=kind, creditor_id=row.creditor_id, debtor_id=row.debtor_id, currency=row.currency,
        amount_minor=amount_minor, invoice_id=row.invoice_id, write_off_id=row.id, effective_on=day,
        known_at=posting.now,
    )  # fmt: skip
