"""What the dunning engine may do by itself in a tenant: nothing, plan and explain, or send."""

from datetime import datetime
from typing import Final

from sqlalchemy import text

from kernel.errors import PreconditionFailed
from storage.events import emit
from storage.session import TenantSession, tenant_of
from tenants import access
from tenants.events import TenantModeChanged
from tenants.models import Mode
from tenants.views import TenantView


async def set_mode(
    session: TenantSession, mode: Mode, now: datetime, *, expected_version: int | None = None
) -> TenantView:
    """Change the mode; setting the mode that is set already changes nothing."""
    tenant = await access.tenant(session, lock=True)
    if expected_version is not None and expected_version != tenant.version:
        raise PreconditionFailed
    switches = await access.switches(session)
    before = TenantView.of(tenant, switches)
    if tenant.mode is mode:
        return before
    tenant.mode, tenant.version = mode, tenant.version + 1
    after = TenantView.of(tenant, switches)
    emit(session, TenantModeChanged(after, before, now))
    return after


async def mode_for_share(session: TenantSession) -> Mode:
    """The mode, held until the transaction ends: the gate asks it first of all, before the switches.

    Whoever throws a switch locks the tenant's row before the switch's, so that asking in this order never deadlocks.
    """
    return Mode((await session.execute(_MODE, {"tenant_id": tenant_of(session)})).scalar_one())


_MODE: Final = text("select mode from app.tenant where tenant_id = :tenant_id for share")
