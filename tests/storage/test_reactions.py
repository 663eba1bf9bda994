"""Reactions are worked off in the order of their object's events, each consumer for itself."""

from uuid import UUID

import pytest
from sqlalchemy import text

from kernel import ids
from storage.database import Database
from storage.queues import Claim, claim, shard_of, sweep
from storage.reactions import REACTIONS
from support.marks import both_servers
from support.probes import FIRST, SECOND, change
from support.tenants import CAUSE

pytestmark = both_servers


async def emit_each(database: Database, tenant_id: UUID, object_id: UUID, versions: int) -> None:
    for version in range(1, versions + 1):
        async with database.tenant(tenant_id, CAUSE) as session:
            change(session, object_id, version)


async def take(database: Database, tenant_id: UUID, *, limit: int = 100) -> list[Claim]:
    async with database.queue() as session:
        return await claim(session, REACTIONS, shard_of(tenant_id), limit=limit)


async def described(database: Database, tenant_id: UUID, claims: list[Claim]) -> list[tuple[str, UUID, int]]:
    """(consumer, object, sequence) of claimed reactions."""
    async with database.tenant(tenant_id, CAUSE) as session:
        query = text(
            "select consumer, object_id, sequence from app.reaction where tenant_id = :tenant"
            " and id = any(cast(:ids as uuid[])) order by consumer, object_id, sequence limit 999"
        )
        rows = await session.execute(query, {"tenant": tenant_id, "ids": [each.id for each in claims]})
        return [(row.consumer, row.object_id, row.sequence) for row in rows]


async def settle(database: Database, tenant_id: UUID, assignment: str, *sequences: int, consumer: str = FIRST) -> None:
    """What a worker writes when a reaction has failed, or is given up."""
    async with database.engine("owner").begin() as connection:
        await connection.execute(
            text(
                f"update app.reaction set {assignment}"
                " where tenant_id = :tenant and consumer = :consumer and sequence = any(cast(:sequences as bigint[]))"
            ),
            {"tenant": tenant_id, "consumer": consumer, "sequences": list(sequences)},
        )


async def done(database: Database, tenant_id: UUID, claims: list[Claim]) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(
            text("delete from app.reaction where id = any(cast(:ids as uuid[]))"), {"ids": [each.id for each in claims]}
        )


async def test_an_objects_events_go_to_each_consumer_in_one_batch(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    await emit_each(database, tenant_id, probe, 3)
    claims = await take(database, tenant_id)
    assert await described(database, tenant_id, claims) == [
        (consumer, probe, sequence) for consumer in (FIRST, SECOND) for sequence in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "holding_up",
    [
        "state = 'dead'",
        "state = 'leased', lease_until = clock_timestamp() + interval '1 minute'",
        "run_at = clock_timestamp() + interval '1 minute'",  # backing off
    ],
)
async def test_what_comes_later_waits_for_the_earlier(database: Database, tenant_id: UUID, holding_up: str) -> None:
    probe, other = ids.new_id(), ids.new_id()
    await emit_each(database, tenant_id, probe, 3)
    await settle(database, tenant_id, holding_up, 2)
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, other, 9)
    found = await described(database, tenant_id, await take(database, tenant_id))
    assert sorted(found) == sorted(
        [(FIRST, probe, 1), (FIRST, other, 9), (SECOND, other, 9)]
        + [(SECOND, probe, sequence) for sequence in (1, 2, 3)]
    )


async def test_what_was_held_up_goes_on(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    await emit_each(database, tenant_id, probe, 2)
    first = await take(database, tenant_id)
    await settle(database, tenant_id, "state = 'pending', run_at = clock_timestamp() + interval '1 minute'", 1)
    await settle(database, tenant_id, "state = 'pending', lease_until = null", 2)
    assert await take(database, tenant_id) == []
    await settle(database, tenant_id, "run_at = clock_timestamp() - interval '1 second'", 1)
    again = await take(database, tenant_id)
    assert [found[2] for found in await described(database, tenant_id, again)] == [1, 2]
    assert {each.fence for each in again} == {2}
    assert len(first) == 4


async def test_the_earlier_goes_first_although_it_has_waited(database: Database, tenant_id: UUID) -> None:
    """After a failure its time is later than that of what follows; a small claim must not pass it by."""
    probe = ids.new_id()
    await emit_each(database, tenant_id, probe, 3)
    await settle(database, tenant_id, "run_at = clock_timestamp()", 1)
    order: list[int] = []
    while claims := await take(database, tenant_id, limit=1):
        order += [found[2] for found in await described(database, tenant_id, claims) if found[0] == FIRST]
        await done(database, tenant_id, claims)
    assert order == [1, 2, 3]


async def test_two_claimers_do_not_split_an_object(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    await emit_each(database, tenant_id, probe, 4)
    async with database.queue() as first, database.queue() as second:
        mine = await claim(first, REACTIONS, shard_of(tenant_id), limit=1)
        assert await claim(second, REACTIONS, shard_of(tenant_id), limit=100) == []  # one claimer a shard at a time
    assert [found[2] for found in await described(database, tenant_id, mine)] == [1]
    held = await described(database, tenant_id, await take(database, tenant_id))
    assert {found[0] for found in held} == {SECOND}  # of the first consumer the rest waits for the held one


async def test_a_swept_reaction_holds_its_place(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    await emit_each(database, tenant_id, probe, 3)
    (held,) = await take(database, tenant_id, limit=1)
    expired = "lease_until = clock_timestamp() - interval '1 second'"
    await settle(database, tenant_id, expired, 1)
    await settle(database, tenant_id, expired, 1, consumer=SECOND)
    async with database.queue() as session:
        assert [each.id for each in await sweep(session, REACTIONS)] == [held.id]
    again = await take(database, tenant_id)
    assert [found[2] for found in await described(database, tenant_id, again)] == [1, 2, 3, 1, 2, 3]
