import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text

from kernel import ids
from storage.clocks import (
    TICKS,
    Due,
    TickRow,
    forget_due,
    make_due,
    next_due,
    now_of,
    promote,
    promote_clocked,
    set_clock,
)
from storage.database import Database
from storage.queues import LEASE, claim, shard_of
from support.marks import both_servers
from support.tenants import CAUSE, NOW, make_tenant

pytestmark = both_servers

KIND = "probe"
PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


async def plan(database: Database, tenant_id: UUID, *when: datetime) -> list[UUID]:
    objects = [ids.new_id() for _ in when]
    async with database.tenant(tenant_id, CAUSE) as session:
        await make_due(session, KIND, zip(objects, when, strict=True))
    return objects


async def waiting(database: Database, tenant_id: UUID) -> dict[UUID, datetime]:
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = await session.execute(select(Due.object_id, Due.due_at).where(Due.kind == KIND).limit(100))
        return {row.object_id: row.due_at for row in rows}


async def ticking(database: Database, tenant_id: UUID) -> list[UUID]:
    async with database.tenant(tenant_id, CAUSE) as session:
        query = select(TickRow.object_id).where(TickRow.kind == KIND).order_by(TickRow.object_id).limit(100)
        return list((await session.execute(query)).scalars())


async def run_promoter(database: Database, *, limit: int = 5_000) -> int:
    async with database.queue() as session:
        return await promote(session, limit=limit)


async def run_until(database: Database, tenant_id: UUID, now: datetime) -> int:
    async with database.tenant(tenant_id, CAUSE) as session:
        return await promote_clocked(session, now)


async def finish(database: Database, tenant_id: UUID, objects: Iterable[UUID]) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        values = {"objects": list(objects)}
        await session.execute(text("delete from app.tick where object_id = any(cast(:objects as uuid[]))"), values)


async def test_business_time_is_the_test_clock_or_system_time(database: Database, tenant_id: UUID) -> None:
    live = await make_tenant(database, now=None)
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await now_of(session) == NOW
        await set_clock(session, NOW + timedelta(days=1))
        assert await now_of(session) == NOW + timedelta(days=1)
    async with database.tenant(live, CAUSE) as session:
        system = (await session.execute(text("select clock_timestamp()"))).scalar_one()
        assert system <= await now_of(session) < system + timedelta(seconds=20)


async def test_what_is_due_becomes_a_tick_and_the_rest_waits(database: Database) -> None:
    live = await make_tenant(database, now=None)
    due, later = await plan(database, live, PAST, FUTURE)
    assert await run_promoter(database) == 1
    assert await ticking(database, live) == [due]
    assert await waiting(database, live) == {later: FUTURE}
    assert await run_promoter(database) == 0


async def test_a_later_call_replaces_an_earlier(database: Database) -> None:
    live = await make_tenant(database, now=None)
    (once,) = await plan(database, live, PAST)
    async with database.tenant(live, CAUSE) as session:
        await make_due(session, KIND, [(once, FUTURE)])
        await make_due(session, "other", [(once, PAST)])  # another kind is another wait
    assert await run_promoter(database) == 1
    assert (await ticking(database, live), await waiting(database, live)) == ([], {once: FUTURE})
    async with database.tenant(live, CAUSE) as session:
        await make_due(session, KIND, [(once, FUTURE), (once, PAST)])  # the last one holds
        await make_due(session, KIND, [])
    assert await waiting(database, live) == {once: PAST}
    async with database.tenant(live, CAUSE) as session:
        await make_due(session, KIND, [(once, FUTURE)], at_latest=True)  # an earlier one stays
    assert await waiting(database, live) == {once: PAST}


async def test_what_is_forgotten_does_not_come(database: Database) -> None:
    live = await make_tenant(database, now=None)
    kept, forgotten = await plan(database, live, PAST, PAST)
    async with database.tenant(live, CAUSE) as session:
        await forget_due(session, KIND, [forgotten])
        await forget_due(session, "other", [kept])
    assert await run_promoter(database) == 1
    assert await ticking(database, live) == [kept]


