import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select

from kernel import ids
from storage.database import Database
from storage.events import EventRow, publish
from storage.relay import BATCH_EVENTS, LogHead, stamp
from support.marks import both_servers
from support.probes import change
from support.tenants import CAUSE

pytestmark = both_servers


async def emit_some(database: Database, tenant_id: UUID, count: int) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        for version in range(1, count + 1):
            change(session, ids.new_id(), version)


async def run_relay(database: Database, *, only: UUID | None = None) -> int:
    async with database.queue() as session:
        return await stamp(session, only=only)


async def log_of(database: Database, tenant_id: UUID) -> list[EventRow]:
    """The log as a reader follows it."""
    async with database.tenant(tenant_id, CAUSE) as session:
        query = select(EventRow).where(EventRow.log_position.is_not(None)).order_by(EventRow.log_position).limit(9_999)
        return list((await session.execute(query)).scalars())


async def head_of(database: Database, tenant_id: UUID) -> int:
    async with database.tenant(tenant_id, CAUSE) as session:
        return (await session.execute(select(LogHead.position))).scalar_one()


async def test_positions_follow_the_order_of_recording(database: Database, tenant_id: UUID) -> None:
    await emit_some(database, tenant_id, 5)
    await emit_some(database, tenant_id, 5)
    stamped = await run_relay(database)
    log = await log_of(database, tenant_id)
    assert [row.log_position for row in log] == list(range(1, stamped + 1))
    assert log == sorted(log, key=lambda row: (row.recorded_at, row.id))
    assert await head_of(database, tenant_id) == stamped
    assert await run_relay(database) == 0


async def test_each_tenant_has_a_log_of_its_own(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    await emit_some(database, tenant_id, 3)
    await run_relay(database, only=tenant_id)
    assert await log_of(database, other_tenant_id) == []
    await emit_some(database, other_tenant_id, 2)
    await run_relay(database)
    assert [row.log_position for row in await log_of(database, tenant_id)] == [1, 2, 3, 4]  # the first made the tenant
    assert [row.log_position for row in await log_of(database, other_tenant_id)] == [1, 2, 3]


async def test_a_late_commit_is_numbered_after_what_was_read(database: Database, tenant_id: UUID) -> None:
    """Its id and its time are older, yet a reader that is past them must still meet it."""
    late = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, late)
        await publish(session)  # its rows are on the page, and its commit is not
        await emit_some(database, tenant_id, 3)
        await run_relay(database)
        read = [row.id for row in await log_of(database, tenant_id)]
    await run_relay(database)
    log = await log_of(database, tenant_id)
    assert [row.id for row in log][: len(read)] == read
    assert [(row.object_id, row.log_position) for row in log[len(read) :]] == [(late, len(read) + 1)]
    assert log[-1].recorded_at < log[-2].recorded_at


async def test_two_relays_at_once_leave_no_gap_and_no_double(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    for _ in range(6):
        await emit_some(database, tenant_id, 20)
        await emit_some(database, other_tenant_id, 20)
        await asyncio.gather(run_relay(database), run_relay(database), emit_some(database, tenant_id, 5))
    while await run_relay(database):
        pass
    for tenant, count in ((tenant_id, 151), (other_tenant_id, 121)):
        assert [row.log_position for row in await log_of(database, tenant)] == list(range(1, count + 1))
        assert await head_of(database, tenant) == count


async def test_a_relay_leaves_a_tenant_to_the_other_that_is_at_it(database: Database, tenant_id: UUID) -> None:
    await run_relay(database)
    await emit_some(database, tenant_id, 2)
    async with database.queue() as first:
        assert await stamp(first) == 2
        assert await run_relay(database) == 0  # neither waits nor numbers twice
    assert await run_relay(database) == 0
    assert [row.log_position for row in await log_of(database, tenant_id)] == [1, 2, 3]


async def test_a_relay_that_dies_leaves_everything_as_it_was(database: Database, tenant_id: UUID) -> None:
    await emit_some(database, tenant_id, 2)

    async def die() -> None:
        async with database.queue() as session:
            assert await stamp(session) == 3
            raise LookupError

    with pytest.raises(LookupError):
        await die()
    assert await log_of(database, tenant_id) == []
    assert await run_relay(database) == 3


async def test_a_long_backlog_is_numbered_in_pieces(database: Database, tenant_id: UUID) -> None:
    await emit_some(database, tenant_id, BATCH_EVENTS)
    assert [await run_relay(database) for _ in range(3)] == [BATCH_EVENTS, 1, 0]
    log = await log_of(database, tenant_id)
    assert log == sorted(log, key=lambda row: (row.recorded_at, row.id))
