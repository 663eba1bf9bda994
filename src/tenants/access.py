"""The only way to load a tenant's own rows; another tenant's do not exist."""

from uuid import UUID

from sqlalchemy import select

from storage.jobs import JobRow
from storage.session import TenantSession, tenant_of
from tenants.errors import ApiKeyNotFound, JobNotFound, TenantNotFound
from tenants.models import ApiKey, KillSwitch, Tenant
from tenants.views import TenantView

MAX_SWITCHES = 50


async def tenant(session: TenantSession, *, lock: bool = False) -> Tenant:
    """The tenant that the session is bound to."""
    row = await session.get(Tenant, tenant_of(session), with_for_update=lock, populate_existing=lock)
    if row is None:
        raise TenantNotFound
    return row


async def switches(session: TenantSession) -> list[KillSwitch]:
    """The tenant's kill switches."""
    wanted = select(KillSwitch).where(KillSwitch.tenant_id == tenant_of(session)).limit(MAX_SWITCHES)
    return list(await session.scalars(wanted))


async def view(session: TenantSession) -> TenantView:
    """The tenant as the world sees it."""
    return TenantView.of(await tenant(session), await switches(session))


async def api_key(session: TenantSession, key_id: UUID, *, lock: bool = False) -> ApiKey:
    """One API key of the tenant."""
    row = await session.get(ApiKey, (tenant_of(session), key_id), with_for_update=lock, populate_existing=lock)
    if row is None:
        raise ApiKeyNotFound
    return row


async def job(session: TenantSession, job_id: UUID) -> JobRow:
    """One job of the tenant."""
    row = await session.get(JobRow, (tenant_of(session), job_id))
    if row is None:
        raise JobNotFound
    return row