async def test_system_time_moves_no_test_clock(database: Database, tenant_id: UUID) -> None:
    """A sandbox in 2026 and one in 2020, both long past by system time, stand still."""
    old = await make_tenant(database, now=PAST)
    await plan(database, tenant_id, NOW - timedelta(days=1))
    await plan(database, old, PAST - timedelta(days=1))
    assert await run_promoter(database) == 0
    assert await ticking(database, tenant_id) == await ticking(database, old) == []


async def test_an_advance_brings_what_lies_before_it(database: Database, tenant_id: UUID) -> None:
    other = await make_tenant(database)
    await plan(database, other, NOW)
    first, second, third = await plan(database, tenant_id, *(NOW + timedelta(days=days) for days in (1, 2, 3)))
    assert await run_until(database, tenant_id, NOW + timedelta(days=2)) == 2
    assert await ticking(database, tenant_id) == sorted([first, second])
    assert await waiting(database, tenant_id) == {third: NOW + timedelta(days=3)}
    assert len(await waiting(database, other)) == 1  # its clock has not moved
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await next_due(session) == NOW + timedelta(days=3)


async def test_nothing_waits_in_an_empty_tenant(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await next_due(session) is None


async def test_a_clock_stops_what_waited_for_system_time(database: Database) -> None:
    tenant_id = await make_tenant(database, now=None)
    (due,) = await plan(database, tenant_id, PAST)
    async with database.tenant(tenant_id, CAUSE) as session:
        await set_clock(session, NOW)
    assert await run_promoter(database) == 0
    assert await run_until(database, tenant_id, NOW) == 1
    assert await ticking(database, tenant_id) == [due]


async def test_what_is_in_work_waits_its_turn(database: Database) -> None:
    live = await make_tenant(database, now=None)
    (due,) = await plan(database, live, PAST)
    await run_promoter(database)
    async with database.tenant(live, CAUSE) as session:  # asked for again while its tick is worked off
        await make_due(session, KIND, [(due, PAST)])
    assert await run_promoter(database) == 0
    await finish(database, live, [due])
    assert await run_promoter(database) == 1
    assert await ticking(database, live) == [due]


async def test_a_clocked_object_in_work_waits_too(database: Database, tenant_id: UUID) -> None:
    (due,) = await plan(database, tenant_id, NOW)
    await run_until(database, tenant_id, NOW)
    async with database.tenant(tenant_id, CAUSE) as session:
        await make_due(session, KIND, [(due, NOW)])
    assert await run_until(database, tenant_id, NOW) == 0
    await finish(database, tenant_id, [due])
    assert await run_until(database, tenant_id, NOW) == 1


async def test_promoters_at_once_bring_each_object_once(database: Database) -> None:
    live = [await make_tenant(database, now=None) for _ in range(3)]
    planned = {tenant_id: await plan(database, tenant_id, *[PAST] * 30) for tenant_id in live}
    brought = await asyncio.gather(*(run_promoter(database, limit=20) for _ in range(8)))
    while more := await run_promoter(database, limit=20):
        brought.append(more)
    assert sum(brought) == 90
    for tenant_id, objects in planned.items():
        assert await ticking(database, tenant_id) == objects


async def test_the_most_overdue_come_first(database: Database) -> None:
    live = await make_tenant(database, now=None)
    newer, older = await plan(database, live, PAST + timedelta(days=1), PAST)
    assert await run_promoter(database, limit=1) == 1
    assert await ticking(database, live) == [older]
    assert list(await waiting(database, live)) == [newer]


async def test_a_lease_is_system_time_in_any_year(database: Database) -> None:
    """The clocks of a sandbox say nothing about how long a worker holds a row."""
    for year in (2024, 2028):
        now = datetime(year, 3, 31, 1, 30, tzinfo=UTC)  # the night in which clocks change
        sandbox = await make_tenant(database, now=now)
        await plan(database, sandbox, now)
        await run_until(database, sandbox, now)
        async with database.queue() as session:
            (held,) = await claim(session, TICKS, shard_of(sandbox), limit=1, only=sandbox)
            left = text("select lease_until - clock_timestamp() from app.tick where tenant_id = :tenant and id = :id")
            remaining = (await session.execute(left, {"tenant": sandbox, "id": held.id})).scalar_one()
        assert LEASE - timedelta(seconds=20) < remaining <= LEASE
