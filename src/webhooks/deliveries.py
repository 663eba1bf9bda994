"""What a caller may do with one delivery."""

from uuid import UUID

from sqlalchemy import func

from storage.events import Rung
from storage.session import TenantSession, memory, tenant_of
from webhooks import access
from webhooks.errors import DeliveryUnderWay, EndpointNotEnabled
from webhooks.models import Delivery, DeliveryState, Endpoint, EndpointState
from webhooks.views import DeliveryView


async def retry(session: TenantSession, delivery_id: UUID) -> DeliveryView:
    """Try again now, with the same webhook-id, whatever came of it. Raises DeliveryUnderWay, EndpointNotEnabled."""
    row = await access.delivery(session, delivery_id, lock=True)
    endpoint = await session.get(Endpoint, (tenant_of(session), row.endpoint_id))
    if endpoint is None or endpoint.state is not EndpointState.ENABLED:
        raise EndpointNotEnabled
    if row.state == DeliveryState.LEASED.value:
        raise DeliveryUnderWay
    await _make_pending(session, row)
    return DeliveryView.of(row)


async def _make_pending(session: TenantSession, row: Delivery) -> None:
    row.state, row.delivered_at = DeliveryState.PENDING.value, None
    row.run_at = func.clock_timestamp()
    row.attempts = 0
    await session.flush()
    await session.refresh(row)
    memory(session, Rung).queues.add("delivery")
