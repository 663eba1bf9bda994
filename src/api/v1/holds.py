"""Holds: dated reasons not to chase."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from api.fields import IdText, Instant, Note, PositiveMinor, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.drafting import sent
from api.v1.filters import DebtorFilter, InvoiceFilterId
from casework import access, holds, queries
from casework.errors import HoldNotFound, HoldNotOpen
from casework.holds import HoldChange, NewHold
from casework.models import HoldReason, OnEnd
from casework.queries import HoldFilter
from casework.views import HoldView
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables.errors import DebtorNotFound, InstalmentNotFound, InvoiceNotFound
from storage.session import TenantSession


class HoldIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A hold on the narrowest of debtor, invoice and instalment that is named."""

    debtor_id: IdText | None = None
    invoice_id: IdText | None = None
    instalment_id: IdText | None = None
    amount_minor: PositiveMinor | None = None  # in the invoice's currency; without it the whole is held
    reason: HoldReason = HoldReason.MANUAL
    note: Note | None = None
    starts_at: Instant | None = None  # at once unless given
    ends_at: Instant | None = None
    on_end: OnEnd = OnEnd.RESUME


class HoldPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a hold can be changed."""

    amount_minor: PositiveMinor | UnsetType | None = UNSET
    reason: HoldReason | UnsetType = UNSET
    note: Note | UnsetType | None = UNSET
    ends_at: Instant | UnsetType | None = UNSET
    on_end: OnEnd | UnsetType = UNSET


class Holds(Controller):
    """While a hold lasts its target is not chased."""

    path = "/v1/holds"
    tags = ["Holds"]

    @post(
        operation_id="createHold",
        opt=needs("holds:write"),
        responses=problems(DebtorNotFound, InvoiceNotFound, InstalmentNotFound),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[HoldIn]
    ) -> HoldView:
        """Set a hold."""
        fields = sent(
            data,
            debtor_id=None if data.debtor_id is None else body_id(data.debtor_id, "dbt", "debtor_id"),
            invoice_id=None if data.invoice_id is None else body_id(data.invoice_id, "inv", "invoice_id"),
            instalment_id=None if data.instalment_id is None else body_id(data.instalment_id, "ins", "instalment_id"),
        )
        return await holds.set_hold(session, NewHold(**fields), now)

    @get(operation_id="listHolds", opt=needs("holds:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        invoice: InvoiceFilterId = None,
        reason: Annotated[HoldReason | None, QueryParameter(name="reason")] = None,
        active: Annotated[bool | None, QueryParameter(name="active", description="It holds now.")] = None,
    ) -> PageOf[HoldView]:
        """List holds, the newest first."""
        wanted = HoldFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            reason=reason,
            active=active,
        )
        rows = await queries.holds(session, wanted, now=now, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("hld", view.id).hex])

    @get("/{hold_id:str}", operation_id="getHold", opt=needs("holds:read"), responses=problems(HoldNotFound))
    async def read(self, session: NamedDependency[TenantSession], hold_id: FromPath[str]) -> HoldView:
        """Read one hold."""
        return HoldView.of(await access.hold(session, ids.decode("hld", hold_id)))

    @patch(
        "/{hold_id:str}",
        operation_id="updateHold",
        opt=needs("holds:write"),
        responses=problems(HoldNotFound, HoldNotOpen, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        hold_id: FromPath[str],
        data: JSONBody[HoldPatch],
    ) -> HoldView:
        """Change a hold that has not ended."""
        change = HoldChange(**sent(data))
        return await holds.change_hold(
            session, ids.decode("hld", hold_id), change, now, expected_version=expected_version
        )

    @post(
        "/{hold_id:str}/release",
        operation_id="releaseHold",
        status_code=200,
        opt=needs("holds:write"),
        responses=problems(HoldNotFound, HoldNotOpen, PreconditionFailed),
    )
    async def release(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        hold_id: FromPath[str],
    ) -> HoldView:
        """Let the hold's target be chased again."""
        return await holds.release(session, ids.decode("hld", hold_id), now, expected_version=expected_version)
