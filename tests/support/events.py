"""What was told: the event rows of a tenant, in order."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from storage.database import Database
from storage.events import EventRow, Payload, payloads
from support.tenants import CAUSE


async def told(database: Database, tenant_id: UUID) -> list[EventRow]:
    """Every event that was emitted, in the order of emission."""
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = await session.scalars(select(EventRow).where(EventRow.tenant_id == tenant_id).order_by(EventRow.id))
        return list(rows)


async def bodies(database: Database, tenant_id: UUID, rows: Sequence[EventRow]) -> list[Payload]:
    """What these events say, with the personal fields whose key still exists."""
    async with database.tenant(tenant_id, CAUSE) as session:
        read = await payloads(session, database.keys, rows)
        return [read[row.id] for row in rows]
