"""Handling: who chases, the tenant itself or a partner, and never both."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from casework.events import HandlingChanged
from casework.models import Handling, HandlingKind
from casework.views import HandlingView
from kernel import ids
from receivables import access as receivables
from receivables.checking import Faults
from receivables.locks import lock_debtors
from storage.events import emit
from storage.session import TenantSession, tenant_of


class HandlingTarget(Struct, frozen=True, kw_only=True):
    """What is handled: all debts of a debtor to a creditor, or one invoice."""

    creditor_id: UUID | None = None
    debtor_id: UUID | None = None
    invoice_id: UUID | None = None


async def set_handling(
    session: TenantSession, target: HandlingTarget, kind: HandlingKind, now: datetime
) -> HandlingView:
    """Say who chases from now on; the same again changes nothing.

    Raises Invalid, CreditorNotFound, DebtorNotFound, InvoiceNotFound.
    """
    creditor_id, debtor_id = await _pair(session, target)
    await lock_debtors(session, [debtor_id])
    await session.flush()
    row = await _find(session, creditor_id, debtor_id, target.invoice_id)
    if row is None:
        row = Handling(
            tenant_id=tenant_of(session), id=ids.new_id(), version=1, creditor_id=creditor_id, debtor_id=debtor_id,
            invoice_id=target.invoice_id, kind=kind, known_at=now,
        )  # fmt: skip
        session.add(row)
        view = HandlingView.of(row)
        emit(session, HandlingChanged(view, None, now))
        return view
    before = HandlingView.of(row)
    if row.kind is kind:
        return before
    row.kind, row.known_at, row.version = kind, now, row.version + 1
    after = HandlingView.of(row)
    emit(session, HandlingChanged(after, before, now))
    return after


async def _pair(session: TenantSession, target: HandlingTarget) -> tuple[UUID, UUID]:
    faults = Faults()
    if target.invoice_id is not None:
        invoice = await receivables.invoice(session, target.invoice_id)
        if target.creditor_id not in {None, invoice.creditor_id}:
            faults.add("/creditor_id", "differs", "the invoice is of another creditor")
        if target.debtor_id not in {None, invoice.debtor_id}:
            faults.add("/debtor_id", "differs", "the invoice is of another debtor")
        faults.stop()
        return invoice.creditor_id, invoice.debtor_id
    if target.creditor_id is None or target.debtor_id is None:
        faults.add("/invoice_id", "required", "name an invoice, or a creditor and a debtor")
        faults.stop()
        raise AssertionError
    await receivables.creditor(session, target.creditor_id)
    return target.creditor_id, target.debtor_id


async def _find(session: TenantSession, creditor_id: UUID, debtor_id: UUID, invoice_id: UUID | None) -> Handling | None:
    """The row of a target, read under the debtor's lock: nobody else writes it."""
    statement = select(Handling).where(
        Handling.tenant_id == tenant_of(session),
        Handling.creditor_id == creditor_id,
        Handling.debtor_id == debtor_id,
        Handling.invoice_id.is_(None) if invoice_id is None else Handling.invoice_id == invoice_id,
    )
    fresh = statement.execution_options(populate_existing=True)
    return (await session.execute(fresh)).scalar_one_or_none()
