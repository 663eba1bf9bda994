"""The two clocks. System time is the database's `clock_timestamp()`; business time is the tenant's, read here.

A sandbox may have a test clock: its business time stands still until somebody advances it. What waits for business
time is a row of `due`, and only that: no queue holds a business instant.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Boolean, DateTime, Index, Text, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base
from storage.events import Rung
from storage.queues import Queue, Queued, queue_indexes
from storage.session import QueueSession, TenantSession, memory, tenant_of

CLOCK: Final = select(func.clock_timestamp(type_=DateTime(timezone=True))).scalar_subquery()


class BusinessClock(Base):
    """A sandbox's test clock; a tenant without a row lives in system time."""

    __tablename__ = "business_clock"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    now_at: Mapped[datetime]


class Due(Base):
    """Something that happens when business time reaches `due_at`."""

    __tablename__ = "due"
    __table_args__ = (
        Index("ix_due_system", "due_at", postgresql_where=text("not clocked")),
        Index("ix_due_clocked", "tenant_id", "due_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    clocked: Mapped[bool] = mapped_column(Boolean)  # the tenant has a test clock: system time promotes it never


class TickRow(Queued, Base):
    """A due row whose time has come, ready to be worked off. Its id names nothing outside the queue."""

    __tablename__ = "tick"
    __table_args__ = (*queue_indexes("tick"), Index("uq_tick_object", "tenant_id", "object_id", "kind", unique=True))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    kind: Mapped[str] = mapped_column(Text)
    object_id: Mapped[UUID]


TICKS: Final = Queue(name="tick", table="app.tick", per_tenant=500, tenants=4)


async def now_of(session: TenantSession) -> datetime:
    """The tenant's business time: its test clock, else system time."""
    return (await session.execute(_NOW, {"tenant_id": tenant_of(session)})).scalar_one()


_NOW: Final = text(
    "select coalesce((select now_at from app.business_clock where tenant_id = :tenant_id), clock_timestamp())"
)


async def make_due(
    session: TenantSession, kind: str, when: Iterable[tuple[UUID, datetime]], *, at_latest: bool = False
) -> None:
    """Have objects looked at when business time reaches an instant; a later call for an object replaces an earlier.

    With `at_latest` an earlier look that something else has asked for stays.
    """
    instants = dict(when)  # of an object named twice, the last instant holds
    if not instants:
        return
    values = {
        "tenant_id": tenant_of(session),
        "kind": kind,
        "objects": list(instants),
        "instants": list(instants.values()),
        "at_latest": at_latest,
    }
    await session.execute(_MAKE_DUE, values)
    memory(session, Rung).queues.add("tick")


_MAKE_DUE: Final = text("""
insert into app.due (tenant_id, kind, object_id, due_at, clocked)
select :tenant_id, :kind, u.object_id, u.due_at,
       exists (select from app.business_clock c where c.tenant_id = :tenant_id)
from unnest(cast(:objects as uuid[]), cast(:instants as timestamptz[])) as u(object_id, due_at)
order by u.object_id
on conflict (tenant_id, kind, object_id) do update
  set due_at = case when :at_latest then least(due.due_at, excluded.due_at) else excluded.due_at end
""")


async def forget_due(session: TenantSession, kind: str, objects: Iterable[UUID]) -> None:
    """Nothing waits for these objects any more."""
    await session.execute(_FORGET, {"tenant_id": tenant_of(session), "kind": kind, "objects": list(objects)})


_FORGET: Final = text(
    "delete from app.due where tenant_id = :tenant_id and kind = :kind and object_id = any(cast(:objects as uuid[]))"
)


async def promote(session: QueueSession, *, limit: int = 5_000) -> int:
    """Turn what is due into ticks, for tenants that live in system time. An object already in work waits its turn."""
    return len((await session.execute(_PROMOTE, {"rows": limit})).all())  # bounded: by :rows


_PROMOTE: Final = text("""
with ready as (
  select d.tenant_id, d.kind, d.object_id from app.due d
  where not d.clocked and d.due_at <= (select clock_timestamp())
    and not exists (select from app.tick t
                    where t.tenant_id = d.tenant_id and t.object_id = d.object_id and t.kind = d.kind)
  order by d.due_at limit :rows for update skip locked
), gone as (
  delete from app.due d using ready r
  where d.tenant_id = r.tenant_id and d.kind = r.kind and d.object_id = r.object_id
  returning d.tenant_id, d.kind, d.object_id
)
insert into app.tick (tenant_id, object_id, kind, state, shard)
select tenant_id, object_id, kind, 'pending', app.shard_of(tenant_id) from gone
returning 1
""")


async def promote_clocked(session: TenantSession, now: datetime, *, limit: int = 5_000) -> int:
    """The same for one tenant with a test clock, up to an instant of it; only an advance calls this."""
    values = {"tenant_id": tenant_of(session), "now": now, "rows": limit}
    return len((await session.execute(_PROMOTE_CLOCKED, values)).all())  # bounded: by :rows


_PROMOTE_CLOCKED: Final = text("""
with ready as (
  select d.kind, d.object_id from app.due d
  where d.tenant_id = :tenant_id and d.clocked and d.due_at <= :now
    and not exists (select from app.tick t
                    where t.tenant_id = d.tenant_id and t.object_id = d.object_id and t.kind = d.kind)
  order by d.due_at limit :rows for update skip locked
), gone as (
  delete from app.due d using ready r
  where d.tenant_id = :tenant_id and d.kind = r.kind and d.object_id = r.object_id
  returning d.tenant_id, d.kind, d.object_id
)
insert into app.tick (tenant_id, object_id, kind, state) select tenant_id, object_id, kind, 'pending' from gone
returning 1
""")


async def next_due(session: TenantSession) -> datetime | None:
    """The earliest instant that something of this tenant waits for."""
    return (await session.execute(_NEXT_DUE, {"tenant_id": tenant_of(session)})).scalar_one()


_NEXT_DUE: Final = text("select min(due_at) from app.due where tenant_id = :tenant_id")


async def set_clock(session: TenantSession, now: datetime) -> None:
    """Give the tenant a test clock or move it; from then on system time promotes nothing of it."""
    tenant_id = tenant_of(session)
    await session.execute(_SET_CLOCK, {"tenant_id": tenant_id, "now": now})
    await session.execute(_MARK_CLOCKED, {"tenant_id": tenant_id})


_SET_CLOCK: Final = text(
    "insert into app.business_clock (tenant_id, now_at) values (:tenant_id, :now)"
    " on conflict (tenant_id) do update set now_at = excluded.now_at"
)
_MARK_CLOCKED: Final = text("update app.due set clocked = true where tenant_id = :tenant_id and not clocked")
