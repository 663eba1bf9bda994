"""The only way to load one row by its id; another tenant's row does not exist.

With `lock` the debtor is locked first and the row is read again under the lock, where it stands still.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import select

from receivables import beside, identifiers
from receivables.errors import (
    ChargeNotFound,
    ContactNotFound,
    CreditNoteNotFound,
    CreditorNotFound,
    DebtorNotFound,
    InstalmentNotFound,
    InvoiceNotFound,
    ReceiptNotFound,
    WriteOffNotFound,
)
from receivables.ledger import Charge, WriteOff
from receivables.locks import lock_debtors
from receivables.models import Contact, CreditNote, Creditor, Debtor, Instalment, Invoice, Receipt
from receivables.party_models import BankAccount
from receivables.party_views import BankAccountView
from receivables.views import CreditorView, DebtorView, InvoiceView, ReceiptView
from storage.base import Base
from storage.session import TenantSession, tenant_of


async def reread(session: TenantSession, row: Base) -> None:
    """Read a row again under its lock; what this unit of work has changed is written first, not lost."""
    await session.flush()
    await session.refresh(row)


async def creditor(session: TenantSession, creditor_id: UUID, *, lock: bool = False) -> Creditor:
    """Load one creditor; its lock is its own row's."""
    row = await session.get(Creditor, (tenant_of(session), creditor_id))
    if row is None:
        raise CreditorNotFound
    if lock:
        await session.flush()
        await session.refresh(row, with_for_update={"key_share": True})
    return row


async def creditor_view(session: TenantSession, creditor_id: UUID) -> CreditorView:
    """One creditor as the world sees it."""
    row = await creditor(session, creditor_id)
    return (await creditor_views(session, [row]))[0]


async def creditor_views(session: TenantSession, rows: Sequence[Creditor]) -> list[CreditorView]:
    """Creditors as the world sees them, in two queries."""
    wanted = [row.id for row in rows]
    held = await identifiers.held_by(session, identifiers.CREDITORS, wanted)
    accounts = await _accounts(session, wanted)
    return [CreditorView.of(row, held[row.id], accounts[row.id]) for row in rows]


async def _accounts(session: TenantSession, creditor_ids: list[UUID]) -> dict[UUID, tuple[BankAccountView, ...]]:
    found: dict[UUID, tuple[BankAccountView, ...]] = dict.fromkeys(creditor_ids, ())
    statement = (
        select(BankAccount)
        .where(
            BankAccount.tenant_id == tenant_of(session),
            BankAccount.creditor_id.in_(creditor_ids),
            BankAccount.archived_at.is_(None),
        )
        .order_by(BankAccount.id)
    )
    for row in await session.scalars(statement) if creditor_ids else ():  # bounded: a creditor has few accounts
        found[row.creditor_id] = (*found[row.creditor_id], BankAccountView.of(row))
    return found


async def debtor(session: TenantSession, debtor_id: UUID, *, lock: bool = False) -> Debtor:
    """Load one debtor."""
    if lock:
        await lock_debtors(session, [debtor_id])
    row = await session.get(Debtor, (tenant_of(session), debtor_id))
    if row is None:
        raise DebtorNotFound
    if lock:
        await reread(session, row)
    return row


async def debtor_view(session: TenantSession, debtor_id: UUID) -> DebtorView:
    """One debtor as the world sees it."""
    row = await debtor(session, debtor_id)
    return (await debtor_views(session, [row]))[0]


async def debtor_views(session: TenantSession, rows: Sequence[Debtor]) -> list[DebtorView]:
    """Debtors as the world sees them, in three queries."""
    found = await beside.of(session, [row.id for row in rows])
    return [DebtorView.of(row, found[row.id]) for row in rows]


