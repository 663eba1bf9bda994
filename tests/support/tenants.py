"""Tenants for tests."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text

from kernel import ids
from storage import clocks
from storage.database import Database
from storage.session import Cause
from tenants.models import KillSwitch, Mode, SendBudget, Tenant, TenantKind

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # where a sandbox's test clock stands: a Monday
CAUSE: Final = Cause(kind="command", id="test")


async def make_tenant(
    database: Database,
    *,
    kind: TenantKind = TenantKind.SANDBOX,
    mode: Mode = Mode.AUTOMATIC,
    now: datetime | None = NOW,
    slug: str | None = None,
    cap: int = 5_000,
) -> UUID:
    """A tenant of an account of its own; `now=None` lets it live in system time."""
    tenant_id, account_id = ids.new_id(), ids.new_id()
    name = slug or f"tenant-{tenant_id.hex}"
    async with database.directory() as session:
        values = {"account": account_id, "name": f"{name}-account"}
        await session.execute(text("select app.create_account(:account, :name, :name)"), values)
        values = {"account": f"{name}-account", "tenant": tenant_id, "slug": name, "kind": kind.value}
        await session.execute(text("select app.register_tenant(:account, :tenant, :slug, :kind)"), values)
    async with database.tenant(tenant_id, CAUSE) as session:
        session.add(Tenant(tenant_id=tenant_id, account_id=account_id, slug=name, kind=kind, mode=mode))
        session.add_all(KillSwitch(tenant_id=tenant_id, scope=scope) for scope in ("tenant", "channel:email"))
        session.add(SendBudget(tenant_id=tenant_id, hour_at=now or NOW, cap=cap))
        if now is not None:
            await clocks.set_clock(session, now)
    return tenant_id
