"""From events to deliveries: what has been numbered since an endpoint was last looked at, for each endpoint.

The endpoint's position moves in the transaction that writes its deliveries, under its lock: whatever is killed, each
event that it asks for has exactly one delivery.
"""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from storage.database import Database
from storage.session import PumpSession
from webhooks.claiming import go_by_index
from webhooks.matching import PINGED, wants

BATCH_ENDPOINTS: Final = 100
BATCH_EVENTS: Final = 5_000  # of all endpoints of a batch together
MIN_EVENTS: Final = 100  # of one endpoint


class Behind(Struct, frozen=True):
    """An endpoint whose deliveries do not yet reach the head of its tenant's log."""

    tenant_id: UUID
    id: UUID
    types: str
    include_backfill: bool
    position: int
    head: int


async def fan_out(database: Database) -> int:
    """Make the deliveries of a batch of endpoints; returns how many events were looked at, 0 when nobody is behind."""
    async with database.pump() as session:
        await go_by_index(session)
        behind = [Behind(*row) for row in await session.execute(_BEHIND, {"rows": BATCH_ENDPOINTS})]
        if not behind:
            return 0
        return await _catch_up(session, behind)


async def _catch_up(session: PumpSession, behind: list[Behind]) -> int:
    by_place = dict(enumerate(behind))
    each = max(MIN_EVENTS, BATCH_EVENTS // len(behind))
    values = {
        "places": list(by_place),
        "tenants": [endpoint.tenant_id for endpoint in behind],
        "starts": [endpoint.position for endpoint in behind],
        "heads": [endpoint.head for endpoint in behind],
        "rows": each,
    }
    seen = dict.fromkeys(by_place, 0)
    reached = {place: endpoint.head for place, endpoint in by_place.items()}
    fresh: list[tuple[UUID, UUID, UUID, UUID]] = []
    found = await session.execute(_EVENTS, values)  # bounded: by :rows for each endpoint
    for place, event_id, event_type, object_id, backfill, log_position in found:
        endpoint = by_place[place]
        seen[place] += 1
        if seen[place] == each:
            reached[place] = log_position  # there may be more
        if _is_wanted(endpoint, event_type, object_id, backfill):
            fresh.append((endpoint.tenant_id, ids.new_id(), endpoint.id, event_id))
    await _insert(session, fresh)
    values = {
        "tenants": [endpoint.tenant_id for endpoint in behind],
        "endpoints": [endpoint.id for endpoint in behind],
        "positions": [reached[place] for place in by_place],
    }
    await session.execute(_ADVANCE, values)
    return max(1, sum(seen.values()))


def _is_wanted(endpoint: Behind, event_type: str, object_id: UUID, backfill: bool) -> bool:  # noqa: FBT001 - a column
    if event_type == PINGED:
        return object_id == endpoint.id
    return (not backfill or endpoint.include_backfill) and wants(endpoint.types, event_type)


async def _insert(session: PumpSession, rows: Iterable[tuple[Any, ...]]) -> None:  # Any: one value per column
    columns = list(zip(*rows, strict=True))
    if columns:
        names = ("tenants", "ids", "endpoints", "events")
        await session.execute(_INSERT, {name: list(column) for name, column in zip(names, columns, strict=True)})


# Several at once take what the others have not locked; at random, so that a busy few do not stand before the others.
_BEHIND: Final = text("""
select p.tenant_id, p.id, p.types, p.include_backfill, p.position, h.position
from app.endpoint p join app.log_head h on h.tenant_id = p.tenant_id
where p.state = 'enabled' and p.position < h.position
order by random() limit :rows
for no key update of p skip locked
""")
_EVENTS: Final = text("""
select u.place, e.id, e.type, e.object_id, e.backfill, e.log_position
from unnest(cast(:places as int[]), cast(:tenants as uuid[]), cast(:starts as bigint[]), cast(:heads as bigint[]))
     as u(place, tenant_id, start, head),
lateral (
  select e.id, e.type, e.object_id, e.backfill, e.log_position from app.event e
  where e.tenant_id = u.tenant_id and e.log_position > u.start and e.log_position <= u.head
  order by e.log_position limit :rows) e
order by u.place, e.log_position
""")
_INSERT: Final = text("""
insert into app.delivery (tenant_id, id, endpoint_id, event_id, state, shard)
select u.tenant_id, u.id, u.endpoint_id, u.event_id, 'pending', app.shard_of(u.tenant_id)
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:endpoints as uuid[]), cast(:events as uuid[]))
     as u(tenant_id, id, endpoint_id, event_id)
""")
_ADVANCE: Final = text("""
update app.endpoint p set position = u.position
from unnest(cast(:tenants as uuid[]), cast(:endpoints as uuid[]), cast(:positions as bigint[]))
     as u(tenant_id, id, position)
where p.tenant_id = u.tenant_id and p.id = u.id
""")
