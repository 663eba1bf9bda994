"""Lists, by keyset: ask for one row more than the page shows."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from storage.session import TenantSession, tenant_of
from webhooks.models import Delivery, DeliveryAttempt, DeliveryState, Endpoint, EndpointState

MAX_ATTEMPTS_SHOWN: Final = 100


async def endpoints(session: TenantSession, *, after: UUID | None, limit: int) -> Sequence[Endpoint]:
    """The tenant's endpoints, the newest first; `after` is the last one of the page before."""
    wanted = select(Endpoint).where(Endpoint.tenant_id == tenant_of(session), Endpoint.state != EndpointState.REMOVED)
    if after is not None:
        wanted = wanted.where(Endpoint.id < after)
    return (await session.scalars(wanted.order_by(Endpoint.id.desc()).limit(limit))).all()


async def deliveries(
    session: TenantSession,
    endpoint_id: UUID,
    *,
    state: DeliveryState | None = None,
    event_id: UUID | None = None,
    after: UUID | None,
    limit: int,
) -> Sequence[Delivery]:
    """An endpoint's deliveries, the newest first."""
    wanted = select(Delivery).where(Delivery.tenant_id == tenant_of(session), Delivery.endpoint_id == endpoint_id)
    if state is not None:
        wanted = wanted.where(Delivery.state == state.value)
    if event_id is not None:
        wanted = wanted.where(Delivery.event_id == event_id)
    if after is not None:
        wanted = wanted.where(Delivery.id < after)
    return (await session.scalars(wanted.order_by(Delivery.id.desc()).limit(limit))).all()


async def attempts(
    session: TenantSession, delivery_id: UUID, *, limit: int = MAX_ATTEMPTS_SHOWN
) -> Sequence[DeliveryAttempt]:
    """A delivery's attempts, the newest first."""
    wanted = (
        select(DeliveryAttempt)
        .where(DeliveryAttempt.tenant_id == tenant_of(session), DeliveryAttempt.delivery_id == delivery_id)
        .order_by(DeliveryAttempt.id.desc())
        .limit(limit)
    )
    return (await session.scalars(wanted)).all()
