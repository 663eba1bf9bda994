"""The only way to load a tenant's endpoints and deliveries by id; another tenant's do not exist."""

from typing import Final
from uuid import UUID

from sqlalchemy.sql.selectable import ForUpdateArg

from kernel.errors import PreconditionFailed
from storage.session import TenantSession, tenant_of
from webhooks.errors import DeliveryNotFound, EndpointNotFound
from webhooks.models import Delivery, Endpoint, EndpointState

_NO_KEY: Final = ForUpdateArg(key_share=True)  # FOR NO KEY UPDATE


async def endpoint(
    session: TenantSession, endpoint_id: UUID, *, lock: bool = False, expected_version: int | None = None
) -> Endpoint:
    """One endpoint; a removed one is gone. Raises PreconditionFailed when it has changed meanwhile."""
    key = (tenant_of(session), endpoint_id)
    row = await session.get(Endpoint, key, with_for_update=_NO_KEY if lock else None, populate_existing=lock)
    if row is None or row.state is EndpointState.REMOVED:
        raise EndpointNotFound
    if expected_version is not None and expected_version != row.version:
        raise PreconditionFailed
    return row


async def delivery(session: TenantSession, delivery_id: UUID, *, lock: bool = False) -> Delivery:
    """One delivery."""
    key = (tenant_of(session), delivery_id)
    row = await session.get(Delivery, key, with_for_update=_NO_KEY if lock else None, populate_existing=lock)
    if row is None:
        raise DeliveryNotFound
    return row
