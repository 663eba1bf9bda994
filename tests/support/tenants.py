"""Tenants for tests."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import update

from kernel import ids
from storage.database import Database
from storage.session import Cause
from tenants.accounts import create_account
from tenants.creation import create_tenant
from tenants.models import Mode, SendBudget, TenantKind

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # where a sandbox's test clock stands: a Monday
CAUSE: Final = Cause(kind="command", id="test")


async def make_tenant(
    database: Database,
    *,
    kind: TenantKind = TenantKind.SANDBOX,
    mode: Mode = Mode.AUTOMATIC,
    now: datetime | None = NOW,
    slug: str | None = None,
    account: str | None = None,
    cap: int | None = None,
) -> UUID:
    """A tenant, of an account of its own unless one is named; a live one, or `now=None`, lives in system time.

    The product makes it, so a `tenant.created` event is in its log.
    """
    name = slug or f"tenant-{ids.new_id().hex}"
    if account is None:
        async with database.directory() as session:
            await create_account(session, f"{name}-account", name)
    made = await create_tenant(
        database,
        account_slug=account or f"{name}-account",
        slug=name,
        kind=kind,
        cause=CAUSE,
        clock_at=now if kind is TenantKind.SANDBOX else None,
        mode=mode,
    )
    tenant_id = ids.decode("ten", made.id)
    if cap is not None:
        async with database.tenant(tenant_id, CAUSE) as session:
            await session.execute(update(SendBudget).where(SendBudget.tenant_id == tenant_id).values(cap=cap))
    return tenant_id
