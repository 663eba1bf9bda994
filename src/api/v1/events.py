"""The event log: every change of state, in the order in which it was committed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from api.fields import ID, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import NotFound
from storage.events import EventRow, cause_read, payloads
from storage.session import Cause, TenantSession
from tenants import queries

MAX_TYPE = 100
EventType = Annotated[
    str | None, QueryParameter(name="type", max_length=MAX_TYPE, description="Only events of this type.")
]
ObjectId = Annotated[str | None, QueryParameter(name="object", pattern=ID, description="Only events of this object.")]


class EventView(Struct, frozen=True, kw_only=True):
    """One change of state: what the object looked like then, and what it had looked like before."""

    id: str
    type: str
    object_id: str
    sequence: int  # the object's version
    log_position: int  # its place in the tenant's log, without gaps
    occurred_at: datetime  # business time
    recorded_at: datetime  # system time
    cause: Cause
    backfill: bool
    data: dict[str, Any]  # Any: the fields of the object's view
    previous: dict[str, Any]  # Any: likewise


class Events(Controller):
    """Events can be read for as long as they are kept, in the order of `log_position`."""

    path = "/v1/events"
    tags = ["Events"]

    @get(operation_id="listEvents", opt=needs("events:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        page: NamedDependency[Page],
        event_type: EventType = None,
        object_id: ObjectId = None,
    ) -> PageOf[EventView]:
        """List events, the oldest first. There is always a next_cursor: kept, it goes on with what happens later."""
        rows = await queries.events(
            session,
            event_type=event_type,
            object_id=id_filter(object_id, "object"),
            after=page.after_int(),
            limit=page.fetch,
        )
        views = await _views(session, resources, rows)
        return page.of(rows, lambda row: views[row.id], lambda row: [row.log_position], grows=True)

    @get("/{event_id:str}", operation_id="getEvent", opt=needs("events:read"), responses=problems(NotFound))
    async def read(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        event_id: FromPath[str],
    ) -> EventView:
        """Read one event."""
        row = await queries.event(session, ids.decode("evt", event_id))
        return (await _views(session, resources, [row]))[row.id]


async def _views(session: TenantSession, resources: Resources, rows: Sequence[EventRow]) -> dict[UUID, EventView]:
    bodies = await payloads(session, resources.database.keys, rows)
    return {
        row.id: EventView(
            id=ids.encode("evt", row.id),
            type=row.type,
            object_id=str(bodies[row.id].view["id"]),
            sequence=row.sequence,
            log_position=row.log_position or 0,
            occurred_at=row.occurred_at,
            recorded_at=row.recorded_at,
            cause=cause_read(row),
            backfill=row.backfill,
            data=bodies[row.id].view,
            previous=bodies[row.id].previous,
        )
        for row in rows
    }
