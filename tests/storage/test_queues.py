import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import Row, text

from kernel import ids
from storage.bulk import insert_rows
from storage.clocks import TickRow
from storage.database import Database
from storage.queues import (
    LEASE,
    SHARDS,
    Claim,
    Queue,
    arrays_of,
    backoff,
    by_tenant,
    claim,
    renew,
    shard_of,
    shards_with_work,
    still_held,
    sweep,
    table_of,
)
from storage.reactions import REACTIONS, ReactionRow
from storage.session import QueueSession
from support.marks import both_servers
from support.tenants import CAUSE

pytestmark = both_servers

SHARD = 5
TICKS = Queue(name="tick", table="app.tick", per_tenant=10, tenants=4)


def tenant_in(shard: int = SHARD) -> UUID:
    """A tenant whose rows belong to a shard; a queue row needs no more of a tenant than its id."""
    return UUID(int=ids.new_id().int // SHARDS * SHARDS + shard)


async def fill(database: Database, tenant_id: UUID, count: int) -> list[UUID]:
    made = [ids.new_id() for _ in range(count)]
    async with database.tenant(tenant_id, CAUSE) as session:
        columns = ("tenant_id", "id", "kind", "object_id", "state")
        await insert_rows(session, TickRow, columns, [(tenant_id, each, "probe", each, "pending") for each in made])
    return made


async def take(database: Database, *, limit: int = 40, shard: int = SHARD, only: UUID | None = None) -> list[Claim]:
    async with database.queue() as session:
        return await claim(session, TICKS, shard, limit=limit, only=only)


async def change(database: Database, assignment: str, *claims: Claim) -> None:
    """Write to queue rows as no worker may, to bring about what time or a crash does."""
    async with database.engine("owner").begin() as connection:
        statement = text(f"update app.tick set {assignment} where id = any(cast(:ids as uuid[]))")
        await connection.execute(statement, {"ids": [each.id for each in claims]})


async def row_of(database: Database, held: Claim) -> Row[tuple[object, ...]]:
    async with database.queue() as session:
        columns = "state, fence, attempts, lease_until, lease_until - clock_timestamp() as left"
        query = text(f"select {columns} from app.tick where tenant_id = :tenant and id = :id")
        return (await session.execute(query, {"tenant": held.tenant_id, "id": held.id})).one()


async def test_a_claim_leases_what_is_due(database: Database) -> None:
    tenant_id = tenant_in()
    made = await fill(database, tenant_id, 3)
    claims = await take(database)
    assert sorted(claims) == [Claim(tenant_id, each, 1) for each in made]
    row = await row_of(database, claims[0])
    assert (row.state, row.fence, row.attempts) == ("leased", 1, 1)
    assert LEASE - timedelta(seconds=20) < row.left <= LEASE
    assert await take(database) == []


async def test_what_is_not_due_waits(database: Database) -> None:
    tenant_id = tenant_in()
    (waiting, due) = await fill(database, tenant_id, 2)
    await change(database, "run_at = clock_timestamp() + interval '1 hour'", Claim(tenant_id, waiting, 0))
    assert [each.id for each in await take(database)] == [due]
    await change(database, "run_at = clock_timestamp() - interval '1 second'", Claim(tenant_id, waiting, 0))
    assert [each.id for each in await take(database)] == [waiting]


async def test_a_shard_is_claimed_alone(database: Database) -> None:
    there, elsewhere = tenant_in(SHARD), tenant_in(SHARD + 1)
    await fill(database, there, 1)
    await fill(database, elsewhere, 1)
    async with database.queue() as session:
        assert await shards_with_work(session, TICKS) == [SHARD, SHARD + 1]
    assert [each.tenant_id for each in await take(database)] == [there]
    async with database.queue() as session:
        assert await shards_with_work(session, TICKS) == [SHARD + 1]


async def test_the_shard_is_what_the_database_says(database: Database) -> None:
    tenants = [ids.new_id() for _ in range(40)] + [tenant_in(shard) for shard in range(SHARDS)]
    async with database.queue() as session:
        query = text("select app.shard_of(t) from unnest(cast(:tenants as uuid[])) with ordinality u(t, n) order by n")
        assert list((await session.execute(query, {"tenants": tenants})).scalars()) == [*map(shard_of, tenants)]


async def test_one_big_tenant_costs_one_share(database: Database) -> None:
    big, small = tenant_in(), [tenant_in() for _ in range(5)]
    await fill(database, big, 300)
    for tenant_id in small:
        await fill(database, tenant_id, 2)
    left = dict.fromkeys(small, 2)
    claims_made = 0
    while any(left.values()):
        claims = await take(database)
        claims_made += 1
        shares = Counter(each.tenant_id for each in claims)
        assert len(shares) <= TICKS.tenants
        assert max(shares.values()) <= TICKS.per_tenant
        for tenant_id in small:
            left[tenant_id] -= shares[tenant_id]
        assert claims_made < 25  # at random four of six tenants: a miss of one in ten thousand million


async def test_of_each_tenant_the_earliest_go_first(database: Database) -> None:
    tenant_id = tenant_in()
    made = await fill(database, tenant_id, 15)
    late = [Claim(tenant_id, each, 0) for each in made[:5]]
    await change(database, "run_at = clock_timestamp() - interval '1 second'", *late)
    claims = await take(database)
    assert {each.id for each in claims} >= {each.id for each in late}
    assert len(claims) == TICKS.per_tenant


async def test_one_tenant_can_be_drained(database: Database) -> None:
    one, other = tenant_in(), tenant_in()
    await fill(database, one, 25)
    await fill(database, other, 1)
    claims = await take(database, only=one, limit=100)
    assert Counter(each.tenant_id for each in claims) == {one: 25}
    assert by_tenant(claims) == {one: claims}
    assert [each.tenant_id for each in await take(database)] == [other]


async def test_claimers_at_once_share_the_work(database: Database) -> None:
    tenants = [tenant_in() for _ in range(6)]
    made = [each for tenant_id in tenants for each in await fill(database, tenant_id, 40)]
    claimed: list[Claim] = []

    async def work() -> None:
        while claims := await take(database):
            claimed.extend(claims)

    await asyncio.gather(*(work() for _ in range(4)))
    claimed += await take(database, limit=1_000)  # what a claimer had locked while the last of the others looked
    assert sorted(each.id for each in claimed) == sorted(made)
    assert {each.fence for each in claimed} == {1}


async def test_a_claimer_skips_what_another_holds(database: Database) -> None:
    await fill(database, tenant_in(), 30)
    async with database.queue() as first, database.queue() as second:
        mine = await claim(first, TICKS, SHARD, limit=10)
        others = await claim(second, TICKS, SHARD, limit=10)  # at once, though the first has not committed
    assert (len(mine), len(others)) == (10, 10)
    assert not {each.id for each in mine} & {each.id for each in others}


async def test_a_claim_that_is_rolled_back_was_none(database: Database) -> None:
    await fill(database, tenant_in(), 1)

    async def die() -> None:
        async with database.queue() as session:
            assert len(await claim(session, TICKS, SHARD, limit=1)) == 1
            raise LookupError

    with pytest.raises(LookupError):
        await die()
    assert [each.fence for each in await take(database)] == [1]


async def test_an_expired_lease_goes_back_and_its_holder_is_locked_out(database: Database) -> None:
    await fill(database, tenant_in(), 2)
    dead, alive = await take(database)
    await change(database, "lease_until = clock_timestamp() - interval '1 second'", dead)
    async with database.queue() as session:
        assert [each.id for each in await sweep(session, TICKS)] == [dead.id]
        assert await renew(session, TICKS, [dead, alive]) == [alive]
    assert (await row_of(database, dead)).lease_until is None
    (again,) = await take(database)
    assert again == Claim(dead.tenant_id, dead.id, dead.fence + 1)
    assert (await row_of(database, again)).attempts == 2
    async with database.queue() as session:
        assert await renew(session, TICKS, [dead]) == []
    async with database.tenant(dead.tenant_id, CAUSE) as session:
        assert await still_held(session, TICKS, [dead]) == set()
        assert await still_held(session, TICKS, [again]) == {again.id}


async def test_a_sweep_leaves_what_may_have_left(database: Database) -> None:
    """Only its queue can judge a row whose call may have been made."""
    await fill(database, tenant_in(), 1)
    (held,) = await take(database)
    await change(database, "state = 'dispatching', lease_until = clock_timestamp() - interval '1 second'", held)
    async with database.queue() as session:
        assert await sweep(session, TICKS) == []
    assert (await row_of(database, held)).state == "dispatching"


async def test_a_lease_is_renewed(database: Database) -> None:
    await fill(database, tenant_in(), 2)
    leased, dispatching = await take(database)
    await change(database, "lease_until = clock_timestamp() + interval '1 second'", leased)
    await change(database, "state = 'dispatching', lease_until = clock_timestamp() + interval '1 second'", dispatching)
    async with database.queue() as session:
        kept = await renew(session, TICKS, [leased, dispatching], lease=timedelta(minutes=5))
    assert sorted(kept) == sorted([leased, dispatching])
    for held in kept:
        assert (await row_of(database, held)).left > timedelta(minutes=4)


async def test_what_is_held_is_held_in_its_state(database: Database) -> None:
    await fill(database, tenant_in(), 1)
    (held,) = await take(database)
    async with database.tenant(held.tenant_id, CAUSE) as session:
        assert await still_held(session, TICKS, [held]) == {held.id}
        assert await still_held(session, TICKS, [held], state="dispatching") == set()


async def test_another_tenant_holds_nothing_of_it(database: Database) -> None:
    await fill(database, tenant_in(), 1)
    (held,) = await take(database)
    async with database.tenant(tenant_in(), CAUSE) as session:
        assert await still_held(session, TICKS, [held]) == set()


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 1), (1, 1), (2, 2), (3, 4), (10, 512), (12, 2_048), (13, 3_600)])
def test_a_failure_waits_longer_each_time(server: object, attempts: int, seconds: int) -> None:
    assert backoff(attempts) == timedelta(seconds=seconds)


