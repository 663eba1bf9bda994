"""Lists of a tenant's own rows, by keyset."""

from uuid import UUID

from sqlalchemy import select

from kernel.errors import NotFound
from storage.events import EventRow
from storage.session import TenantSession, tenant_of
from tenants.models import ApiKey


async def api_keys(session: TenantSession, *, after: UUID | None, limit: int) -> list[ApiKey]:
    """Keys, the newest first, after one of them."""
    wanted = select(ApiKey).where(ApiKey.tenant_id == tenant_of(session))
    if after is not None:
        wanted = wanted.where(ApiKey.id < after)
    return list(await session.scalars(wanted.order_by(ApiKey.id.desc()).limit(limit)))


async def events(
    session: TenantSession, *, event_type: str | None, object_id: UUID | None, after: int | None, limit: int
) -> list[EventRow]:
    """Numbered events, the oldest first, after a position of the log."""
    wanted = select(EventRow).where(EventRow.tenant_id == tenant_of(session), EventRow.log_position > (after or 0))
    if event_type is not None:
        wanted = wanted.where(EventRow.type == event_type)
    if object_id is not None:
        wanted = wanted.where(EventRow.object_id == object_id)
    return list(await session.scalars(wanted.order_by(EventRow.log_position).limit(limit)))


async def event(session: TenantSession, event_id: UUID) -> EventRow:
    """One event; raises NotFound, also for one that is not numbered yet."""
    row = await session.get(EventRow, (tenant_of(session), event_id))
    if row is None or row.log_position is None:
        raise NotFound
    return row
