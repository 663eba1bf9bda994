"""Charges: interest, compensation, fees and costs, as lines of their own beside the invoices."""

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from api.fields import Currency, ExternalId, IdText, Name, PositiveMinor, Reason, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.filters import CreditorFilter, DebtorFilter, ExternalIdFilter, InvoiceFilterId
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, lists
from receivables.charges import book_charge, waive_charge
from receivables.drafts import NewCharge
from receivables.errors import (
    AllocationMismatch,
    ChargeNotFound,
    CreditorNotFound,
    DebtorNotFound,
    ExternalIdTaken,
    InvoiceNotFound,
    InvoiceNotOpen,
    NothingOpen,
)
from receivables.ledger import ChargeKind
from receivables.ledger_views import ChargeView
from receivables.lists import ChargeFilter
from storage.session import TenantSession


class ChargeIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A charge on an invoice, or on a debtor: then with creditor, debtor and currency."""

    kind: ChargeKind
    amount_minor: PositiveMinor
    invoice_id: IdText | None = None
    creditor_id: IdText | None = None
    debtor_id: IdText | None = None
    currency: Currency | None = None
    description: Name | None = None
    due_on: date | None = None  # the day from which it is owed unless given
    effective_on: date | None = None  # the creditor's today unless given
    external_id: ExternalId | None = None  # the same charge again, known by it, changes nothing


class WaiverIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why the rest of a charge is no longer asked for."""

    reason: Reason


class Charges(Controller):
    """What is owed besides what was billed. It is paid by allocations, and never part of an invoice's balance."""

    path = "/v1/charges"
    tags = ["Charges"]

    @post(
        operation_id="createCharge",
        opt=needs("charges:write", key="required"),
        responses=problems(
            InvoiceNotFound, InvoiceNotOpen, CreditorNotFound, DebtorNotFound, AllocationMismatch, ExternalIdTaken
        ),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[ChargeIn]
    ) -> ChargeView:
        """Book a charge."""
        new = NewCharge(
            kind=data.kind,
            amount_minor=data.amount_minor,
            invoice_id=None if data.invoice_id is None else body_id(data.invoice_id, "inv", "invoice_id"),
            creditor_id=None if data.creditor_id is None else body_id(data.creditor_id, "crd", "creditor_id"),
            debtor_id=None if data.debtor_id is None else body_id(data.debtor_id, "dbt", "debtor_id"),
            currency=data.currency,
            description=data.description,
            due_on=data.due_on,
            effective_on=data.effective_on,
            external_id=data.external_id,
        )
        return await book_charge(session, new, now)

    @get(operation_id="listCharges", opt=needs("charges:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        creditor: CreditorFilter = None,
        invoice: InvoiceFilterId = None,
        kind: Annotated[ChargeKind | None, QueryParameter(name="kind")] = None,
        settled: Annotated[bool | None, QueryParameter(name="settled", description="Nothing is left of it.")] = None,
        external_id: ExternalIdFilter = None,
    ) -> PageOf[ChargeView]:
        """List charges, the newest first."""
        wanted = ChargeFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            kind=kind,
            settled=settled,
            external_id=external_id,
        )
        rows = await lists.charges(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("chg", view.id).hex])

    @get("/{charge_id:str}", operation_id="getCharge", opt=needs("charges:read"), responses=problems(ChargeNotFound))
    async def read(self, session: NamedDependency[TenantSession], charge_id: FromPath[str]) -> ChargeView:
        """Read one charge."""
        return ChargeView.of(await access.charge(session, ids.decode("chg", charge_id)))

    @post(
        "/{charge_id:str}/waive",
        operation_id="waiveCharge",
        status_code=200,
        opt=needs("charges:write", key="required"),
        responses=problems(ChargeNotFound, NothingOpen, PreconditionFailed),
    )
    async def waive(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        charge_id: FromPath[str],
        data: JSONBody[WaiverIn],
    ) -> ChargeView:
        """Ask no longer for what is left of a charge; what has been paid of it stays paid."""
        wanted = ids.decode("chg", charge_id)
        return await waive_charge(session, wanted, data.reason, now, expected_version=expected_version)
