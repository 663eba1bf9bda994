"""Draining: return when nothing of the tenant can be worked off, wait for what another worker holds."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text

from dunning.courses import TICK
from kernel import ids
from storage.clocks import TICKS, make_due, promote_clocked
from storage.database import Database
from storage.queues import give_back
from support.chasing import at_work
from support.stories import bill, make_cast, rows
from support.tenants import NOW
from workers import rounds
from workers.draining import Stopping, drain, quiet
from workers.engine import Engine

PATIENCE_S: Final = 0.3  # far longer than a drain that has nothing to wait for


async def is_quiet(database: Database, tenant_id: UUID) -> bool:
    async with database.queue() as session:
        return await quiet(session, tenant_id)


async def make_tick(database: Database, tenant_id: UUID, **changes: str) -> None:
    """A tick of a course that does not exist: it does nothing when it is worked off."""
    async with at_work(database, tenant_id) as session:
        await make_due(session, TICK, [(ids.new_id(), NOW)])
        await promote_clocked(session, NOW)
        for column, value in changes.items():
            await session.execute(text(f"update app.tick set {column} = {value}"))


async def test_everything_that_follows_from_a_change_is_done(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", (NOW + timedelta(days=30)).date())
    assert not await is_quiet(database, tenant_id)
    await drain(engine, tenant_id)
    assert await is_quiet(database, tenant_id)
    left = "select (select count(*) from app.reaction), (select count(*) from app.event where log_position is null)"
    assert await rows(database, tenant_id, left) == [(0, 0)]
    assert await rows(database, tenant_id, "select count(*) from app.course") == [(1,)]


@pytest.mark.parametrize(
    "changes", [{"run_at": "clock_timestamp() + interval '1 hour'"}, {"state": "'dead'"}], ids=["backing_off", "dead"]
)
async def test_what_cannot_be_done_now_is_not_waited_for(
    engine: Engine, tenant_id: UUID, changes: dict[str, str]
) -> None:
    await make_tick(engine.database, tenant_id, **changes)
    await drain(engine, tenant_id)
    assert await rows(engine.database, tenant_id, "select count(*) from app.tick") == [(1,)]


async def test_another_tenants_work_is_not_waited_for(engine: Engine, tenant_id: UUID, other_tenant_id: UUID) -> None:
    await make_tick(engine.database, other_tenant_id)
    await drain(engine, tenant_id)
    assert not await is_quiet(engine.database, other_tenant_id)


async def test_what_another_worker_holds_is_waited_for(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await make_tick(database, tenant_id)
    held = await rounds.claim_from(engine, TICKS, tenant_id)
    with anyio.move_on_after(PATIENCE_S) as scope:
        await drain(engine, tenant_id)
    assert scope.cancelled_caught
    async with database.queue() as session:
        await give_back(session, TICKS, held)
    await drain(engine, tenant_id)
    assert await rows(database, tenant_id, "select count(*) from app.tick") == [(0,)]


async def test_a_process_that_is_to_end_drains_no_more(engine: Engine, tenant_id: UUID) -> None:
    engine.stopping.set()
    with pytest.raises(Stopping):
        await drain(engine, tenant_id)