def test_a_queue_names_the_table_of_its_model(server: object) -> None:
    assert table_of(TickRow) == TICKS.table
    assert arrays_of([]) == {"tenants": [], "ids": [], "fences": []}


BACKLOG = 5_000
PAGES_A_ROW = 20  # a row is looked up in a few indexes: far from the backlog itself, which each row would else look at


@pytest.mark.parametrize("queue", [TICKS, REACTIONS], ids=lambda queue: queue.name)
async def test_a_backlog_costs_no_more_than_its_rows_whatever_the_statistics_say(
    database: Database, queue: Queue
) -> None:
    tenant_id, alone = tenant_in(), tenant_in()
    wide = replace(queue, per_tenant=200)
    made = {TICKS: fill, REACTIONS: fill_reactions}[queue]
    await made(database, alone, 1)
    async with database.engine("owner").begin() as connection:  # as autovacuum does in a quiet hour
        await connection.execute(text(f"analyze {queue.table}"))
    await made(database, tenant_id, BACKLOG)
    for only in (tenant_id, None):
        async with database.queue() as session:
            before = await pages_read(session, queue)
            taken = await claim(session, wide, SHARD, limit=400, only=only)
            assert len(taken) >= wide.per_tenant
            assert await pages_read(session, queue) - before < BACKLOG * PAGES_A_ROW


async def fill_reactions(database: Database, tenant_id: UUID, count: int) -> None:
    columns = ("tenant_id", "id", "consumer", "object_id", "event_id", "sequence", "state")
    rows = [(tenant_id, ids.new_id(), "probe", ids.new_id(), ids.new_id(), 1, "pending") for _ in range(count)]
    async with database.tenant(tenant_id, CAUSE) as session:
        await insert_rows(session, ReactionRow, columns, rows)


async def pages_read(session: QueueSession, queue: Queue) -> int:
    """How many pages of the table this transaction has looked at so far, the same one counted each time."""
    question = text("select pg_stat_get_xact_blocks_fetched(cast(:table as regclass))")
    return int((await session.execute(question, {"table": queue.table})).scalar_one())
