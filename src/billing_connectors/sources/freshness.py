"""How fresh what we know of invoices is: a reminder never rests on what was read too long ago."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from storage.session import TenantSession, tenant_of


class Stale(Struct, frozen=True):
    """An invoice that was read too long ago, and where to ask for it."""

    invoice_id: UUID
    source_id: UUID
    source_key: str
    kind: str
    remote_id: str


async def stale(session: TenantSession, invoice_ids: Iterable[UUID], *, limit: int = 5_000) -> list[Stale]:
    """Which of these invoices come from a source that was read longer ago than it stays fresh.

    An invoice is as fresh as the latest of its own reading and the last whole reading of its source. One that several
    sources know has to be fresh in each: what the other may have learnt meanwhile is a payment as often as not.
    """
    values = {"tenant_id": tenant_of(session), "ids": list(invoice_ids), "rows": limit}
    return [Stale(*row) for row in await session.execute(_STALE, values)]


_STALE: Final = text("""
select r.object_id, s.id, s.key, r.kind, r.remote_id
from app.source s
join app.remote_record r on r.tenant_id = s.tenant_id and r.source_id = s.id
where s.tenant_id = :tenant_id and s.state = 'active' and s.fresh_for_s is not null
  and r.object_id = any(cast(:ids as uuid[])) and r.absence is null
  and greatest(r.read_at, s.read_at) < clock_timestamp() - make_interval(secs => s.fresh_for_s)
order by r.object_id, s.id, r.remote_id limit :rows
""")