async def contact(session: TenantSession, contact_id: UUID, *, lock: bool = False) -> Contact:
    """Load one contact."""
    row = await session.get(Contact, (tenant_of(session), contact_id))
    if row is None:
        raise ContactNotFound
    if lock:
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def invoice(session: TenantSession, invoice_id: UUID, *, lock: bool = False) -> Invoice:
    """Load one invoice."""
    row = await session.get(Invoice, (tenant_of(session), invoice_id))
    if row is None:
        raise InvoiceNotFound
    if lock:
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def debtors_of_invoices(session: TenantSession, invoice_ids: Iterable[UUID]) -> set[UUID]:
    """Whom to lock before these invoices are read."""
    wanted = list(invoice_ids)
    statement = select(Invoice.debtor_id).where(Invoice.tenant_id == tenant_of(session), Invoice.id.in_(wanted))
    return set(await session.scalars(statement.distinct()))  # bounded: by the invoices asked for


async def instalment(session: TenantSession, instalment_id: UUID) -> Instalment:
    """Load one instalment."""
    row = await session.get(Instalment, (tenant_of(session), instalment_id))
    if row is None:
        raise InstalmentNotFound
    return row


async def instalments(session: TenantSession, invoice_ids: Iterable[UUID]) -> dict[UUID, list[Instalment]]:
    """The instalments of each invoice, in order of their place."""
    lines: dict[UUID, list[Instalment]] = {invoice_id: [] for invoice_id in invoice_ids}
    if lines:
        statement = (
            select(Instalment)
            .where(Instalment.tenant_id == tenant_of(session), Instalment.invoice_id.in_(lines))
            .order_by(Instalment.invoice_id, Instalment.place)
            .execution_options(populate_existing=True)
        )
        for line in await session.scalars(statement):  # bounded: by the invoices asked for
            lines[line.invoice_id].append(line)
    return lines


async def invoice_view(session: TenantSession, invoice_id: UUID) -> InvoiceView:
    """One invoice as the world sees it."""
    row = await invoice(session, invoice_id)
    return InvoiceView.of(row, (await instalments(session, [invoice_id]))[invoice_id])


async def credit_note(session: TenantSession, credit_note_id: UUID, *, lock: bool = False) -> CreditNote:
    """Load one credit note."""
    row = await session.get(CreditNote, (tenant_of(session), credit_note_id))
    if row is None:
        raise CreditNoteNotFound
    if lock:
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def receipt(session: TenantSession, receipt_id: UUID, *, lock: bool = False) -> Receipt:
    """Load one receipt."""
    row = await session.get(Receipt, (tenant_of(session), receipt_id))
    if row is None:
        raise ReceiptNotFound
    if lock:
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def receipt_view(session: TenantSession, receipt_id: UUID) -> ReceiptView:
    """One receipt as the world sees it."""
    return ReceiptView.of(await receipt(session, receipt_id))


async def charge(session: TenantSession, charge_id: UUID, *, lock: bool = False) -> Charge:
    """Load one charge."""
    row = await session.get(Charge, (tenant_of(session), charge_id))
    if row is None:
        raise ChargeNotFound
    if lock:
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def write_off(session: TenantSession, write_off_id: UUID, *, lock: bool = False) -> WriteOff:
    """Load one write-off."""
    row = await session.get(WriteOff, (tenant_of(session), write_off_id))
    if row is None:
        raise WriteOffNotFound
    if lock:
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def existing_invoices(session: TenantSession, invoice_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these invoices that exist."""
    wanted = list(invoice_ids)
    statement = select(Invoice.id).where(Invoice.tenant_id == tenant_of(session), Invoice.id.in_(wanted))
    return set(await session.scalars(statement))  # bounded: by the invoices asked for


async def zones_of(session: TenantSession, creditor_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The time zone of each creditor: whose day it is."""
    wanted = list(creditor_ids)
    statement = select(Creditor.id, Creditor.zone).where(
        Creditor.tenant_id == tenant_of(session), Creditor.id.in_(wanted)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}  # bounded: by the creditors asked for
