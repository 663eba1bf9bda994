"""Creditors, debtors, invoices, credit notes and receipts for tests."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from kernel import ids
from receivables import contacts, credit_notes, creditors, debtors, invoices, receipts
from receivables.drafts import (
    Line,
    NewContact,
    NewCreditNote,
    NewCreditor,
    NewDebtor,
    NewInvoice,
    NewReceipt,
)
from receivables.views import ContactView, CreditNoteView, CreditorView, DebtorView, InvoiceView, ReceiptView
from storage.database import Database
from storage.session import TenantSession
from support.tenants import CAUSE, NOW

ISSUED: Final = date(2026, 2, 1)
DUE: Final = date(2026, 3, 3)


class Parties:
    """A creditor and a debtor of it."""

    def __init__(self, creditor: CreditorView, debtor: DebtorView) -> None:
        self.creditor, self.debtor = creditor, debtor
        self.creditor_id, self.debtor_id = ids.decode("crd", creditor.id), ids.decode("dbt", debtor.id)


@asynccontextmanager
async def at_work(database: Database, tenant_id: UUID) -> AsyncGenerator[TenantSession]:
    """One unit of work of the test's own."""
    async with database.tenant(tenant_id, CAUSE) as session:
        yield session


async def make_creditor(session: TenantSession, *, now: datetime = NOW, **changes: Any) -> CreditorView:  # Any: fields
    changes.setdefault("name", "Atelier Nord")
    return await creditors.create_creditor(session, NewCreditor(**changes), now)


async def make_debtor(session: TenantSession, *, now: datetime = NOW, **changes: Any) -> DebtorView:  # Any: fields
    changes.setdefault("name", "Boulangerie Petit")
    return await debtors.create_debtor(session, NewDebtor(**changes), now)


async def make_parties(session: TenantSession) -> Parties:
    return Parties(await make_creditor(session), await make_debtor(session))


async def make_contact(
    session: TenantSession,
    debtor_id: UUID,
    *,
    now: datetime = NOW,
    **changes: Any,  # Any: fields
) -> ContactView:
    fields: dict[str, Any] = {"debtor_id": debtor_id, "email": "compta@petit.example"}  # Any: fields of a draft
    return await contacts.create_contact(session, NewContact(**fields | changes), now)


def invoice(
    parties: Parties, number: str = "F-1", total_minor: int = 10_000, **changes: Any
) -> NewInvoice:  # Any: fields
    """An invoice to be opened."""
    fields: dict[str, Any] = {  # Any: fields of a draft
        "creditor_id": parties.creditor_id,
        "debtor_id": parties.debtor_id,
        "number": number,
        "issued_on": ISSUED,
        "due_on": DUE,
        "currency": "EUR",
        "total_minor": total_minor,
    }
    return NewInvoice(**fields | changes)


async def make_invoice(
    session: TenantSession,
    parties: Parties,
    number: str = "F-1",
    total_minor: int = 10_000,
    *,
    now: datetime = NOW,
    **changes: Any,  # Any: fields
) -> InvoiceView:
    return await invoices.open_invoice(session, invoice(parties, number, total_minor, **changes), now)


def lines(*parts: tuple[int, date | None]) -> tuple[Line, ...]:
    """Instalments as amounts and days."""
    return tuple(Line(amount_minor=amount_minor, due_on=due_on) for amount_minor, due_on in parts)


async def make_receipt(
    session: TenantSession,
    parties: Parties,
    amount_minor: int,
    *,
    now: datetime = NOW,
    **changes: Any,  # Any: fields
) -> ReceiptView:
    fields: dict[str, Any] = {  # Any: fields of a draft
        "creditor_id": parties.creditor_id,
        "debtor_id": parties.debtor_id,
        "currency": "EUR",
        "amount_minor": amount_minor,
    }
    return await receipts.record_receipt(session, NewReceipt(**fields | changes), now)


async def make_credit_note(
    session: TenantSession,
    parties: Parties,
    number: str = "A-1",
    total_minor: int = 10_000,
    *,
    now: datetime = NOW,
    **changes: Any,  # Any: fields
) -> CreditNoteView:
    fields: dict[str, Any] = {  # Any: fields of a draft
        "creditor_id": parties.creditor_id,
        "debtor_id": parties.debtor_id,
        "number": number,
        "issued_on": ISSUED,
        "currency": "EUR",
        "total_minor": total_minor,
    }
    return await credit_notes.create_credit_note(session, NewCreditNote(**fields | changes), now)


def instalment_ids(views: Sequence[InvoiceView]) -> list[UUID]:
    """The instalments of invoices, in order."""
    return [ids.decode("ins", line.id) for view in views for line in view.instalments]
