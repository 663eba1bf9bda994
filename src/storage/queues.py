"""Queues are tables: claim with a lease and a fence, fair between tenants, on the database's clock alone.

A row is `pending` until a worker leases it; `dispatching` says that a call to somebody else may have been made. An
expired `leased` row goes back to `pending`; an expired `dispatching` row is for its queue to judge.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import BigInteger, Index, SmallInteger, Table, Text, TextClause, func, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base
from storage.session import QueueSession, TenantSession

SHARDS: Final = 8
LEASE: Final = timedelta(seconds=30)
MAX_ATTEMPTS: Final = 12


def shard_of(tenant_id: UUID) -> int:
    """Which shard a tenant's rows belong to: one worker looks at a shard at a time."""
    return tenant_id.int % SHARDS


class Queued:
    """The columns by which a row is worked off. System time only: business time waits in `due`."""

    state: Mapped[str] = mapped_column(Text, default="pending")
    run_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    attempts: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    shard: Mapped[int] = mapped_column(SmallInteger, server_default=text("app.shard_of(app.tenant_id())"))


def queue_indexes(table: str) -> tuple[Index, Index]:
    """What a claim and a sweep need: pending rows by tenant and time, held rows by the end of their lease."""
    return (
        Index(f"ix_{table}_pending", "shard", "tenant_id", "run_at", "id", postgresql_where=text("state = 'pending'")),
        Index(
            f"ix_{table}_held",
            "lease_until",
            postgresql_where=text("state in ('leased', 'dispatching')"),
        ),
    )


class Claim(Struct, frozen=True, order=True):
    """A leased row: only its holder's fence may settle it."""

    tenant_id: UUID
    id: UUID
    fence: int


class Queue(Struct, frozen=True):
    """One queue table and how much of it a claim takes."""

    name: str
    table: str
    per_tenant: int = 200  # rows of one tenant a claim takes at most: fairness
    tenants: int = 16  # tenants a claim takes at most
    ordered: bool = False  # per (consumer, object): the earliest first, one at a time


def table_of(model: type[Base]) -> str:
    """The qualified name of a model's table."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - narrows the type
    return table.fullname


# The tenants of a shard that have work, found by skipping from one to the next in the index; some of them at random;
# of each its earliest rows. One big tenant costs one share, not the whole queue (reference/reliability 5.8).
_CLAIM: Final = """
with recursive t as (
    (select q.tenant_id from {table} q
     where q.shard = :shard and q.state = 'pending' and q.run_at <= (select clock_timestamp())
     order by q.tenant_id limit 1)
  union all
    select (select q.tenant_id from {table} q
            where q.shard = :shard and q.state = 'pending' and q.tenant_id > t.tenant_id
              and q.run_at <= (select clock_timestamp())
            order by q.tenant_id limit 1)
    from t where t.tenant_id is not null
),
pick as (
  select tenant_id from t
  where tenant_id is not null and (cast(:only as uuid) is null or tenant_id = cast(:only as uuid))
  order by random() limit :tenants
),
c as (
  select x.*
  from pick, lateral (
    select q.tenant_id, q.id{order_columns} from {table} q
    where q.shard = :shard and q.tenant_id = pick.tenant_id and q.state = 'pending'
      and q.run_at <= (select clock_timestamp()) {ordered}
    order by q.run_at, q.id limit :rows
    for update skip locked) x
)
update {table} m
set state = 'leased', lease_until = clock_timestamp() + :lease, fence = m.fence + 1, attempts = m.attempts + 1
from {chosen} as c
where m.tenant_id = c.tenant_id and m.id = c.id
returning m.tenant_id, m.id, m.fence
"""

_CLAIM_ONE_TENANT: Final = """
with c as (
  select q.tenant_id, q.id{order_columns} from {table} q
  where q.shard = :shard and q.tenant_id = cast(:only as uuid) and q.state = 'pending'
    and q.run_at <= (select clock_timestamp()) {ordered}
  order by q.run_at, q.id limit :rows
  for update skip locked
)
update {table} m
set state = 'leased', lease_until = clock_timestamp() + :lease, fence = m.fence + 1, attempts = m.attempts + 1
from {chosen} as c
where m.tenant_id = c.tenant_id and m.id = c.id
returning m.tenant_id, m.id, m.fence
"""

# An earlier row of the same consumer and object that is dead, held or waiting holds back the later ones, and so does
# one that comes after them by its time, as after a failure: a claim that ends between the two would take them first.
# Two claims at once would each see the other's rows as pending, so an ordered queue has one claimer a shard at a time.
_ONE_CLAIMER: Final = text("select pg_try_advisory_xact_lock(hashtext(:queue), :shard)")
# Statistics of a queue are as often as not those of its empty hours. `offset 0` and the order keep the planner from an
# anti join of all with all: each candidate looks at its own few predecessors, in the index of the order.
_IN_ORDER: Final = """
and not exists (
  select from {table} e
  where e.tenant_id = q.tenant_id and e.consumer = q.consumer and e.object_id = q.object_id
    and (e.sequence, e.id) < (q.sequence, q.id)
    and (e.state <> 'pending' or (e.run_at, e.id) > (q.run_at, q.id))
  order by e.sequence offset 0)
"""

_ORDER_COLUMNS: Final = ", q.consumer, q.object_id, q.sequence"
# What is left out for that reason holds back in its turn what comes after it.
_WITHOUT_GAPS: Final = """
(select c.tenant_id, c.id from c where not exists (
  select from {table} e
  where e.tenant_id = c.tenant_id and e.consumer = c.consumer and e.object_id = c.object_id
    and (e.sequence, e.id) < (c.sequence, c.id) and e.id not in (select x.id from c x)
  order by e.sequence offset 0))
