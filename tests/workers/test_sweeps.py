"""Sweeps: what the dead had leased goes back, what they may have sent is held for a person."""

from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

import pytest
from sqlalchemy import text

from kernel import ids
from messaging.outbox import MESSAGES
from storage.clocks import TICKS, make_due, promote_clocked
from storage.database import Database
from storage.jobs import JOBS
from storage.queues import Queue
from storage.reactions import REACTIONS
from support.chasing import at_work, deliver, lease, mark, messages, notices, plan_at, tasks
from support.stories import bill, make_cast, rows
from support.tenants import NOW
from tenants import clocks
from workers import rounds
from workers.draining import drain
from workers.engine import Engine

DUE: Final = date(2026, 3, 2)
REMINDED: Final = datetime(2026, 3, 5, 8, tzinfo=UTC)
KIND: Final = "dunning.course"


async def die(database: Database, tenant_id: UUID, table: str) -> None:
    """Whoever holds these rows has not been heard of since the end of its lease."""
    statement = f"update app.{table} set lease_until = clock_timestamp() - interval '1 s' where state <> 'pending'"
    async with at_work(database, tenant_id) as session:
        await session.execute(text(statement))


async def feed(database: Database, tenant_id: UUID) -> None:
    """Something in each queue."""
    cast = await make_cast(database, tenant_id)
    async with at_work(database, tenant_id) as session:
        await make_due(session, KIND, [(ids.new_id(), NOW)])
        await promote_clocked(session, NOW)
        await clocks.advance(session, REMINDED)
    await bill(database, cast, "F-1", DUE)


@pytest.mark.parametrize("queue", [TICKS, REACTIONS, JOBS], ids=lambda queue: queue.name)
async def test_an_expired_lease_goes_back_and_a_living_one_stays(engine: Engine, tenant_id: UUID, queue: Queue) -> None:
    database = engine.database
    await feed(database, tenant_id)
    held = await rounds.claim_from(engine, queue, tenant_id)
    assert held
    await rounds.sweeps(engine)
    states = f"select distinct state from {queue.table} where fence > 0"
    assert await rows(database, tenant_id, states) == [("leased",)]
    await die(database, tenant_id, queue.name)
    await rounds.sweeps(engine)
    assert await rows(database, tenant_id, states) == [("pending",)]
    again = await rounds.claim_from(engine, queue, tenant_id)
    assert [(claim.id, claim.fence - 1) for claim in sorted(again)] == [
        (claim.id, claim.fence) for claim in sorted(held)
    ]


async def planned(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED)


async def test_a_message_whose_worker_died_before_the_mark_is_sent_by_another(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await planned(engine, tenant_id)
    await lease(engine, tenant_id)
    await die(database, tenant_id, MESSAGES.name)
    await rounds.sweeps(engine)
    await drain(engine, tenant_id)
    assert await messages(database, tenant_id) == [("sent", "accepted")]


async def test_a_message_whose_worker_died_in_the_call_is_unknown_once(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await planned(engine, tenant_id)
    copies = await mark(engine, tenant_id, await lease(engine, tenant_id))
    await rounds.sweeps(engine)
    assert await messages(database, tenant_id) == [("dispatching", None)]  # it may still be in the call
    await die(database, tenant_id, MESSAGES.name)
    await rounds.sweeps(engine)
    await rounds.sweeps(engine)
    assert await messages(database, tenant_id) == [("unknown", "worker_lost")]
    assert await notices(database, tenant_id) == {"F-1": ("planned", None)}
    assert await tasks(database, tenant_id) == ["message_unknown"]
    told = await rows(database, tenant_id, "select count(*) from app.event where type = 'message.unknown'")
    assert told == [(1,)]
    await deliver(engine, tenant_id, copies)  # it was alive after all: too late, a person has been asked
    assert await messages(database, tenant_id) == [("unknown", "worker_lost")]


async def test_a_tenant_whose_messages_cannot_be_held_does_not_keep_the_others_waiting(
    engine: Engine, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    database = engine.database
    for each in (tenant_id, other_tenant_id):
        await planned(engine, each)
        await mark(engine, each, await lease(engine, each))
        await die(database, each, MESSAGES.name)
    async with at_work(database, tenant_id) as session:  # a row that cannot be: nobody knows its debtor
        await session.execute(text("update app.message set debtor_id = gen_random_uuid()"))
        await session.execute(text("update app.message set lease_until = lease_until - interval '1 hour'"))
    await rounds.sweeps(engine)
    assert await messages(database, tenant_id) == [("dispatching", None)]
    assert await messages(database, other_tenant_id) == [("unknown", "worker_lost")]
