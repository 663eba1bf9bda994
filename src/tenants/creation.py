"""Make a tenant with everything that the rest of the product takes for granted."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from storage.clocks import now_of, set_clock
from storage.database import Database
from storage.events import emit
from storage.session import Cause, DirectorySession, TenantSession
from tenants import access
from tenants.accounts import checked_slug, find_account
from tenants.errors import LiveTenantExists, TenantNotFound, TenantSlugTaken
from tenants.events import TenantCreated
from tenants.models import KillSwitch, Mode, SendBudget, TenantKind
from tenants.views import TenantView

CHANNELS: Final = ("email",)
SCOPES: Final = ("tenant", *(f"channel:{channel}" for channel in CHANNELS))
START_OF_BUDGET: Final = "1970-01-01T00:00:00+00:00"


class Registered(Struct, frozen=True):
    """A tenant as the directory knows it."""

    tenant_id: UUID
    account_id: UUID
    kind: TenantKind


async def find_tenant(session: DirectorySession, slug: str) -> Registered:
    """A tenant by its slug; raises TenantNotFound."""
    row = (await session.execute(_FIND, {"slug": slug})).first()
    if row is None:
        raise TenantNotFound
    return Registered(row.tenant_id, row.account_id, TenantKind(row.kind))


async def create_tenant(
    database: Database,
    *,
    account_slug: str,
    slug: str,
    kind: TenantKind,
    cause: Cause,
    clock_at: datetime | None = None,
    mode: Mode = Mode.REVIEW,
) -> TenantView:
    """Make a live tenant or a sandbox, the latter with a test clock where `clock_at` says an instant.

    The slug is taken in one transaction and the tenant made in the next; a call that died between the two is
    completed by the same call. Raises AccountNotFound, TenantSlugTaken, LiveTenantExists.
    """
    if clock_at is not None and kind is not TenantKind.SANDBOX:
        raise ValueError("only a sandbox has a test clock")
    async with database.directory() as directory:
        found = await _register(directory, account_slug, checked_slug(slug), kind)
    async with database.tenant(found.tenant_id, cause) as session:
        values = {
            "tenant_id": found.tenant_id, "account_id": found.account_id, "slug": slug, "kind": kind.value,
            "mode": mode.value,
        }  # fmt: skip
        if (await session.execute(_INSERT, values)).first() is None:
            raise TenantSlugTaken
        return await _furnish(session, database, clock_at)


async def _register(session: DirectorySession, account_slug: str, slug: str, kind: TenantKind) -> Registered:
    account_id = await find_account(session, account_slug)
    tenant_id = ids.new_id()
    values = {"account": account_slug, "tenant_id": tenant_id, "slug": slug, "kind": kind.value}
    if (await session.execute(_REGISTER, values)).scalar_one() is not None:
        return Registered(tenant_id, account_id, kind)
    try:
        found = await find_tenant(session, slug)
    except TenantNotFound:
        raise LiveTenantExists from None  # the slug was free, so it is the account's one live tenant that conflicts
    if (found.account_id, found.kind) != (account_id, kind):
        raise TenantSlugTaken
    return found  # ours, or one that was left half-made: the row of `tenant` tells which


async def _furnish(session: TenantSession, database: Database, clock_at: datetime | None) -> TenantView:
    tenant = await access.tenant(session)
    switches = [KillSwitch(tenant_id=tenant.tenant_id, scope=scope, stopped=False, version=1) for scope in SCOPES]
    session.add_all(switches)
    budget = SendBudget(tenant_id=tenant.tenant_id, hour_at=datetime.fromisoformat(START_OF_BUDGET), used=0)
    session.add(budget)
    await database.keys.current(session, [tenant.tenant_id])  # seals what belongs to no debtor
    if clock_at is not None:
        await set_clock(session, clock_at)
    created = TenantView.of(tenant, switches)
    emit(session, TenantCreated(created, None, await now_of(session)))
    return created


_FIND: Final = text("select tenant_id, account_id, kind from app.find_tenant(:slug) limit 1")
_REGISTER: Final = text("select app.register_tenant(:account, :tenant_id, :slug, :kind)")
_INSERT: Final = text(
    "insert into app.tenant (tenant_id, account_id, slug, kind, mode, version)"
    " values (:tenant_id, :account_id, :slug, :kind, :mode, 1) on conflict do nothing returning 1"
)
