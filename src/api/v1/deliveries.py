"""Deliveries of webhooks: one event for one endpoint, with every attempt."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.problems import problems
from api.routes import needs
from kernel import ids
from storage.session import TenantSession
from webhooks import access, deliveries, queries
from webhooks.errors import DeliveryNotFound, DeliveryUnderWay, EndpointNotEnabled
from webhooks.views import DeliveryAttemptView, DeliveryView, DeliveryWithAttempts


class Deliveries(Controller):
    """What was sent to whom, what was answered, and when the next try is."""

    path = "/v1/deliveries"
    tags = ["Webhook endpoints"]

    @get(
        "/{delivery_id:str}",
        operation_id="getDelivery",
        opt=needs("webhooks:read"),
        responses=problems(DeliveryNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], delivery_id: FromPath[str]) -> DeliveryWithAttempts:
        """Read one delivery with its attempts, the newest first, at most a hundred."""
        row = await access.delivery(session, ids.decode("dlv", delivery_id))
        tried = await queries.attempts(session, row.id)
        return DeliveryWithAttempts(
            delivery=DeliveryView.of(row), attempts=[DeliveryAttemptView.of(attempt) for attempt in tried]
        )

    @post(
        "/{delivery_id:str}/retry",
        operation_id="retryDelivery",
        status_code=200,
        opt=needs("webhooks:write"),
        responses=problems(DeliveryNotFound, DeliveryUnderWay, EndpointNotEnabled),
    )
    async def retry(self, session: NamedDependency[TenantSession], delivery_id: FromPath[str]) -> DeliveryView:
        """Send a delivery again now, under the same webhook-id, whatever came of it before."""
        return await deliveries.retry(session, ids.decode("dlv", delivery_id))
