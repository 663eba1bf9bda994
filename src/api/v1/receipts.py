"""Receipts: money that arrived, what it settles, and money that went back."""

from datetime import date, datetime
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct, structs

from api.fields import Currency, ExternalId, IdText, Name, PositiveMinor, Reason, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import Problem, problem_of, problems
from api.resources import ApiSettings
from api.routes import needs
from api.v1.filters import CreditorFilter, DebtorFilter, EffectiveFrom, EffectiveTo, ExternalIdFilter
from api.v1.shares import ALLOCATING, MAX_SHARES, AllocationIn, Shares, UnallocationIn, shares_of
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, queries
from receivables.allocations import allocate_receipt, unallocate_receipt
from receivables.drafts import NewReceipt, NewReversal
from receivables.errors import (
    AllocationNotFound,
    CreditorNotFound,
    DebtorNotFound,
    ExceedsReceipt,
    ExternalIdTaken,
    ReceiptNotFound,
    ReceiptNotProvisional,
    ReceiptReversed,
)
from receivables.ledger_views import ReversalView
from receivables.models import ReceiptState, ReversalKind
from receivables.outcomes import Outcome
from receivables.queries import ReceiptFilter
from receivables.receipts import MAX_BATCH, finalise, record_receipt, record_receipts, reverse
from receivables.views import ReceiptView
from storage.session import TenantSession


class ReceiptIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Money that arrived; `provisional` when it may still not (a debit in process, an announced transfer)."""

    creditor_id: IdText
    debtor_id: IdText
    currency: Currency
    amount_minor: PositiveMinor
    state: Literal["provisional", "final"] = "final"
    effective_on: date | None = None  # the creditor's today unless given
    method: Name | None = None
    reference: Name | None = None
    named_invoice_ids: Annotated[list[IdText], Meta(max_length=MAX_SHARES)] = []  # what the debtor said that it pays
    allocations: Shares = []
    external_id: ExternalId | None = None  # the same receipt again, known by it, changes nothing


class ReceiptsIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Receipts to be recorded, each on its own account."""

    receipts: Annotated[list[ReceiptIn], Meta(min_length=1, max_length=MAX_BATCH)]


class ReceiptItem(Struct, kw_only=True):
    """What became of one item: the receipt, or the problem that it alone would have been answered with."""

    status: int
    receipt: ReceiptView | None
    problem: Problem | None


class ReceiptsOut(Struct, kw_only=True):
    """What became of each item, in order."""

    data: list[ReceiptItem]


class ReversalIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why and when money went back, and how much of it: all that is left, unless said."""

    reason: Reason
    kind: ReversalKind = ReversalKind.BOUNCE
    amount_minor: PositiveMinor | None = None
    effective_on: date | None = None  # the creditor's today unless given; a mistake's is the receipt's own day
    external_id: ExternalId | None = None  # the same reversal again, known by it, changes nothing


class Receipts(Controller):
    """What is not allocated stays unapplied and holds back reminders that it would cover."""

    path = "/v1/receipts"
    tags = ["Receipts"]

    @post(
        operation_id="createReceipt",
        opt=needs("receipts:write", key="required"),
        responses=problems(CreditorNotFound, DebtorNotFound, ExternalIdTaken, *ALLOCATING),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[ReceiptIn]
    ) -> ReceiptView:
        """Record money that arrived and settle what the caller names, or what a rule says."""
        return await record_receipt(session, _new(data), now)

    @post(
        "/batch",
        operation_id="createReceipts",
        status_code=207,
        opt=needs("receipts:write", key="required"),
        responses=problems(ExternalIdTaken),
    )
    async def batch(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        settings: NamedDependency[ApiSettings],
        data: JSONBody[ReceiptsIn],
    ) -> ReceiptsOut:
        """Record up to 100 receipts; one that is refused does not stop the others."""
        news = [_new(item, f"receipts/{place}/") for place, item in enumerate(data.receipts)]
        outcomes = await record_receipts(session, news, now)
        return ReceiptsOut(data=[_item(outcome, settings) for outcome in outcomes])

    @get(operation_id="listReceipts", opt=needs("receipts:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        creditor: CreditorFilter = None,
        in_state: Annotated[ReceiptState | None, QueryParameter(name="state")] = None,
        unapplied: Annotated[bool | None, QueryParameter(name="unapplied", description="Something is left.")] = None,
        effective_from: EffectiveFrom = None,
        effective_to: EffectiveTo = None,
        external_id: ExternalIdFilter = None,
    ) -> PageOf[ReceiptView]:
        """List receipts, the newest first."""
        wanted = ReceiptFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            state=in_state,
            unapplied=unapplied,
            effective_from=effective_from,
            effective_to=effective_to,
            external_id=external_id,
        )
        rows = await queries.receipts(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("rcp", view.id).hex])

    @get(
        "/{receipt_id:str}",
        operation_id="getReceipt",
        opt=needs("receipts:read"),
        responses=problems(ReceiptNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], receipt_id: FromPath[str]) -> ReceiptView:
        """Read one receipt."""
        return await access.receipt_view(session, ids.decode("rcp", receipt_id))

    @post(
        "/{receipt_id:str}/finalise",
        operation_id="finaliseReceipt",
        status_code=200,
        opt=needs("receipts:write", key="required"),
        responses=problems(ReceiptNotFound, ReceiptNotProvisional, ReceiptReversed, PreconditionFailed),
    )
    async def finalise(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        receipt_id: FromPath[str],
    ) -> ReceiptView:
        """Say that provisional money has arrived for good."""
        return await finalise(session, ids.decode("rcp", receipt_id), now, expected_version=expected_version)

    @post(
        "/{receipt_id:str}/reverse",
        operation_id="reverseReceipt",
        status_code=200,
        opt=needs("receipts:write", key="required"),
        responses=problems(ReceiptNotFound, ReceiptReversed, ExceedsReceipt, ExternalIdTaken, PreconditionFailed),
    )
    async def reverse(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        receipt_id: FromPath[str],
        data: JSONBody[ReversalIn],
    ) -> ReceiptView:
        """Say that money went back, wholly or in part: as much of what it had settled is open again, to the cent."""
        why = NewReversal(**structs.asdict(data))
        return await reverse(session, ids.decode("rcp", receipt_id), why, now, expected_version=expected_version)

    @get(
        "/{receipt_id:str}/reversals",
        operation_id="listReversals",
        opt=needs("receipts:read"),
        responses=problems(ReceiptNotFound, CursorInvalid),
    )
    async def reversals(
        self, session: NamedDependency[TenantSession], page: NamedDependency[Page], receipt_id: FromPath[str]
    ) -> PageOf[ReversalView]:
        """List how a receipt's money went back, the newest first."""
        receipt = await access.receipt(session, ids.decode("rcp", receipt_id))
        rows = await queries.reversals(session, receipt, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("rev", view.id).hex])

    @post(
        "/{receipt_id:str}/allocate",
        operation_id="allocateReceipt",
        status_code=200,
        opt=needs("receipts:write", key="required"),
        responses=problems(ReceiptNotFound, ReceiptReversed, *ALLOCATING),
    )
    async def allocate(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        receipt_id: FromPath[str],
        data: JSONBody[AllocationIn],
    ) -> ReceiptView:
        """Settle debts with what the receipt has left."""
        return await allocate_receipt(session, ids.decode("rcp", receipt_id), shares_of(data.allocations), now)

    @post(
        "/{receipt_id:str}/unallocate",
        operation_id="unallocateReceipt",
        status_code=200,
        opt=needs("receipts:write", key="required"),
        responses=problems(ReceiptNotFound, ReceiptReversed, AllocationNotFound),
    )
    async def unallocate(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        receipt_id: FromPath[str],
        data: JSONBody[UnallocationIn],
    ) -> ReceiptView:
        """Take allocations back: the debts are open again, the money unapplied."""
        named = data.allocation_ids
        wanted = None if named is None else [body_id(each, "alc", "allocation_ids") for each in named]
        return await unallocate_receipt(session, ids.decode("rcp", receipt_id), wanted, now)


def _new(data: ReceiptIn, within: str = "") -> NewReceipt:
    named = [body_id(each, "inv", f"{within}named_invoice_ids") for each in data.named_invoice_ids]
    return NewReceipt(
        creditor_id=body_id(data.creditor_id, "crd", f"{within}creditor_id"),
        debtor_id=body_id(data.debtor_id, "dbt", f"{within}debtor_id"),
        currency=data.currency,
        amount_minor=data.amount_minor,
        state=ReceiptState.PROVISIONAL if data.state == "provisional" else ReceiptState.FINAL,
        effective_on=data.effective_on,
        method=data.method,
        reference=data.reference,
        named_invoice_ids=tuple(named),
        allocations=shares_of(data.allocations, within),
        external_id=data.external_id,
    )


def _item(outcome: Outcome[ReceiptView], settings: ApiSettings) -> ReceiptItem:
    if outcome.error is not None:
        problem = problem_of(outcome.error, settings.public_url)
        return ReceiptItem(status=outcome.error.status, receipt=None, problem=problem)
    return ReceiptItem(status=201 if outcome.status == "created" else 200, receipt=outcome.view, problem=None)