"""

_HAS_WORK: Final = """
select s.shard from generate_series(0, {shards} - 1) as s(shard)
where exists (select from {table} q
              where q.shard = s.shard and q.state = 'pending' and q.run_at <= (select clock_timestamp()))
"""

_SWEEP: Final = """
update {table} m set state = 'pending', lease_until = null
from (select tenant_id, id from {table}
      where state = 'leased' and lease_until < (select clock_timestamp())
      order by lease_until limit :rows for update skip locked) x
where m.tenant_id = x.tenant_id and m.id = x.id
returning m.tenant_id, m.id, m.fence
"""

_RENEW: Final = """
update {table} m set lease_until = clock_timestamp() + :lease
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:fences as bigint[])) as u(tenant_id, id, fence)
where m.tenant_id = u.tenant_id and m.id = u.id and m.fence = u.fence and m.state in ('leased', 'dispatching')
returning m.tenant_id, m.id, m.fence
"""

_GIVE_BACK: Final = """
update {table} m set state = 'pending', lease_until = null, attempts = m.attempts - 1
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:fences as bigint[])) as u(tenant_id, id, fence)
where m.tenant_id = u.tenant_id and m.id = u.id and m.fence = u.fence and m.state = 'leased'
returning m.tenant_id, m.id, m.fence
"""

_STATEMENTS: dict[tuple[str, str], TextClause] = {}


def _statement(template: str, queue: Queue) -> TextClause:
    """Name the table in a template: names come from our own models, never from outside."""
    found = _STATEMENTS.get((template, queue.table))
    if found is None:
        filled = (
            template.replace("{ordered}", _IN_ORDER if queue.ordered else "")
            .replace("{order_columns}", _ORDER_COLUMNS if queue.ordered else "")
            .replace("{chosen}", _WITHOUT_GAPS if queue.ordered else "c")
            .replace("{table}", queue.table)
        )
        found = _STATEMENTS[template, queue.table] = text(filled.replace("{shards}", str(SHARDS)))
    return found


async def shards_with_work(session: QueueSession, queue: Queue) -> list[int]:
    """The shards in which something is due now."""
    return list((await session.execute(_statement(_HAS_WORK, queue))).scalars())  # bounded: by SHARDS


async def claim(
    session: QueueSession, queue: Queue, shard: int, *, limit: int, lease: timedelta = LEASE, only: UUID | None = None
) -> list[Claim]:
    """Lease work whose time has come, skipping what another worker holds; `only` one tenant when it is drained."""
    rows = min(queue.per_tenant, limit) if only is None else limit
    values = {"shard": shard, "only": only, "rows": rows, "lease": lease}
    if queue.ordered and not (await session.execute(_ONE_CLAIMER, {"queue": queue.name, "shard": shard})).scalar_one():
        return []
    if only is not None:
        found = await session.execute(_statement(_CLAIM_ONE_TENANT, queue), values)
    else:
        tenants = max(1, min(queue.tenants, limit // rows))
        found = await session.execute(_statement(_CLAIM, queue), values | {"tenants": tenants})
    return [Claim(*row) for row in found]


async def renew(session: QueueSession, queue: Queue, held: Iterable[Claim], *, lease: timedelta = LEASE) -> list[Claim]:
    """Keep leases that are still ours; what is not returned is another worker's by now."""
    rows = await session.execute(_statement(_RENEW, queue), arrays_of(held) | {"lease": lease})
    return [Claim(*row) for row in rows]


async def give_back(session: QueueSession, queue: Queue, held: Iterable[Claim]) -> list[Claim]:
    """Let others have what was leased and not begun; no attempt is used up."""
    rows = await session.execute(_statement(_GIVE_BACK, queue), arrays_of(held))
    return [Claim(*row) for row in rows]


async def sweep(session: QueueSession, queue: Queue, *, limit: int = 1_000) -> list[Claim]:
    """Give back what a dead worker had leased: no call had been made."""
    rows = await session.execute(_statement(_SWEEP, queue), {"rows": limit})
    return [Claim(*row) for row in rows]


def arrays_of(held: Iterable[Claim]) -> dict[str, list[UUID] | list[int]]:
    """Claims as the three arrays that our statements unnest."""
    claims = list(held)
    return {
        "tenants": [claim.tenant_id for claim in claims],
        "ids": [claim.id for claim in claims],
        "fences": [claim.fence for claim in claims],
    }


def by_tenant(claims: Sequence[Claim]) -> dict[UUID, list[Claim]]:
    """Claims grouped: a unit of work is one tenant's."""
    groups: dict[UUID, list[Claim]] = {}
    for claim_ in claims:
        groups.setdefault(claim_.tenant_id, []).append(claim_)
    return groups


async def still_held(
    session: TenantSession, queue: Queue, held: Sequence[Claim], *, state: str = "leased"
) -> set[UUID]:
    """Lock those rows of a batch whose fence is still ours, in the order of their ids."""
    rows = await session.execute(
        _statement(_STILL_HELD, queue), arrays_of(held) | {"tenant": held[0].tenant_id, "state": state}
    )
    return set(rows.scalars())


_STILL_HELD: Final = """
select m.id from {table} m
join unnest(cast(:ids as uuid[]), cast(:fences as bigint[])) as u(id, fence) on m.id = u.id and m.fence = u.fence
where m.tenant_id = :tenant and m.state = :state
order by m.id for no key update of m
"""


def backoff(attempts: int) -> timedelta:
    """How long a row waits after its n-th failed attempt: 1, 2, 4 … seconds, at most an hour."""
    return timedelta(seconds=min(2 ** max(attempts - 1, 0), 3_600))
