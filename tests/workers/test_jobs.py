"""Durable jobs: advancing a clock through workers that die, lose the job or meet poison on the way."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import anyio
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from dunning.courses import TICK
from kernel import ids
from storage import jobs as queue
from storage.clocks import now_of
from storage.database import Database
from storage.jobs import JOBS, JobContext
from storage.queues import MAX_ATTEMPTS
from support.chasing import at_work, said
from support.stories import bill, make_cast, rows, sent_mails
from tenants import clocks
from tenants.advancing import JobLost, advance
from tenants.errors import ClockAdvancing
from workers import rounds
from workers.draining import drain
from workers.engine import Engine
from workers.jobs import jobs

DUE: Final = date(2026, 3, 20)
TO: Final = datetime(2026, 4, 20, 12, tzinfo=UTC)
STEPS: Final = [
    ("F-1", "before_due", date(2026, 3, 17)),
    ("F-1", "first_reminder", date(2026, 3, 23)),
    ("F-1", "second_reminder", date(2026, 3, 30)),
    ("F-1", "last_reminder", date(2026, 4, 14)),
]


async def ask(database: Database, tenant_id: UUID, to: datetime = TO) -> None:
    async with at_work(database, tenant_id) as session:
        await clocks.advance(session, to)


async def clock(database: Database, tenant_id: UUID) -> datetime:
    async with at_work(database, tenant_id) as session:
        return await now_of(session)


async def state(database: Database, tenant_id: UUID) -> tuple[str, int, str | None]:
    (found,) = await rows(database, tenant_id, "select state, attempts, error from app.job")
    return found[0], found[1], found[2]


async def make_runnable(database: Database, tenant_id: UUID, *, attempts: int | None = None) -> None:
    change = "update app.job set run_at = clock_timestamp(), attempts = coalesce(:attempts, attempts)"
    async with at_work(database, tenant_id) as session:
        await session.execute(text(change), {"attempts": attempts})


async def arrivals(database: Database, tenant_id: UUID) -> int:
    ((count,),) = await rows(database, tenant_id, "select count(*) from app.event where type = 'clock.advanced'")
    return count


@pytest.fixture
async def billed(engine: Engine, tenant_id: UUID) -> UUID:
    """An invoice is to be chased."""
    return await bill(engine.database, await make_cast(engine.database, tenant_id), "F-1", DUE)


@pytest.mark.usefixtures("billed")
async def test_a_clock_is_advanced_by_whoever_takes_the_job(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await ask(database, tenant_id)
    with pytest.raises(ClockAdvancing):
        await ask(database, tenant_id, TO + timedelta(days=1))
    assert await jobs(engine) == 1
    assert await state(database, tenant_id) == ("done", 1, None)
    assert await clock(database, tenant_id) == TO
    assert await said(database, tenant_id) == STEPS
    assert await arrivals(database, tenant_id) == 1
    assert await jobs(engine) == 0


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.usefixtures("billed")
@pytest.mark.parametrize("survives", [1, 2, 4])
async def test_a_walk_that_was_killed_goes_on_where_it_stood(engine: Engine, tenant_id: UUID, survives: int) -> None:
    database = engine.database
    await ask(database, tenant_id)
    (held,) = await rounds.claim_from(engine, JOBS, tenant_id)
    left = survives

    async def drain_and_die() -> bool:
        nonlocal left
        await drain(engine, tenant_id)
        left -= 1
        if left < 0:
            raise Killed
        return True

    with pytest.raises(Killed):
        await advance(await context_of(engine, tenant_id, held.fence, drain_and_die))
    stopped_at = await clock(database, tenant_id)
    assert stopped_at < TO
    async with at_work(database, tenant_id) as session:
        await session.execute(text("update app.job set lease_until = clock_timestamp() - interval '1 s'"))
    await rounds.sweeps(engine)
    assert await jobs(engine) == 1
    assert (await state(database, tenant_id))[0] == "done"
    assert await said(database, tenant_id) == STEPS
    assert len(await sent_mails(database, tenant_id)) == 4
    assert await arrivals(database, tenant_id) == 1


async def context_of(engine: Engine, tenant_id: UUID, fence: int, drain_: Callable[[], Awaitable[bool]]) -> JobContext:
    ((job_id, params),) = await rows(engine.database, tenant_id, "select id, params from app.job")
    return JobContext(engine.database, tenant_id, job_id, fence, params, drain_)


@pytest.mark.usefixtures("billed")
async def test_who_has_lost_the_job_walks_no_further(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await ask(database, tenant_id)
    (held,) = await rounds.claim_from(engine, JOBS, tenant_id)

    async def drain_and_be_robbed() -> bool:
        await drain(engine, tenant_id)
        async with at_work(database, tenant_id) as session:
            if await now_of(session) >= datetime(2026, 3, 23, 8, tzinfo=UTC):
                await session.execute(text("update app.job set fence = fence + 1, state = 'pending'"))
        return True

    with pytest.raises(JobLost):
        await advance(await context_of(engine, tenant_id, held.fence, drain_and_be_robbed))
    assert await clock(database, tenant_id) == datetime(2026, 3, 23, 8, tzinfo=UTC)
    assert await arrivals(database, tenant_id) == 0
    await jobs(engine)
    assert await said(database, tenant_id) == STEPS
    assert await arrivals(database, tenant_id) == 1


@pytest.mark.usefixtures("billed")
async def test_the_arrival_is_told_once_also_when_the_job_is_ended_twice(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await ask(database, tenant_id)
    await jobs(engine)
    async with at_work(database, tenant_id) as session:  # it died after the last step, before the job was ended
        await session.execute(text("update app.job set state = 'pending', finished_at = null"))
    await jobs(engine)
    assert (await state(database, tenant_id))[:2] == ("done", 2)
    assert await arrivals(database, tenant_id) == 1


async def test_what_was_given_up_does_not_hold_the_clock(engine: Engine, tenant_id: UUID, billed: UUID) -> None:
    """A dead tick keeps its object's next look waiting; the clock goes on for everybody else."""
    database = engine.database
    await drain(engine, tenant_id)
    other = await make_cast(database, tenant_id)
    await bill(database, other, "F-2", DUE)
    await drain(engine, tenant_id)
    bury = (
        "insert into app.tick (tenant_id, kind, object_id, state)"
        " select tenant_id, :kind, id, 'dead' from app.course where invoice_id = :invoice_id"
    )
    async with at_work(database, tenant_id) as session:
        await session.execute(text(bury), {"kind": TICK, "invoice_id": billed})
    await ask(database, tenant_id)
    await jobs(engine)
    assert (await state(database, tenant_id))[0] == "done"
    assert await clock(database, tenant_id) == TO
    assert [number for number, _, _ in await said(database, tenant_id)] == ["F-2"] * 4


async def test_a_job_that_fails_is_tried_again_and_given_up(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    async with at_work(database, tenant_id) as session:
        await queue.add(session, ids.new_id(), "nobody.knows", "{}")
    await jobs(engine)
    assert await state(database, tenant_id) == ("pending", 1, "KeyError('nobody.knows')")
    assert await jobs(engine) == 0
    await make_runnable(database, tenant_id, attempts=MAX_ATTEMPTS - 1)
    await jobs(engine)
    assert (await state(database, tenant_id))[:2] == ("failed", MAX_ATTEMPTS)
    await make_runnable(database, tenant_id)
    assert await jobs(engine) == 0


@pytest.mark.usefixtures("billed")
async def test_a_process_that_is_to_end_gives_the_job_back(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await ask(database, tenant_id)
    engine.stopping.set()
    await jobs(engine)
    assert (await state(database, tenant_id))[0] == "pending"
    async with at_work(database, tenant_id) as session:
        assert (await session.execute(text("select run_at <= clock_timestamp() from app.job"))).scalar_one()
    await jobs(replace(engine, stopping=anyio.Event()))
    assert await clock(database, tenant_id) == TO
