"""A resource of the tests' own: what handlers of the core may do, without a package behind it."""

from datetime import date, datetime
from typing import Annotated, Final

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import text

from api.expanding import Expand
from api.fields import AmountMinor, Currency, Instant, Name
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from kernel.errors import Conflict, PreconditionFailed, PreconditionRequired
from storage.session import TenantSession, tenant_of
from tenants.models import KillSwitch

ROWS: Final = list(range(1, 8))


class PlantedConflict(Conflict):
    """The planted resource is in the way of itself."""

    code = "planted_conflict"


class LineIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A line."""

    label: Name
    amount_minor: AmountMinor


class ThingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A thing to be made."""

    name: Name
    currency: Currency
    at: Instant | None = None
    lines: Annotated[list[LineIn], Meta(max_length=5)] = []


class ThingPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a thing can be changed."""

    name: Name | UnsetType | None = UNSET


class ThingView(Struct, frozen=True, kw_only=True):
    """A thing."""

    id: str
    version: int
    name: str | None


class RowView(Struct, frozen=True, kw_only=True):
    """A row of a list."""

    id: str
    due_on: date | None


class Things(Controller):
    """Things of the tests."""

    path = "/v1/things"
    tags = ["Things"]

    @post(operation_id="createThing", opt=needs("tasks:write", key="required"), responses=problems(PlantedConflict))
    async def create(self, session: NamedDependency[TenantSession], data: JSONBody[ThingIn]) -> ThingView:
        """Make a thing, and count it in the cap of the tenant."""
        await count(session)
        if data.name == "conflict":
            raise PlantedConflict
        if data.name == "late":  # found wrong only when the transaction ends
            session.add(KillSwitch(tenant_id=tenant_of(session), scope="tenant", stopped=False, version=1))
        if data.name == "bug":
            raise RuntimeError("a secret of the machine room")
        return ThingView(id="thg_1", version=3, name=data.name)

    @get(operation_id="listThings", opt=needs("tasks:read", expand=("owner",)), responses=problems())
    async def index(
        self,
        page: NamedDependency[Page],
        expand: NamedDependency[Expand],
        due_from: Annotated[date | None, QueryParameter(name="due_on[gte]")] = None,
        label: Annotated[str | None, QueryParameter(max_length=5)] = None,
        is_open: Annotated[bool | None, QueryParameter(name="open")] = None,
    ) -> PageOf[RowView]:
        """List rows."""
        start = page.after_int() or 0
        rows = [row for row in ROWS if row > start][: page.fetch]
        if expand.wants("owner"):
            expand.put([ThingView(id="thg_1", version=1, name=label)])
        return page.of(rows, lambda row: RowView(id=str(row), due_on=due_from), lambda row: [row])

    @get("/{thing_id:str}", operation_id="getThing", opt=needs("tasks:read", expand=("owner",)), responses=problems())
    async def read(self, thing_id: FromPath[str], expand: NamedDependency[Expand]) -> ThingView:
        """Read a thing."""
        if expand.wants("owner"):
            expand.put([ThingView(id="thg_1", version=1, name="owner")])
        return ThingView(id=thing_id, version=7, name="thing")

    @patch(
        "/{thing_id:str}",
        operation_id="updateThing",
        opt=needs("tasks:write"),
        responses=problems(PreconditionFailed, PreconditionRequired),
    )
    async def update(
        self,
        thing_id: FromPath[str],
        required_version: NamedDependency[int | None],
        data: JSONBody[ThingPatch],
    ) -> ThingView:
        """Change a thing."""
        if required_version not in (None, 7):
            raise PreconditionFailed
        return ThingView(id=thing_id, version=8, name="kept" if data.name is UNSET else data.name)

    @post(
        "/{thing_id:str}/touch",
        operation_id="touchThing",
        status_code=200,
        opt=needs("tasks:write"),
        responses=problems(),
    )
    async def touch(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        thing_id: FromPath[str],
    ) -> ThingView:
        """Count a thing."""
        if expected_version not in (None, 7):
            raise PreconditionFailed
        await count(session)
        return ThingView(id=thing_id, version=8, name=now.isoformat())


async def count(session: TenantSession) -> None:
    """An effect that a test can see: one more used of the tenant's budget."""
    await session.execute(
        text("update app.send_budget set used = used + 1 where tenant_id = :tenant"), {"tenant": tenant_of(session)}
    )
