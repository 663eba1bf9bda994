"""Invoices: what a creditor has billed. A wrong amount or date is corrected, a mistake voided, nothing deleted."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from api.expanding import Expand
from api.fields import AmountMinor, Currency, ExternalId, IdText, Name, PositiveMinor, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import Problem, problem_of, problems
from api.resources import ApiSettings
from api.routes import needs
from api.v1.drafting import sent
from api.v1.filters import (
    CreditorFilter,
    DebtorFilter,
    DueFrom,
    DueTo,
    ExternalIdFilter,
    IssuedFrom,
    IssuedTo,
    NumberFilter,
)
from billing_connectors import references
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from kernel.money import MAX_MINOR
from receivables import access, queries
from receivables.corrections import update_invoice, void_invoice
from receivables.drafts import InvoiceChange, Line, NewInvoice
from receivables.errors import (
    AmountBelowAllocated,
    CreditorNotFound,
    DebtorNotFound,
    ExternalIdTaken,
    InvoiceNotFound,
    InvoiceNotOpen,
    InvoiceNumberTaken,
)
from receivables.invoices import open_invoice, open_invoices
from receivables.models import DocumentState, VoidReason
from receivables.outcomes import Outcome
from receivables.queries import InvoiceFilter
from receivables.taxes import MAX_TAX_LINES, ExchangeRate, TaxCategory, TaxLine
from receivables.upserting import put_invoices
from receivables.views import InvoiceView
from storage.session import TenantSession

MAX_BATCH = 100
MAX_LINES = 120
Number = Annotated[str, Meta(min_length=1, max_length=100)]
Terms = Annotated[str, Meta(max_length=1_000)]
RateText = Annotated[str, Meta(min_length=1, max_length=26, pattern=r"^[0-9]{1,13}(\.[0-9]{1,12})?$")]  # no float
SignedMinor = Annotated[int, Meta(ge=-MAX_MINOR, le=MAX_MINOR)]


class LineIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """One due line of an invoice."""

    amount_minor: AmountMinor
    due_on: date | None = None
    discount_minor: PositiveMinor | None = None  # taken off when the rest is paid by `discount_until`
    discount_until: date | None = None


class TaxLineIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """The tax of one rate (per cent). All bases and taxes add up to the invoice's total."""

    category: TaxCategory = TaxCategory.STANDARD
    rate: RateText
    base_minor: SignedMinor
    tax_minor: SignedMinor


class ExchangeRateIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What one unit of the invoice's currency was worth in the currency that the creditor reports in, that day."""

    currency: Currency
    rate: RateText
    on: date


Taxes = Annotated[list[TaxLineIn], Meta(max_length=MAX_TAX_LINES)]
Lines = Annotated[list[LineIn], Meta(max_length=MAX_LINES)]


class InvoiceIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An invoice to be opened. Without `instalments` what is due is one instalment, due on `due_on`."""

    creditor_id: IdText
    debtor_id: IdText
    number: Number
    issued_on: date
    currency: Currency
    total_minor: AmountMinor
    prepaid_minor: AmountMinor = 0  # settled before Relance knew the invoice
    due_on: date | None = None
    instalments: Lines = []
    external_id: ExternalId | None = None
    purchase_order: Name | None = None
    payment_terms: Terms | None = None
    direct_debit_on: date | None = None
    contract: Name | None = None
    project: Name | None = None
    delivery_note: Name | None = None
    buyer_reference: Name | None = None
    taxes: Taxes = []
    exchange_rate: ExchangeRateIn | None = None


class InvoicePatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of an invoice can be corrected."""

    due_on: date | UnsetType | None = UNSET
    total_minor: AmountMinor | UnsetType = UNSET
    prepaid_minor: AmountMinor | UnsetType = UNSET
    instalments: Lines | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    purchase_order: Name | UnsetType | None = UNSET
    payment_terms: Terms | UnsetType | None = UNSET
    direct_debit_on: date | UnsetType | None = UNSET
    contract: Name | UnsetType | None = UNSET
    project: Name | UnsetType | None = UNSET
    delivery_note: Name | UnsetType | None = UNSET
    buyer_reference: Name | UnsetType | None = UNSET
    taxes: Taxes | UnsetType = UNSET
    exchange_rate: ExchangeRateIn | UnsetType | None = UNSET


