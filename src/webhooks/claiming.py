"""Lease deliveries across tenants, with everything that posting one needs; give back what was not begun.

A lease ends by itself: what a dead process held is found by `sweep` and sent again, under the same webhook-id.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from storage.session import PumpSession
from webhooks.bodies import Stored
from webhooks.rota import Turn

NOBODY: Final = UUID(int=0)


class Leased(Struct, frozen=True):
    """A delivery in our hands: only this fence may settle it."""

    tenant_id: UUID
    id: UUID
    fence: int
    attempts: int  # made before
    endpoint_id: UUID
    url: str
    timeout_s: int
    api_version: str
    failing_since_at: datetime | None
    secrets: bytes
    secrets_key_version: int
    event: Stored

    def __repr__(self) -> str:  # its URL may hold a token, its event is a tenant's
        return f"Leased({self.id}, {self.fence})"


class Claimed(Struct, frozen=True):
    """What a claim brought: deliveries to post, and how many rows of each endpoint it took, with those put aside."""

    leased: list[Leased]
    taken: Counter[UUID]


class Waiting(Struct, frozen=True):
    """An endpoint that has deliveries pending, and whether the earliest is due."""

    tenant_id: UUID
    endpoint_id: UUID
    is_due: bool


async def go_by_index(session: PumpSession) -> None:
    """For the rest of the transaction: the next rows come from an index, whatever the statistics say.

    Of a long backlog the planner would else read and sort every row to take the first few.
    """
    await session.execute(_NO_SORT)


_NO_SORT: Final = text("set local enable_sort = off")


async def scan(session: PumpSession, after: tuple[UUID, UUID], *, limit: int) -> list[Waiting]:
    """The next endpoints with pending deliveries, by tenant and endpoint; fewer than `limit` means that is all."""
    values = {"tenant_id": after[0], "endpoint_id": after[1], "rows": limit}
    return [Waiting(*row) for row in await session.execute(_SCAN, values)]


# From one endpoint to the next by the index: a backlog costs one step, however long it is.
_SCAN: Final = text("""
with recursive t as (
    (select d.tenant_id, d.endpoint_id, d.run_at from app.delivery d
     where d.state = 'pending' and (d.tenant_id, d.endpoint_id) > (cast(:tenant_id as uuid), cast(:endpoint_id as uuid))
     order by d.tenant_id, d.endpoint_id, d.run_at limit 1)
  union all
    select n.tenant_id, n.endpoint_id, n.run_at from t, lateral (
      select d.tenant_id, d.endpoint_id, d.run_at from app.delivery d
      where d.state = 'pending' and (d.tenant_id, d.endpoint_id) > (t.tenant_id, t.endpoint_id)
      order by d.tenant_id, d.endpoint_id, d.run_at limit 1) n
)
select tenant_id, endpoint_id, run_at <= (select clock_timestamp()) from t limit :rows
""")


async def claim(session: PumpSession, turns: Sequence[Turn], *, lease: timedelta) -> Claimed:
    """Lease the earliest due deliveries of these endpoints, skipping what another pump holds.

    What belongs to an endpoint that is no longer enabled, or to an event that is no longer kept, is put aside here.
    """
    values = {
        "tenants": [turn.tenant_id for turn in turns],
        "endpoints": [turn.endpoint_id for turn in turns],
        "rows": [turn.rows for turn in turns],
        "lease": lease,
    }
    rows = (await session.execute(_CLAIM, values)).all()  # bounded: by the rows of each turn
    unfit = [row for row in rows if row.unfit]
    if unfit:
        await _put_aside(session, unfit)
    leased = [_leased(row) for row in rows if not (unfit and row.unfit)]
    return Claimed(leased, Counter(row.endpoint_id for row in rows))


async def _put_aside(session: PumpSession, rows: Sequence[Any]) -> None:  # Any: rows of _CLAIM
    values = {
        "tenants": [row.tenant_id for row in rows],
        "ids": [row.id for row in rows],
        "endpoints": [row.endpoint_id for row in rows],
        "gone": [row.gone for row in rows],
    }
    await session.execute(_PUT_ASIDE, values)


def _leased(row: Sequence[Any]) -> Leased:  # Any: the columns of _CLAIM, in the order of the two structs
    event: Stored = Stored(*row[_OWN:_ALL])
    return Leased(*row[:_OWN], event=event)


_OWN: Final = len(Leased.__struct_fields__) - 1
_ALL: Final = _OWN + len(Stored.__struct_fields__)
_CLAIM: Final = text("""
with due as (
  select x.tenant_id, x.id
  from unnest(cast(:tenants as uuid[]), cast(:endpoints as uuid[]), cast(:rows as int[]))
       as u(tenant_id, endpoint_id, rows),
  lateral (
    select d.tenant_id, d.id from app.delivery d
    where d.tenant_id = u.tenant_id and d.endpoint_id = u.endpoint_id and d.state = 'pending'
      and d.run_at <= (select clock_timestamp())
    order by d.run_at, d.id limit u.rows
    for update skip locked) x
), held as (
  update app.delivery d set state = 'leased', lease_until = clock_timestamp() + :lease, fence = d.fence + 1
  from due where d.tenant_id = due.tenant_id and d.id = due.id
  returning d.tenant_id, d.id, d.fence, d.attempts, d.endpoint_id, d.event_id
)
select h.tenant_id, h.id, h.fence, h.attempts, h.endpoint_id, p.url, p.timeout_s, p.api_version, p.failing_since_at,
       p.secrets, p.key_version as secrets_key_version,
       h.tenant_id as event_tenant_id, h.event_id, e.type, e.sequence, e.occurred_at, e.log_position, e.payload,
       e.subject_id, e.key_version, e.sealed,
       p.state <> 'enabled' or e.id is null as unfit, e.id is null as gone
