"""Kill switches and the cap of messages per hour: read by the gate in the transaction that lets something leave."""

from datetime import datetime
from typing import Final

from sqlalchemy import text

from storage.events import emit
from storage.session import TenantSession, tenant_of
from tenants import access
from tenants.errors import SwitchUnknown
from tenants.events import TenantResumed, TenantStopped
from tenants.views import TenantView


async def stop(session: TenantSession, scope: str, reason: str, now: datetime) -> TenantView:
    """Throw a switch: from the commit on nothing leaves by that way. Thrown twice, the newest reason stays."""
    return await _set(session, scope, stopped=True, reason=reason, now=now)


async def resume(session: TenantSession, scope: str, now: datetime) -> TenantView:
    """Set a switch back; what was due meanwhile is decided anew."""
    return await _set(session, scope, stopped=False, reason=None, now=now)


async def stopped_scope(session: TenantSession, channel: str) -> str | None:
    """Which switch stops a channel now, or none: `platform`, `tenant` or `channel:<name>`, the widest first.

    The rows are held for share until the transaction ends, so that a switch thrown meanwhile waits for what is
    already leaving. A switch without a row is not known, and what is not known does not leave.
    """
    scopes = ["platform", f"channel:{channel}"]
    platform = set((await session.execute(_PLATFORM, {"scopes": scopes})).scalars())
    rows = await session.execute(_TENANT, {"tenant_id": tenant_of(session), "scopes": ["tenant", f"channel:{channel}"]})
    own = {row.scope: row.stopped for row in rows}
    if "platform" in platform:
        return "platform"
    if own.get("tenant", True):
        return "tenant"
    if f"channel:{channel}" in platform or own.get(f"channel:{channel}", True):
        return f"channel:{channel}"
    return None


async def reserve_budget(session: TenantSession, now: datetime, wanted: int) -> int:
    """Take up to `wanted` messages out of this hour's cap; returns how many may leave."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    values = {"tenant_id": tenant_of(session), "hour": hour, "wanted": wanted}
    granted: int | None = (await session.execute(_RESERVE, values)).scalar_one_or_none()
    return granted or 0


async def _set(session: TenantSession, scope: str, *, stopped: bool, reason: str | None, now: datetime) -> TenantView:
    tenant = await access.tenant(session, lock=True)  # before the switch, as the gate does
    switches = await access.switches(session)
    switch = next((one for one in switches if one.scope == scope), None)
    if switch is None:
        raise SwitchUnknown
    before = TenantView.of(tenant, switches)
    if (switch.stopped, switch.reason) == (stopped, reason):
        return before
    was_stopped, switch.stopped, switch.reason = switch.stopped, stopped, reason
    switch.version, tenant.version = switch.version + 1, tenant.version + 1
    after = TenantView.of(tenant, switches)
    if stopped or was_stopped:
        emit(session, (TenantStopped if stopped else TenantResumed)(after, before, now))
    return after


_PLATFORM: Final = text(  # bounded: by the scopes asked for
    "select * from app.stopped_platform_scopes(cast(:scopes as text[]))"
)
_TENANT: Final = text(  # bounded: by the scopes asked for
    "select scope, stopped from app.kill_switch where tenant_id = :tenant_id and scope = any(cast(:scopes as text[]))"
    " order by scope for share"
)
# One statement, so that two senders at once never exceed the cap; a clock that went on by an hour starts afresh.
_RESERVE: Final = text("""
with budget as (
  select case when hour_at >= :hour then used else 0 end as used, cap
  from app.send_budget where tenant_id = :tenant_id for update
)
update app.send_budget s
set hour_at = greatest(s.hour_at, :hour), used = b.used + least(:wanted, greatest(b.cap - b.used, 0))
from budget b where s.tenant_id = :tenant_id
returning s.used - b.used
""")
