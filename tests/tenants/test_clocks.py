"""A test clock is asked to go on; the walk itself is the workers'."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from kernel import ids
from storage.clocks import now_of
from storage.database import Database
from support.tenants import CAUSE, NOW, make_tenant
from tenants import access, clocks
from tenants.errors import ClockAdvancing, ClockTargetInvalid, NoTestClock
from tenants.models import TenantKind
from tenants.views import JobView


async def test_an_advance_is_a_job(database: Database, tenant_id: UUID) -> None:
    to = NOW + timedelta(days=60)
    async with database.tenant(tenant_id, CAUSE) as session:
        job = await clocks.advance(session, to)
        assert (job.kind, job.state) == ("clock.advance", "queued")
        assert await clocks.under_way(session) == job.id
        assert await now_of(session) == NOW  # nothing has moved yet
        row = await access.job(session, ids.decode("job", job.id))
        assert clocks.params_of(row.params) == clocks.Advance(to=to, since=NOW)


async def test_one_advance_at_a_time(database: Database, tenant_id: UUID) -> None:
    async def advance(days: int) -> JobView:
        async with database.tenant(tenant_id, CAUSE) as session:
            return await clocks.advance(session, NOW + timedelta(days=days))

    outcomes = await asyncio.gather(*(advance(days) for days in (1, 2, 3)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ClockAdvancing", "ClockAdvancing", "JobView"]
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(text("update app.job set state = 'done'"))
        assert await clocks.under_way(session) is None
        assert (await clocks.advance(session, NOW + timedelta(days=4))).state == "queued"
        with pytest.raises(ClockAdvancing):
            await clocks.advance(session, NOW + timedelta(days=5))


async def test_a_clock_goes_forward_and_not_too_far(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        for to in (NOW, NOW - timedelta(seconds=1), NOW + timedelta(days=732)):
            with pytest.raises(ClockTargetInvalid):
                await clocks.advance(session, to)
        assert (await clocks.advance(session, NOW + timedelta(days=731))).state == "queued"


async def test_who_lives_in_real_time_has_no_clock(database: Database) -> None:
    for kind in TenantKind:
        tenant_id = await make_tenant(database, kind=kind, now=None)
        async with database.tenant(tenant_id, CAUSE) as session:
            with pytest.raises(NoTestClock):
                await clocks.clock(session)
            with pytest.raises(NoTestClock):
                await clocks.advance(session, NOW)


async def test_the_walk_moves_the_clock_and_is_told_once(database: Database, tenant_id: UUID) -> None:
    day = timedelta(days=1)
    async with database.tenant(tenant_id, CAUSE) as session:
        before = await clocks.clock(session)
        await clocks.move(session, NOW + day)
        await clocks.move(session, NOW)  # a step done twice does not go back
        after = await clocks.arrived(session, NOW)
        assert (after.now_at, after.id) == (NOW + day, before.id)
        assert after.version > before.version
    async with database.tenant(tenant_id, CAUSE) as session:
        row = (await session.execute(text("select * from app.event where type = 'clock.advanced' limit 1"))).one()
    assert (row.sequence, row.occurred_at) == (after.version, NOW + day)
    assert '"previous":{"version"' in row.payload