from held h
join app.endpoint p on p.tenant_id = h.tenant_id and p.id = h.endpoint_id
left join app.event e on e.tenant_id = h.tenant_id and e.id = h.event_id
""")

# The endpoint is locked, so that whoever enables it now comes before this or after: nothing stays parked unseen.
_PUT_ASIDE: Final = text("""
with p as (
  select p.tenant_id, p.id, p.state from app.endpoint p
  where (p.tenant_id, p.id) in (select * from unnest(cast(:tenants as uuid[]), cast(:endpoints as uuid[])))
  order by p.tenant_id, p.id for share
)
update app.delivery d
set lease_until = null,
    state = case when u.gone or p.state = 'removed' then 'dropped' when p.state = 'disabled' then 'parked'
                 else 'pending' end
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:endpoints as uuid[]), cast(:gone as boolean[]))
     as u(tenant_id, id, endpoint_id, gone)
join p on p.tenant_id = u.tenant_id and p.id = u.endpoint_id
where d.tenant_id = u.tenant_id and d.id = u.id and d.state = 'leased'
""")


async def give_back(session: PumpSession, held: Iterable[Leased]) -> None:
    """Let others have what was leased and not begun; no try is used up."""
    await session.execute(_GIVE_BACK, _keys_of(held))


async def renew(session: PumpSession, held: Iterable[Leased], *, lease: timedelta) -> None:
    """Keep leases that are still ours."""
    await session.execute(_RENEW, _keys_of(held) | {"lease": lease})


async def sweep(session: PumpSession, *, limit: int = 1_000) -> int:
    """Make pending again what a dead process had leased; it may have been posted, so the receiver may see it twice."""
    return len((await session.execute(_SWEEP, {"rows": limit})).all())  # bounded: by :rows


def _keys_of(held: Iterable[Leased]) -> dict[str, Any]:  # Any: three arrays
    ordered = sorted(held, key=lambda each: each.id.bytes)
    return {
        "tenants": [each.tenant_id for each in ordered],
        "ids": [each.id for each in ordered],
        "fences": [each.fence for each in ordered],
    }


_GIVE_BACK: Final = text("""
update app.delivery d set state = 'pending', lease_until = null
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:fences as bigint[])) as u(tenant_id, id, fence)
where d.tenant_id = u.tenant_id and d.id = u.id and d.fence = u.fence and d.state = 'leased'
""")
_RENEW: Final = text("""
update app.delivery d set lease_until = clock_timestamp() + :lease
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:fences as bigint[])) as u(tenant_id, id, fence)
where d.tenant_id = u.tenant_id and d.id = u.id and d.fence = u.fence and d.state = 'leased'
""")
_SWEEP: Final = text("""
update app.delivery d set state = 'pending', lease_until = null
from (select tenant_id, id from app.delivery
      where state = 'leased' and lease_until < (select clock_timestamp())
      order by lease_until limit :rows for update skip locked) x
where d.tenant_id = x.tenant_id and d.id = x.id
returning 1
""")
