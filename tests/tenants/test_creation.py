"""Accounts and tenants come into being whole, once, and under a name that is theirs."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import pytest
from sqlalchemy import text

from kernel import ids
from storage.clocks import now_of
from storage.database import Database
from support.tenants import CAUSE
from tenants import access
from tenants.accounts import create_account, find_account
from tenants.creation import create_tenant, find_tenant
from tenants.errors import (
    AccountNotFound,
    AccountSlugTaken,
    LiveTenantExists,
    SlugInvalid,
    TenantNotFound,
    TenantSlugTaken,
)
from tenants.models import Mode, TenantKind
from tenants.views import TenantView

THEN: Final = datetime(2024, 2, 29, 23, 0, tzinfo=UTC)


@pytest.fixture
async def account(database: Database) -> str:
    async with database.directory() as session:
        await create_account(session, "nord", "Atelier Nord")
    return "nord"


async def make(database: Database, account: str, slug: str, *, live: bool = False) -> TenantView:
    kind = TenantKind.LIVE if live else TenantKind.SANDBOX
    return await create_tenant(database, account_slug=account, slug=slug, kind=kind, cause=CAUSE)


async def test_an_account_has_a_name_of_its_own(database: Database, account: str) -> None:
    async with database.directory() as session:
        found = await find_account(session, account)
        with pytest.raises(AccountSlugTaken):
            await create_account(session, account, "Another")
        with pytest.raises(AccountNotFound):
            await find_account(session, "sud")
        assert await create_account(session, "sud", "Another") != found


@pytest.mark.parametrize("slug", ["", "a", "-a", "a-", "a--b", "A", "a b", "a\n", "é", "x" * 64, "a_b"])
async def test_a_slug_is_plain(database: Database, account: str, slug: str) -> None:
    async with database.directory() as session:
        with pytest.raises(SlugInvalid):
            await create_account(session, slug, "x")
    with pytest.raises(SlugInvalid):
        await make(database, account, slug)
    assert (await make(database, account, "a1-b2")).slug == "a1-b2"


async def test_a_tenant_is_furnished(database: Database, account: str) -> None:
    made = await create_tenant(
        database, account_slug=account, slug="try", kind=TenantKind.SANDBOX, cause=CAUSE, clock_at=THEN
    )
    assert (made.version, made.kind, made.mode, made.slug) == (1, TenantKind.SANDBOX, Mode.REVIEW, "try")
    assert [(switch.scope, switch.stopped) for switch in made.switches] == [("channel:email", False), ("tenant", False)]
    tenant_id = ids.decode("ten", made.id)
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await access.view(session) == made
        assert await now_of(session) == THEN
        counted = text(
            "select (select count(*) from app.data_key) as keys, (select count(*) from app.send_budget) as budgets,"
            " (select type from app.event limit 1) as event, (select occurred_at from app.event limit 1) as at"
        )
        row = (await session.execute(counted)).one()
    assert (row.keys, row.budgets, row.event, row.at) == (1, 1, "tenant.created", THEN)
    async with database.directory() as session:
        assert (await find_tenant(session, "try")).tenant_id == tenant_id
        with pytest.raises(TenantNotFound):
            await find_tenant(session, "other")


async def test_an_account_has_one_live_tenant_and_many_sandboxes(database: Database, account: str) -> None:
    await make(database, account, "live", live=True)
    with pytest.raises(LiveTenantExists):
        await make(database, account, "second", live=True)
    await make(database, account, "try-1")
    await make(database, account, "try-2")
    async with database.directory() as session:
        with pytest.raises(TenantNotFound):  # what was refused has not taken the name
            await find_tenant(session, "second")


async def test_a_name_is_taken_once(database: Database, account: str) -> None:
    async with database.directory() as session:
        await create_account(session, "sud", "Sud")
    await make(database, account, "one")
    for owner, live in ((account, False), (account, True), ("sud", False)):
        with pytest.raises(TenantSlugTaken):
            await make(database, owner, "one", live=live)
    with pytest.raises(AccountNotFound):
        await make(database, "est", "two")


async def test_a_creation_that_died_half_way_is_completed_by_the_same_call(database: Database, account: str) -> None:
    tenant_id = ids.new_id()
    async with database.directory() as session:
        values = {"account": account, "tenant": tenant_id}
        await session.execute(text("select app.register_tenant(:account, :tenant, 'one', 'sandbox')"), values)
    with pytest.raises(TenantSlugTaken):  # not by another call
        await make(database, account, "one", live=True)
    assert (await make(database, account, "one")).id == ids.encode("ten", tenant_id)
    with pytest.raises(TenantSlugTaken):
        await make(database, account, "one")


async def test_two_creations_at_once_make_one_tenant(database: Database, account: str) -> None:
    outcomes = await asyncio.gather(*(make(database, account, "one") for _ in range(4)), return_exceptions=True)
    made = [outcome for outcome in outcomes if isinstance(outcome, TenantView)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, TenantSlugTaken)]
    assert (len(made), len(refused)) == (1, 3)


async def test_a_live_tenant_has_no_test_clock(database: Database, account: str) -> None:
    with pytest.raises(ValueError, match="only a sandbox"):
        await create_tenant(
            database, account_slug=account, slug="live", kind=TenantKind.LIVE, cause=CAUSE, clock_at=THEN
        )
    async with database.directory() as session:
        with pytest.raises(TenantNotFound):
            await find_tenant(session, "live")
