"""Conflicts: documents that contradict what is known, with both sides, settled in one call."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.fields import IdText, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from api.v1.filters import DebtorFilter, InvoiceFilterId
from billing_connectors import queries, settling
from billing_connectors.errors import ConflictNotFound, ConflictNotOpen, ConflictUnresolved
from billing_connectors.models import ConflictState
from billing_connectors.queries import ConflictFilter
from billing_connectors.settling import MAX_BULK, Keep, Resolution
from billing_connectors.views import ConflictDetail, ConflictView
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables.errors import DebtorErased, DebtorNotFound, MergeContradicts, MergeInvalid
from storage.session import TenantSession


class ResolutionIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which side is right.

    `known`: the document is set aside. `incoming`: the known document is corrected to it, or replaced by it.
    `both_distinct`: two documents, the incoming one under `number` (or the old one with ~2 after it); where the
    question is whose it is, a new debtor. `merge_debtors`: the debtors that it leads to are one. `debtor_id` says who
    the buyer is.
    """

    keep: Keep
    debtor_id: IdText | None = None
    number: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    force: bool = False  # of merge_debtors: although their legal ids contradict each other


class BulkIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Conflicts that are settled alike: all of them, or none."""

    conflict_ids: Annotated[list[IdText], Meta(min_length=1, max_length=MAX_BULK)]
    keep: Literal["known", "incoming"]


class Resolved(Struct, frozen=True, kw_only=True):
    """What became of each, in order."""

    data: list[ConflictView]


class Conflicts(Controller):
    """The known side stays as it is until somebody decides; the task that asks for it is done then."""

    path = "/v1/conflicts"
    tags = ["Conflicts"]

    @get(operation_id="listConflicts", opt=needs("conflicts:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        in_state: Annotated[ConflictState | None, QueryParameter(name="state")] = None,
        reason: Annotated[str | None, QueryParameter(name="reason", min_length=1, max_length=60)] = None,
        debtor: DebtorFilter = None,
        invoice: InvoiceFilterId = None,
    ) -> PageOf[ConflictView]:
        """List conflicts, the newest first."""
        wanted = ConflictFilter(
            state=in_state,
            reason=reason,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            object_id=id_filter(invoice, "invoice", "inv"),
        )
        rows = await queries.conflicts(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("cfl", view.id).hex])

    @get(
        "/{conflict_id:str}",
        operation_id="getConflict",
        opt=needs("conflicts:read"),
        responses=problems(ConflictNotFound),
    )
    async def read(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        conflict_id: FromPath[str],
    ) -> ConflictDetail:
        """Read both sides of a conflict, field by field."""
        return await settling.read(session, resources.database.keys, ids.decode("cfl", conflict_id))

    @post(
        "/{conflict_id:str}/resolve",
        operation_id="resolveConflict",
        status_code=200,
        opt=needs("conflicts:write"),
        responses=problems(
            ConflictNotFound,
            ConflictNotOpen,
            ConflictUnresolved,
            DebtorNotFound,
            DebtorErased,
            MergeContradicts,
            MergeInvalid,
            PreconditionFailed,
        ),
    )
    async def resolve(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        *,
        resources: NamedDependency[Resources],
        expected_version: NamedDependency[int | None],
        conflict_id: FromPath[str],
        data: JSONBody[ResolutionIn],
    ) -> ConflictView:
        """Settle a conflict: the document is set aside or brought in, and the task that asked is done."""
        how = Resolution(
            keep=data.keep,
            debtor_id=None if data.debtor_id is None else body_id(data.debtor_id, "dbt", "debtor_id"),
            number=data.number,
            force=data.force,
        )
        wanted, keys = ids.decode("cfl", conflict_id), resources.database.keys
        return await settling.resolve(session, keys, wanted, how, now, expected_version=expected_version)

    @post(
        "/resolve",
        operation_id="resolveConflicts",
        status_code=200,
        opt=needs("conflicts:write"),
        responses=problems(ConflictNotFound, ConflictNotOpen, ConflictUnresolved),
    )
    async def resolve_many(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        resources: NamedDependency[Resources],
        data: JSONBody[BulkIn],
    ) -> Resolved:
        """Settle up to 100 conflicts alike; where one cannot be settled so, none is."""
        wanted = [body_id(each, "cfl", f"conflict_ids/{place}") for place, each in enumerate(data.conflict_ids)]
        return Resolved(data=await settling.resolve_many(session, resources.database.keys, wanted, data.keep, now))
