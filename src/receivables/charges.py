"""Charges: what is owed besides what was billed. Their amounts are given; who computes them is not decided here."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from kernel import ids
from kernel.clock import day_of
from kernel.text import MAX_NOTE
from receivables import access, ledger
from receivables.changes import expect, flush
from receivables.checking import MAX_EXTERNAL_ID, Faults
from receivables.drafts import NewCharge
from receivables.errors import AllocationMismatch, DebtorNotFound, ExternalIdTaken, InvoiceNotOpen, NothingOpen
from receivables.events import ChargeBooked, ChargeWaived
from receivables.ledger import Charge, Entry, EntryKind
from receivables.ledger_views import ChargeView
from receivables.locks import lock_debtors
from receivables.models import DocumentState
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_REASON: Final = 200
_REFUSALS: Final = {"uq_charge_external_id": ExternalIdTaken}


async def book_charge(session: TenantSession, new: NewCharge, now: datetime) -> ChargeView:
    """Book a charge on an invoice, or on a debtor for no invoice.

    The same charge again, known by its external_id, changes nothing. Raises Invalid, InvoiceNotFound, InvoiceNotOpen,
    AllocationMismatch, CreditorNotFound, DebtorNotFound, ExternalIdTaken.
    """
    faults = _check(new)
    external_id = faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID)
    description = faults.optional_line("/description", new.description, MAX_NOTE)
    faults.stop()
    creditor_id, debtor_id, currency, first_day = await _owner(session, new)
    await lock_debtors(session, [debtor_id])
    creditor = await access.creditor(session, creditor_id)
    day = max(new.effective_on or day_of(now, creditor.zone), first_day or date.min)
    known = await _known(session, external_id)
    if known is not None:
        if not _same(known, new, (creditor_id, debtor_id, currency)):
            raise ExternalIdTaken(external_id or "")
        return ChargeView.of(known)
    row = Charge(
        tenant_id=tenant_of(session),
        id=ids.new_id(),
        version=1,
        creditor_id=creditor_id,
        debtor_id=debtor_id,
        invoice_id=new.invoice_id,
        external_id=external_id,
        kind=new.kind,
        description=description,
        currency=currency,
        amount_minor=new.amount_minor,
        waived_minor=0,
        waive_reason=None,
        balance_minor=new.amount_minor,
        due_on=new.due_on or day,
        effective_on=day,
        known_at=now,
    )
    session.add(row)
    await flush(session, _REFUSALS)
    await ledger.write(session, [_entry(row, EntryKind.CHARGE_BOOKED, row.amount_minor, day, now)])
    view = ChargeView.of(row)
    emit(session, ChargeBooked(view, None, now))
    return view


async def waive_charge(
    session: TenantSession, charge_id: UUID, reason: str, now: datetime, *, expected_version: int | None = None
) -> ChargeView:
    """Ask no longer for what is left of a charge; what has been paid of it stays paid.

    Raises Invalid, ChargeNotFound, NothingOpen.
    """
    faults = Faults()
    why = faults.line("/reason", reason, MAX_REASON)
    faults.stop()
    row = await access.charge(session, charge_id, lock=True)
    expect(row.version, expected_version)
    if row.balance_minor == 0:
        raise NothingOpen
    creditor = await access.creditor(session, row.creditor_id)
    before, waived_minor = ChargeView.of(row), row.balance_minor
    row.waived_minor, row.balance_minor, row.waive_reason = row.waived_minor + waived_minor, 0, why
    row.version += 1
    day = max(day_of(now, creditor.zone), row.effective_on)
    await session.flush()
    await ledger.write(session, [_entry(row, EntryKind.CHARGE_WAIVED, -waived_minor, day, now)])
    after = ChargeView.of(row)
    emit(session, ChargeWaived(after, before, now))
    return after


def _check(new: NewCharge) -> Faults:
    faults = Faults()
    faults.amount("/amount_minor", new.amount_minor, low=1)
    faults.day("/due_on", new.due_on)
    faults.day("/effective_on", new.effective_on)
    for name in ("creditor_id", "debtor_id", "currency"):
        if new.invoice_id is None and getattr(new, name) is None:
            faults.add(f"/{name}", "required", "a charge names an invoice, or its creditor, debtor and currency")
    if new.currency is not None:
        faults.currency("/currency", new.currency)
    return faults


async def _owner(session: TenantSession, new: NewCharge) -> tuple[UUID, UUID, str, date | None]:
    """Whose charge it is: the invoice says it, where there is one, and nothing may contradict it."""
    if new.invoice_id is None:
        if new.creditor_id is None or new.debtor_id is None or new.currency is None:
            raise DebtorNotFound
        await access.debtor(session, new.debtor_id)
        return new.creditor_id, new.debtor_id, new.currency, None
    invoice = await access.invoice(session, new.invoice_id, lock=True)
    given: Sequence[tuple[object, object]] = (
        (new.creditor_id, invoice.creditor_id), (new.debtor_id, invoice.debtor_id), (new.currency, invoice.currency),
    )  # fmt: skip
    if any(said is not None and said != known for said, known in given):
        raise AllocationMismatch
    if invoice.document is DocumentState.VOID:
        raise InvoiceNotOpen
    return invoice.creditor_id, invoice.debtor_id, invoice.currency, invoice.issued_on


async def _known(session: TenantSession, external_id: str | None) -> Charge | None:
    if external_id is None:
        return None
    statement = select(Charge).where(Charge.tenant_id == tenant_of(session), Charge.external_id == external_id)
    return (await session.scalars(statement.limit(1))).one_or_none()


def _same(row: Charge, new: NewCharge, owner: tuple[UUID, UUID, str]) -> bool:
    ours = (row.creditor_id, row.debtor_id, row.currency), row.kind, row.amount_minor, row.invoice_id
    return ours == (owner, new.kind, new.amount_minor, new.invoice_id)


def _entry(row: Charge, kind: EntryKind, amount_minor: int, day: date, now: datetime) -> Entry:
    return Entry(
        kind=kind, creditor_id=row.creditor_id, debtor_id=row.debtor_id, currency=row.currency,
        amount_minor=amount_minor, invoice_id=row.invoice_id, charge_id=row.id, due_on=row.due_on, effective_on=day,
        known_at=now,
    )  # fmt: skip
