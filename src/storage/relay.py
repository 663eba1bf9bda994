"""The relay: number committed events of a tenant, without gaps and without late arrivals.

An event's id says when it was made, not when its transaction committed; a reader that followed ids would miss rows
that commit late. `log_position` is given afterwards, to rows that can be seen, under a lock per tenant.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base
from storage.session import QueueSession

BATCH_TENANTS: Final = 64
BATCH_EVENTS: Final = 2_000


class LogHead(Base):
    """How far a tenant's event log is numbered."""

    __tablename__ = "log_head"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


async def stamp(session: QueueSession, *, only: UUID | None = None) -> int:
    """Number what has committed since; returns how many events were numbered in this transaction."""
    tenants = list((await session.execute(_UNSTAMPED, {"only": only, "tenants": BATCH_TENANTS})).scalars())
    if not tenants:
        return 0
    await session.execute(_MAKE_HEADS, {"tenants": tenants})
    locked = list((await session.execute(_LOCK_HEADS, {"tenants": tenants})).scalars())
    if not locked:  # another relay is at it
        return 0
    # A second statement, so that it sees what the previous holder of the lock has numbered.
    return len((await session.execute(_STAMP, {"tenants": locked, "rows": BATCH_EVENTS})).all())  # bounded: by :rows


_UNSTAMPED: Final = text("""
with recursive t as (
    (select e.tenant_id from app.event e
     where e.log_position is null and (cast(:only as uuid) is null or e.tenant_id = cast(:only as uuid))
     order by e.tenant_id limit 1)
  union all
    select (select e.tenant_id from app.event e
            where e.log_position is null and e.tenant_id > t.tenant_id
              and (cast(:only as uuid) is null or e.tenant_id = cast(:only as uuid))
            order by e.tenant_id limit 1)
    from t where t.tenant_id is not null
)
select tenant_id from t where tenant_id is not null limit :tenants
""")
# Only where there is none: an insert would wait for the relay that is moving the head on.
_MAKE_HEADS: Final = text(
    "insert into app.log_head (tenant_id, position) select t, 0 from unnest(cast(:tenants as uuid[])) as u(t)"
    " where not exists (select from app.log_head h where h.tenant_id = t) on conflict do nothing"
)
_LOCK_HEADS: Final = text(  # bounded: by the tenants asked for
    "select tenant_id from app.log_head where tenant_id = any(cast(:tenants as uuid[]))"
    " order by tenant_id for update skip locked"
)
_STAMP: Final = text("""
with fresh as (
  select x.tenant_id, x.id, h.position + x.place as log_position
  from app.log_head h, lateral (
    select e.tenant_id, e.id, row_number() over (order by e.recorded_at, e.id) as place
    from app.event e
    where e.tenant_id = h.tenant_id and e.log_position is null
    order by e.recorded_at, e.id limit :rows) x
  where h.tenant_id = any(cast(:tenants as uuid[]))
), heads as (
  update app.log_head h set position = f.position
  from (select tenant_id, max(log_position) as position from fresh group by tenant_id) f
  where h.tenant_id = f.tenant_id
)
update app.event e set log_position = f.log_position
from fresh f where e.tenant_id = f.tenant_id and e.id = f.id
returning 1
""")
