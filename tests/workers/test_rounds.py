"""Rounds: batches that fall back to one by one, order per object, and rows that are given up."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest
from sqlalchemy import text

from kernel import ids
from storage.clocks import TICKS, make_due, promote_clocked
from storage.database import Database
from storage.events import CATALOGUE
from storage.queues import MAX_ATTEMPTS, shard_of
from storage.registry import Registry
from support.chasing import at_work, tasks
from support.handlers import TICK, TOCK, Notes, registry_of
from support.probes import PROBES, change
from support.stories import open_engine, rows
from support.tenants import NOW, make_tenant
from workers import rounds
from workers.draining import drain
from workers.engine import Engine


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def registry(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for kind, event in PROBES.items():
        monkeypatch.setitem(CATALOGUE, kind, event)
    return registry_of(notes)


@pytest.fixture
async def engine(database: Database) -> AsyncGenerator[Engine]:
    async with open_engine(database) as engine:
        yield engine


async def make_ticks(database: Database, tenant_id: UUID, count: int, kind: str = TICK) -> list[UUID]:
    """Objects whose time has come, in the order of their ids."""
    objects = [ids.new_id() for _ in range(count)]
    async with at_work(database, tenant_id) as session:
        await make_due(session, kind, [(object_id, NOW) for object_id in objects])
        await promote_clocked(session, NOW)
    return objects


async def make_runnable(database: Database, tenant_id: UUID, table: str, *, attempts: int | None = None) -> None:
    """What backs off has waited long enough."""
    statement = f"update app.{table} set run_at = clock_timestamp(), attempts = coalesce(:attempts, attempts)"
    async with at_work(database, tenant_id) as session:
        await session.execute(text(statement), {"attempts": attempts})


async def test_ticks_are_handled_in_one_batch(engine: Engine, notes: Notes, tenant_id: UUID) -> None:
    objects = await make_ticks(engine.database, tenant_id, 5)
    assert await rounds.ticks(engine) == 5
    assert (notes.ticked, notes.batches) == (objects, [5])
    assert await rounds.ticks(engine) == 0


async def test_a_poisonous_tick_fails_alone_and_is_given_up_with_a_task(
    engine: Engine, notes: Notes, tenant_id: UUID
) -> None:
    database = engine.database
    objects = await make_ticks(database, tenant_id, 5)
    notes.poison.add(objects[2])
    await rounds.ticks(engine)
    assert sorted(notes.ticked) == [each for each in objects if each != objects[2]]
    kept = "select object_id, state, attempts, run_at > clock_timestamp() from app.tick"
    assert await rows(database, tenant_id, kept) == [(objects[2], "pending", 1, True)]
    assert await rounds.ticks(engine) == 0  # it backs off
    await make_runnable(database, tenant_id, "tick", attempts=MAX_ATTEMPTS - 1)
    await rounds.ticks(engine)
    assert await rows(database, tenant_id, kept.replace(", run_at > clock_timestamp()", "")) == [
        (objects[2], "dead", MAX_ATTEMPTS)
    ]
    assert await tasks(database, tenant_id) == ["dead_letter"]
    await make_runnable(database, tenant_id, "tick")
    assert await rounds.ticks(engine) == 0


async def test_a_poisonous_tick_that_is_cured_is_handled(engine: Engine, notes: Notes, tenant_id: UUID) -> None:
    (one,) = await make_ticks(engine.database, tenant_id, 1)
    notes.poison.add(one)
    await rounds.ticks(engine)
    notes.poison.clear()
    await make_runnable(engine.database, tenant_id, "tick")
    await rounds.ticks(engine)
    assert notes.ticked == [one]
    assert await tasks(engine.database, tenant_id) == []


async def test_kinds_do_not_share_a_transaction(engine: Engine, notes: Notes, tenant_id: UUID) -> None:
    good = await make_ticks(engine.database, tenant_id, 3)
    bad = await make_ticks(engine.database, tenant_id, 1, TOCK)
    notes.poison.update(bad)
    await rounds.ticks(engine)
    assert (sorted(notes.ticked), notes.batches) == (good, [3])
    assert await rows(engine.database, tenant_id, "select kind, attempts from app.tick") == [(TOCK, 1)]


async def test_one_tenants_poison_is_not_anothers(
    engine: Engine, notes: Notes, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    notes.poison.update(await make_ticks(engine.database, tenant_id, 2))
    good = await make_ticks(engine.database, other_tenant_id, 2)
    for _ in range(rounds.SHARDS):
        await rounds.ticks(engine)
    assert sorted(notes.ticked) == good


async def test_a_moved_fence_does_nothing(engine: Engine, notes: Notes, tenant_id: UUID) -> None:
    await make_ticks(engine.database, tenant_id, 2)
    held = await rounds.claim_from(engine, TICKS, tenant_id)
    async with at_work(engine.database, tenant_id) as session:
        await session.execute(text("update app.tick set fence = fence + 1"))
    await rounds._ticks_of(engine, held)  # noqa: SLF001 - a worker that has lost its lease, at the worst moment
    assert notes.ticked == []
    assert await rows(engine.database, tenant_id, "select count(*) from app.tick") == [(2,)]


async def tell(database: Database, tenant_id: UUID, probe_id: UUID, *sequences: int) -> None:
    for sequence in sequences:
        async with at_work(database, tenant_id) as session:
            change(session, probe_id, sequence)


def of(notes: Notes, consumer: str, probe_id: UUID) -> list[int]:
    return [sequence for who, object_id, sequence in notes.told if (who, object_id) == (consumer, probe_id)]


async def test_reactions_come_in_the_order_of_their_object(engine: Engine, notes: Notes, tenant_id: UUID) -> None:
    one, two = ids.new_id(), ids.new_id()
    await tell(engine.database, tenant_id, one, 2, 1, 3)  # told in another order than it happened
    await tell(engine.database, tenant_id, two, 1, 2)
    while await rounds.reactions(engine):
        pass
    for consumer in ("squeamish", "robust"):
        assert of(notes, consumer, one) == [1, 2, 3]
        assert of(notes, consumer, two) == [1, 2]


async def test_a_poisonous_event_holds_back_its_own_object_and_consumer_alone(
    engine: Engine, notes: Notes, tenant_id: UUID
) -> None:
    database = engine.database
    one, two = ids.new_id(), ids.new_id()
    await tell(database, tenant_id, one, 3, 2, 1)
    await tell(database, tenant_id, two, 1, 2)
    notes.poison.add((one, 2))
    while await rounds.reactions(engine):
        pass
    assert of(notes, "squeamish", one) == [1]
    assert of(notes, "robust", one) == [1, 2, 3]
    assert of(notes, "squeamish", two) == of(notes, "robust", two) == [1, 2]
    notes.poison.clear()
    await make_runnable(database, tenant_id, "reaction")
    while await rounds.reactions(engine):
        pass
    assert of(notes, "squeamish", one) == [1, 2, 3]
    assert await rows(database, tenant_id, "select count(*) from app.reaction") == [(0,)]


async def test_a_dead_reaction_blocks_what_comes_after_it_and_nobody_waits_for_that(
    engine: Engine, notes: Notes, tenant_id: UUID
) -> None:
    database = engine.database
    one, two = ids.new_id(), ids.new_id()
    await tell(database, tenant_id, one, 1, 2)
    notes.poison.add((one, 1))
    await rounds.reactions(engine)
    await make_runnable(database, tenant_id, "reaction", attempts=MAX_ATTEMPTS - 1)
    await rounds.reactions(engine)
    assert await tasks(database, tenant_id) == ["dead_letter"]
    await tell(database, tenant_id, one, 3)
    await tell(database, tenant_id, two, 1)
    await make_runnable(database, tenant_id, "reaction")
    await drain(engine, tenant_id)  # what waits behind the dead is no work
    assert of(notes, "squeamish", one) == []
    assert of(notes, "robust", one) == [1, 2, 3]
    assert of(notes, "squeamish", two) == [1]
    left = "select sequence, state from app.reaction order by sequence"
    assert await rows(database, tenant_id, left) == [(1, "dead"), (2, "pending"), (3, "pending")]


MANY: Final = 8 * TICKS.per_tenant


async def test_a_busy_shard_does_not_starve_the_others(engine: Engine) -> None:
    """Every shard gets its turn, whatever its number and however much the others have."""
    database, tenants = engine.database, dict[int, UUID]()
    while len(tenants) < 3:
        tenant_id = await make_tenant(database)
        tenants[shard_of(tenant_id)] = tenant_id
    for tenant_id in tenants.values():
        async with at_work(database, tenant_id) as session:
            fill = (
                "insert into app.tick (tenant_id, kind, object_id, state)"
                " select :tenant_id, :kind, gen_random_uuid(), 'pending' from generate_series(1, :many)"
            )
            await session.execute(text(fill), {"tenant_id": tenant_id, "kind": TICK, "many": MANY})
    served = [{shard_of(claim.tenant_id) for claim in await rounds.claim_from(engine, TICKS, None)} for _ in range(8)]
    assert set().union(*served) == set(tenants)


async def test_backing_off_takes_longer_each_time(engine: Engine, notes: Notes, tenant_id: UUID) -> None:
    (one,) = await make_ticks(engine.database, tenant_id, 1)
    notes.poison.add(one)
    waits: list[timedelta] = []
    for _ in range(3):
        await rounds.ticks(engine)
        ((wait,),) = await rows(engine.database, tenant_id, "select run_at - clock_timestamp() from app.tick")
        waits.append(wait)
        await make_runnable(engine.database, tenant_id, "tick")
    assert [round(wait.total_seconds()) for wait in waits] == [1, 2, 4]
