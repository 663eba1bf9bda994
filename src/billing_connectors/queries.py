"""Lists: newest first, a page at a time by keyset. `after` is the last id of the page before."""

from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from billing_connectors.models import ConflictRow, ConflictState
from billing_connectors.views import ConflictView
from receivables.merges import group_of
from storage.session import TenantSession, tenant_of

MAX_ROWS: Final = 1_000


class ConflictFilter(Struct, frozen=True, kw_only=True):
    """Which conflicts. A debtor stands for everybody merged into it."""

    state: ConflictState | None = None
    reason: str | None = None
    debtor_id: UUID | None = None
    object_id: UUID | None = None


async def conflicts(
    session: TenantSession, wanted: ConflictFilter, *, after: UUID | None = None, limit: int
) -> list[ConflictView]:
    """Conflicts, the newest first."""
    statement = select(ConflictRow).where(ConflictRow.tenant_id == tenant_of(session))
    if wanted.state is not None:
        statement = statement.where(ConflictRow.state == wanted.state)
    if wanted.reason is not None:
        statement = statement.where(ConflictRow.reason == wanted.reason)
    if wanted.object_id is not None:
        statement = statement.where(ConflictRow.object_id == wanted.object_id)
    if wanted.debtor_id is not None:
        statement = statement.where(ConflictRow.debtor_id.in_(await group_of(session, wanted.debtor_id)))
    if after is not None:
        statement = statement.where(ConflictRow.id < after)
    newest = statement.order_by(ConflictRow.id.desc()).limit(min(limit, MAX_ROWS))
    return [ConflictView.of(row) for row in await session.scalars(newest)]
