"""Handling: who chases, the tenant or a partner."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from api.fields import IdText, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.filters import CreditorFilter, DebtorFilter, InvoiceFilterId
from casework import access, queries
from casework.errors import HandlingNotFound
from casework.handlings import HandlingTarget, set_handling
from casework.models import HandlingKind
from casework.queries import HandlingFilter
from casework.views import HandlingView
from kernel import ids
from kernel.cursors import CursorInvalid
from receivables.errors import CreditorNotFound, DebtorNotFound, InvoiceNotFound
from storage.session import TenantSession


class HandlingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who chases from now on: all debts of a debtor to a creditor, or one invoice."""

    kind: HandlingKind
    creditor_id: IdText | None = None
    debtor_id: IdText | None = None
    invoice_id: IdText | None = None


class Handlings(Controller):
    """The narrowest row wins; without one the tenant chases itself."""

    path = "/v1/handlings"
    tags = ["Handling"]

    @post(
        operation_id="setHandling",
        status_code=200,
        opt=needs("handlings:write"),
        responses=problems(CreditorNotFound, DebtorNotFound, InvoiceNotFound),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[HandlingIn]
    ) -> HandlingView:
        """Say who chases from now on; said again, it changes nothing."""
        target = HandlingTarget(
            creditor_id=None if data.creditor_id is None else body_id(data.creditor_id, "crd", "creditor_id"),
            debtor_id=None if data.debtor_id is None else body_id(data.debtor_id, "dbt", "debtor_id"),
            invoice_id=None if data.invoice_id is None else body_id(data.invoice_id, "inv", "invoice_id"),
        )
        return await set_handling(session, target, data.kind, now)

    @get(operation_id="listHandlings", opt=needs("handlings:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        creditor: CreditorFilter = None,
        debtor: DebtorFilter = None,
        invoice: InvoiceFilterId = None,
        kind: Annotated[HandlingKind | None, QueryParameter(name="kind")] = None,
    ) -> PageOf[HandlingView]:
        """List who handles what, the newest first."""
        wanted = HandlingFilter(
            creditor_id=id_filter(creditor, "creditor", "crd"),
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            kind=kind,
        )
        rows = await queries.handlings(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("hnd", view.id).hex])

    @get(
        "/{handling_id:str}",
        operation_id="getHandling",
        opt=needs("handlings:read"),
        responses=problems(HandlingNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], handling_id: FromPath[str]) -> HandlingView:
        """Read one handling."""
        return HandlingView.of(await access.handling(session, ids.decode("hnd", handling_id)))