class Voiding(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why an invoice no longer counts."""

    reason: VoidReason


class InvoicesIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Invoices to be opened, each on its own account.

    One that is known by its external_id, or by creditor, number and year, is refused, or corrected where `known` says
    so: the same again then changes nothing, and an absent field never empties one.
    """

    invoices: Annotated[list[InvoiceIn], Meta(min_length=1, max_length=MAX_BATCH)]
    known: Literal["refuse", "correct"] = "refuse"


class BatchItem(Struct, kw_only=True):
    """What became of one item: the invoice, or the problem that it alone would have been answered with."""

    status: int
    invoice: InvoiceView | None
    problem: Problem | None


class BatchOut(Struct, kw_only=True):
    """What became of each item, in order."""

    data: list[BatchItem]


class Invoices(Controller):
    """What is owed, in instalments."""

    path = "/v1/invoices"
    tags = ["Invoices"]

    @post(
        operation_id="createInvoice",
        opt=needs("invoices:write"),
        responses=problems(CreditorNotFound, DebtorNotFound, InvoiceNumberTaken, ExternalIdTaken),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[InvoiceIn]
    ) -> InvoiceView:
        """Open an invoice; its number is taken once per creditor and year. A credit note may wait for it already."""
        view = await open_invoice(session, _new(data), now)
        found = await references.settle_opened(session, [view], now)
        return await access.invoice_view(session, ids.decode("inv", view.id)) if found else view

    @post(
        "/batch",
        operation_id="createInvoices",
        status_code=207,
        opt=needs("invoices:write"),
        responses=problems(ExternalIdTaken),
    )
    async def batch(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        settings: NamedDependency[ApiSettings],
        data: JSONBody[InvoicesIn],
    ) -> BatchOut:
        """Open up to 100 invoices; one that is refused does not stop the others."""
        put = put_invoices if data.known == "correct" else open_invoices
        outcomes = await put(
            session, [_new(item, f"invoices/{place}/") for place, item in enumerate(data.invoices)], now
        )
        opened = [each.view for each in outcomes if each.view and each.status == "created"]
        found = await references.settle_opened(session, opened, now)
        wanted = [ids.decode("inv", view.id) for view in opened]
        fresh = await queries.invoices_by_id(session, wanted) if found else {}
        return BatchOut(data=[_item(outcome, settings, fresh) for outcome in outcomes])

    @get(operation_id="listInvoices", opt=needs("invoices:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        creditor: CreditorFilter = None,
        document: Annotated[DocumentState | None, QueryParameter(name="document")] = None,
        settled: Annotated[bool | None, QueryParameter(name="settled", description="Nothing is left to pay.")] = None,
        overdue: Annotated[
            bool | None, QueryParameter(name="overdue", description="Something is due since before today.")
        ] = None,
        due_from: DueFrom = None,
        due_to: DueTo = None,
        issued_from: IssuedFrom = None,
        issued_to: IssuedTo = None,
        external_id: ExternalIdFilter = None,
        number: NumberFilter = None,
    ) -> PageOf[InvoiceView]:
        """List invoices, the newest first."""
        wanted = InvoiceFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            document=document,
            settled=settled,
            overdue=overdue,
            due_from=due_from,
            due_to=due_to,
            issued_from=issued_from,
            issued_to=issued_to,
            external_id=external_id,
            number_prefix=number,
        )
        rows = await queries.invoices(session, wanted, now=now, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("inv", view.id).hex])

    @get(
        "/{invoice_id:str}",
        operation_id="getInvoice",
        opt=needs("invoices:read", expand=("debtor", "creditor")),
        responses=problems(InvoiceNotFound),
    )
    async def read(
        self,
        session: NamedDependency[TenantSession],
        expand: NamedDependency[Expand],
        invoice_id: FromPath[str],
    ) -> InvoiceView:
        """Read an invoice with its instalments."""
        row = await access.invoice(session, ids.decode("inv", invoice_id))
        view = InvoiceView.of(row, (await access.instalments(session, [row.id]))[row.id])
        if expand.wants("debtor"):
            expand.put(await queries.debtors_by_id(session, [row.debtor_id]))
        if expand.wants("creditor"):
            expand.put(await queries.creditors_by_id(session, [row.creditor_id]))
        return view

    @patch(
        "/{invoice_id:str}",
        operation_id="updateInvoice",
        opt=needs("invoices:write"),
        responses=problems(InvoiceNotFound, InvoiceNotOpen, AmountBelowAllocated, ExternalIdTaken, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        invoice_id: FromPath[str],
        data: JSONBody[InvoicePatch],
    ) -> InvoiceView:
        """Correct an invoice; what has been allocated to it stays."""
        lines, taxes, rate = data.instalments, data.taxes, data.exchange_rate
        fields = sent(
            data,
            instalments=lines if isinstance(lines, UnsetType) else _lines(lines),
            taxes=taxes if isinstance(taxes, UnsetType) else _taxes(taxes),
            exchange_rate=rate if isinstance(rate, UnsetType) else _rate(rate),
        )
        change = InvoiceChange(**fields)
        return await update_invoice(
            session, ids.decode("inv", invoice_id), change, now, expected_version=expected_version
        )

    @post(
        "/{invoice_id:str}/void",
        operation_id="voidInvoice",
        status_code=200,
        opt=needs("invoices:write"),
        responses=problems(InvoiceNotFound, InvoiceNotOpen, PreconditionFailed),
    )
    async def void(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        invoice_id: FromPath[str],
        data: JSONBody[Voiding],
    ) -> InvoiceView:
        """Take an invoice out of what is owed; what had settled it is free again."""
        wanted: UUID = ids.decode("inv", invoice_id)
        return await void_invoice(session, wanted, data.reason, now, expected_version=expected_version)


def _new(data: InvoiceIn, within: str = "") -> NewInvoice:
    return NewInvoice(
        creditor_id=body_id(data.creditor_id, "crd", f"{within}creditor_id"),
        debtor_id=body_id(data.debtor_id, "dbt", f"{within}debtor_id"),
        number=data.number,
        issued_on=data.issued_on,
        currency=data.currency,
        total_minor=data.total_minor,
        prepaid_minor=data.prepaid_minor,
        due_on=data.due_on,
        instalments=_lines(data.instalments),
        external_id=data.external_id,
        purchase_order=data.purchase_order,
        payment_terms=data.payment_terms,
        direct_debit_on=data.direct_debit_on,
        contract=data.contract,
        project=data.project,
        delivery_note=data.delivery_note,
        buyer_reference=data.buyer_reference,
        taxes=_taxes(data.taxes),
        exchange_rate=_rate(data.exchange_rate),
    )


def _lines(lines: list[LineIn]) -> tuple[Line, ...]:
    return tuple(Line(**structs.asdict(line)) for line in lines)


def _taxes(lines: list[TaxLineIn]) -> tuple[TaxLine, ...]:
    return tuple(
        TaxLine(category=line.category, rate=Decimal(line.rate), base_minor=line.base_minor, tax_minor=line.tax_minor)
        for line in lines
    )


def _rate(rate: ExchangeRateIn | None) -> ExchangeRate | None:
    return None if rate is None else ExchangeRate(currency=rate.currency, rate=Decimal(rate.rate), on=rate.on)


def _item(outcome: Outcome[InvoiceView], settings: ApiSettings, fresh: Mapping[str, InvoiceView]) -> BatchItem:
    if outcome.error is not None:
        problem = problem_of(outcome.error, settings.public_url)
        return BatchItem(status=outcome.error.status, invoice=None, problem=problem)
    view = outcome.view and fresh.get(outcome.view.id, outcome.view)
    return BatchItem(status=201 if outcome.status == "created" else 200, invoice=view, problem=None)
