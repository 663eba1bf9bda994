"""Lists: newest first, a page at a time by keyset. `after` is the last id of the page before."""

from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from billing_connectors.intakes.models import Channel, Inbox, Intake, IntakeState
from billing_connectors.intakes.views import InboxView, IntakeView
from storage.session import TenantSession, tenant_of


class IntakeFilter(Struct, frozen=True, kw_only=True):
    """Which intakes."""

    channel: Channel | None = None
    state: IntakeState | None = None
    inbox_id: UUID | None = None


async def inboxes(session: TenantSession, *, after: UUID | None, limit: int) -> list[InboxView]:
    """Import addresses, the newest first."""
    statement = select(Inbox).where(Inbox.tenant_id == tenant_of(session))
    if after is not None:
        statement = statement.where(Inbox.id < after)
    return [InboxView.of(row) for row in await session.scalars(statement.order_by(Inbox.id.desc()).limit(limit))]


async def intakes(session: TenantSession, wanted: IntakeFilter, *, after: UUID | None, limit: int) -> list[IntakeView]:
    """What came in, the newest first."""
    statement = select(Intake).where(Intake.tenant_id == tenant_of(session))
    for column, value in (
        (Intake.channel, wanted.channel), (Intake.state, wanted.state), (Intake.inbox_id, wanted.inbox_id),
    ):  # fmt: skip
        if value is not None:
            statement = statement.where(column == value)
    if after is not None:
        statement = statement.where(Intake.id < after)
    return [IntakeView.of(row) for row in await session.scalars(statement.order_by(Intake.id.desc()).limit(limit))]
