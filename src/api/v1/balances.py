"""Balances on any day, as known at any instant; versions of an invoice; the ledger's entries; laying money out anew."""

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from api.fields import Currency, IdText, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.filters import (
    AsKnownAt,
    CreditorFilter,
    DebtorFilter,
    EffectiveFrom,
    EffectiveTo,
    InvoiceFilterId,
    instant,
)
from kernel import ids
from kernel.cursors import CursorInvalid
from receivables import access, lists
from receivables.balances import DebtorBalance, InvoiceBalance, debtor_balance, invoice_balance
from receivables.errors import CreditorNotFound, DebtorNotFound, InvoiceNotFound, TooMuchToReallocate
from receivables.ledger import EntryKind
from receivables.ledger_views import LedgerEntryView
from receivables.lists import EntryFilter
from receivables.models import AllocationRule
from receivables.reallocating import Reallocation, reallocate
from receivables.versions import InvoiceVersion, invoice_versions
from storage.session import TenantSession

AsOf = Annotated[
    date | None, QueryParameter(name="as_of", description="On which day; the creditor's today unless given.")
]


class ReallocationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which money is laid out anew: of one creditor and currency, by the creditor's rule or the one named."""

    creditor_id: IdText
    currency: Currency
    rule: AllocationRule | None = None


class InvoiceLedger(Controller):
    """What was true of an invoice, and what was known of it."""

    path = "/v1/invoices/{invoice_id:str}"
    tags = ["Invoices"]

    @get("/balance", operation_id="getInvoiceBalance", opt=needs("invoices:read"), responses=problems(InvoiceNotFound))
    async def balance(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        invoice_id: FromPath[str],
        as_of: AsOf = None,
        as_known_at: AsKnownAt = None,
    ) -> InvoiceBalance:
        """Read what was to pay on a day, as known at an instant, by instalment; charges stand beside it."""
        wanted = ids.decode("inv", invoice_id)
        return await invoice_balance(session, wanted, now, as_of=as_of, as_known_at=instant(as_known_at))

    @get(
        "/versions",
        operation_id="listInvoiceVersions",
        opt=needs("invoices:read"),
        responses=problems(InvoiceNotFound, CursorInvalid),
    )
    async def versions(
        self, session: NamedDependency[TenantSession], page: NamedDependency[Page], invoice_id: FromPath[str]
    ) -> PageOf[InvoiceVersion]:
        """List what the invoice looked like after each change, the newest first."""
        row = await access.invoice(session, ids.decode("inv", invoice_id))
        rows = await invoice_versions(session, row.id, before=page.after_int(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [view.version])


class DebtorLedger(Controller):
    """What a debtor owed, and what its money settles."""

    path = "/v1/debtors/{debtor_id:str}"
    tags = ["Debtors"]

    @get("/balance", operation_id="getDebtorBalance", opt=needs("debtors:read"), responses=problems(DebtorNotFound))
    async def balance(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        debtor_id: FromPath[str],
        as_of: AsOf = None,
        as_known_at: AsKnownAt = None,
    ) -> DebtorBalance:
        """Read what a debtor owed on a day, as known at an instant, by creditor and currency."""
        wanted = ids.decode("dbt", debtor_id)
        return await debtor_balance(session, wanted, now, as_of=as_of, as_known_at=instant(as_known_at))

    @post(
        "/reallocate",
        operation_id="reallocateDebtor",
        status_code=200,
        opt=needs("receipts:write", key="required"),
        responses=problems(DebtorNotFound, CreditorNotFound, TooMuchToReallocate),
    )
    async def reallocate(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        debtor_id: FromPath[str],
        data: JSONBody[ReallocationIn],
    ) -> Reallocation:
        """Run the rule again over all money that nobody has allocated by hand; a second run changes nothing."""
        creditor_id = body_id(data.creditor_id, "crd", "creditor_id")
        wanted = ids.decode("dbt", debtor_id)
        return await reallocate(session, wanted, creditor_id, data.currency, now, rule=data.rule)


class LedgerEntries(Controller):
    """Every change of an amount, in rows that are only added."""

    path = "/v1/ledger_entries"
    tags = ["Ledger"]

    @get(operation_id="listLedgerEntries", opt=needs("invoices:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        creditor: CreditorFilter = None,
        invoice: InvoiceFilterId = None,
        kind: Annotated[EntryKind | None, QueryParameter(name="kind")] = None,
        effective_from: EffectiveFrom = None,
        effective_to: EffectiveTo = None,
    ) -> PageOf[LedgerEntryView]:
        """List entries, the newest first."""
        wanted = EntryFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            kind=kind,
            effective_from=effective_from,
            effective_to=effective_to,
        )
        rows = await lists.entries(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("lge", view.id).hex])
