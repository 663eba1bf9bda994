"""Kill switches, modes and the hourly cap, also against what happens at the same moment."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from kernel.errors import PreconditionFailed
from storage.database import Database
from support.tenants import CAUSE, NOW, make_tenant
from tenants import modes, switches
from tenants.errors import SwitchUnknown
from tenants.models import Mode


async def events(database: Database, tenant_id: UUID) -> list[tuple[str, int]]:
    async with database.tenant(tenant_id, CAUSE) as session:
        found = await session.execute(
            text("select type, sequence from app.event where type <> 'tenant.created' order by sequence, id limit 20")
        )
        return [(row.type, row.sequence) for row in found]


async def test_the_widest_switch_that_stops_is_named(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await switches.stopped_scope(session, "email") is None
        await switches.stop(session, "channel:email", "bounces", NOW)
        assert await switches.stopped_scope(session, "email") == "channel:email"
        await switches.stop(session, "tenant", "audit", NOW)
        assert await switches.stopped_scope(session, "email") == "tenant"
        await switches.resume(session, "tenant", NOW)
        assert await switches.stopped_scope(session, "email") == "channel:email"
        view = await switches.resume(session, "channel:email", NOW)
        assert await switches.stopped_scope(session, "email") is None
        assert [switch.reason for switch in view.switches] == [None, None]
    stopped, resumed = "tenant.stopped", "tenant.resumed"
    assert await events(database, tenant_id) == [(stopped, 2), (stopped, 3), (resumed, 4), (resumed, 5)]


async def test_a_switch_thrown_twice_changes_nothing_more(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        first = await switches.stop(session, "tenant", "audit", NOW)
        assert await switches.stop(session, "tenant", "audit", NOW) == first
        again = await switches.stop(session, "tenant", "another reason", NOW)
        assert (again.version, again.switches[1].reason) == (first.version + 1, "another reason")
        with pytest.raises(SwitchUnknown):
            await switches.stop(session, "channel:pigeon", "x", NOW)


async def test_a_channel_without_a_switch_does_not_send(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await switches.stopped_scope(session, "pigeon") == "channel:pigeon"


async def test_the_platforms_switch_is_above_all(database: Database, tenant_id: UUID) -> None:
    async with database.operator() as session:
        await session.execute(text("update app.platform_switch set stopped = true where scope = 'channel:email'"))
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await switches.stopped_scope(session, "email") == "channel:email"
    async with database.operator() as session:
        await session.execute(text("update app.platform_switch set stopped = true where scope = 'platform'"))
    async with database.tenant(tenant_id, CAUSE) as session:
        await switches.stop(session, "tenant", "x", NOW)
        assert await switches.stopped_scope(session, "email") == "platform"


async def test_a_switch_waits_for_what_is_leaving(database: Database, tenant_id: UUID) -> None:
    async def stop() -> None:
        async with database.tenant(tenant_id, CAUSE) as session:
            await switches.stop(session, "channel:email", "now", NOW)

    async with database.tenant(tenant_id, CAUSE) as sending:
        assert await modes.mode_for_share(sending) is Mode.AUTOMATIC
        assert await switches.stopped_scope(sending, "email") is None
        stopping = asyncio.create_task(stop())
        async with database.operator() as session:  # until the one waits for the other
            waiting = text("select count(*) from pg_locks where not granted")
            while not (await session.execute(waiting)).scalar_one():
                pass
        assert not stopping.done()
    await stopping
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await switches.stopped_scope(session, "email") == "channel:email"


async def test_a_mode_is_changed_once_and_told(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(PreconditionFailed):
            await modes.set_mode(session, Mode.OFF, NOW, expected_version=7)
        view = await modes.set_mode(session, Mode.OFF, NOW, expected_version=1)
        assert (view.mode, view.version) == (Mode.OFF, 2)
        assert await modes.set_mode(session, Mode.OFF, NOW) == view
        assert await modes.mode_for_share(session) is Mode.OFF
    assert await events(database, tenant_id) == [("tenant.mode_changed", 2)]


async def test_the_cap_is_by_the_hour_of_the_tenants_clock(database: Database) -> None:
    tenant_id = await make_tenant(database, cap=10)
    async with database.tenant(tenant_id, CAUSE) as session:
        assert [await switches.reserve_budget(session, NOW, wanted) for wanted in (4, 4, 4, 4)] == [4, 4, 2, 0]
        assert await switches.reserve_budget(session, NOW + timedelta(minutes=59), 1) == 0
        assert await switches.reserve_budget(session, NOW + timedelta(hours=1), 12) == 10
        assert await switches.reserve_budget(session, NOW, 1) == 0  # a clock that is late gets no hour of its own
        assert await switches.reserve_budget(session, NOW + timedelta(days=1), 0) == 0


async def test_senders_at_once_share_the_cap(database: Database) -> None:
    tenant_id = await make_tenant(database, cap=25)

    async def reserve() -> int:
        async with database.tenant(tenant_id, CAUSE) as session:
            return await switches.reserve_budget(session, NOW, 10)

    assert sorted(await asyncio.gather(*(reserve() for _ in range(5)))) == [0, 0, 5, 10, 10]


async def test_what_is_rolled_back_is_not_spent(database: Database) -> None:
    tenant_id = await make_tenant(database, cap=5)

    async def fail() -> None:
        async with database.tenant(tenant_id, CAUSE) as session:
            assert await switches.reserve_budget(session, NOW, 5) == 5
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    async with database.tenant(tenant_id, CAUSE) as session:
        assert await switches.reserve_budget(session, NOW, 5) == 5
