import asyncio
from collections import Counter
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from kernel import ids
from storage.access_log import AccessRow, note
from storage.database import Database
from storage.idempotency import IdempotencyKeyReused, IdempotencyRow, Kept, begin, finish
from storage.session import TenantSession
from support.marks import both_servers
from support.tenants import CAUSE

pytestmark = both_servers

ANSWER = Kept(201, {"location": "/v1/holds/hld_1"}, b'{"id":"hld_1"}')


async def request(
    database: Database, tenant_id: UUID, key: str, *, body: bytes = b"one", caller: str = "key_1", fails: bool = False
) -> tuple[Kept, bool]:
    """A request with an effect, one access row: its answer, and whether it was given before."""
    async with database.tenant(tenant_id, CAUSE) as session:
        kept = await begin(session, database.keys, caller, key, body)
        if kept is not None:
            return kept, True
        note(session, caller=caller, action=key, outcome="done", request_id=None, detail="")
        if fails:
            raise LookupError
        answer = Kept(201, {"etag": f'"{ids.new_id()}"'}, key.encode())
        await finish(session, database.keys, caller, key, answer)
        return answer, False


async def effects(session: TenantSession) -> Counter[str]:
    rows = await session.execute(select(AccessRow.action, func.count()).group_by(AccessRow.action).limit(100))
    return Counter({row[0]: row[1] for row in rows})


async def test_the_second_request_gets_the_first_ones_answer(database: Database, tenant_id: UUID) -> None:
    first, again = await request(database, tenant_id, "k"), await request(database, tenant_id, "k")
    assert first == (again[0], False)
    assert again[1]
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await effects(session) == {"k": 1}


async def test_a_key_belongs_to_one_request_of_one_caller(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    await request(database, tenant_id, "k")
    with pytest.raises(IdempotencyKeyReused):
        await request(database, tenant_id, "k", body=b"another")
    assert not (await request(database, tenant_id, "k", body=b"another", caller="key_2"))[1]
    assert not (await request(database, other_tenant_id, "k", body=b"another"))[1]


async def test_what_rolled_back_leaves_nothing(database: Database, tenant_id: UUID) -> None:
    with pytest.raises(LookupError):
        await request(database, tenant_id, "k", fails=True)
    async with database.tenant(tenant_id, CAUSE) as session:
        assert (await session.execute(select(IdempotencyRow.key).limit(1))).first() is None
    assert not (await request(database, tenant_id, "k", body=b"another"))[1]  # the key is free, also for another body


async def test_the_answer_is_kept_sealed(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await begin(session, database.keys, "key_1", "k", b"one") is None
        await finish(session, database.keys, "key_1", "k", ANSWER)
    async with database.tenant(tenant_id, CAUSE) as session:
        row = (await session.execute(select(IdempotencyRow).limit(1))).scalar_one()
        assert b"hld_1" not in (row.sealed or b"")
        assert await begin(session, database.keys, "key_1", "k", b"one") == ANSWER


async def test_twenty_times_twenty_at_once_have_twenty_effects(database: Database, tenant_id: UUID) -> None:
    requests = [request(database, tenant_id, f"k{number % 20}") for number in range(400)]
    answers = await asyncio.gather(*requests)
    by_key: dict[bytes, list[tuple[Kept, bool]]] = {}
    for kept, replayed in answers:
        by_key.setdefault(kept.body, []).append((kept, replayed))
    assert len(by_key) == 20
    for group in by_key.values():
        assert len(group) == 20
        assert len({kept.headers["etag"] for kept, _ in group}) == 1  # all got one and the same answer
        assert [replayed for _, replayed in group].count(False) == 1
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await effects(session) == {f"k{number}": 1 for number in range(20)}


async def test_a_second_request_waits_for_the_first(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await begin(session, database.keys, "key_1", "k", b"one") is None
        second = asyncio.create_task(request(database, tenant_id, "k"))
        await until_one_waits(database)
        await finish(session, database.keys, "key_1", "k", ANSWER)
        assert not second.done()
    assert await second == (ANSWER, True)


async def test_a_second_request_goes_ahead_when_the_first_fails(database: Database, tenant_id: UUID) -> None:
    began = asyncio.Event()

    async def fail() -> None:
        async with database.tenant(tenant_id, CAUSE) as session:
            assert await begin(session, database.keys, "key_1", "k", b"one") is None
            began.set()
            await until_one_waits(database)
            raise LookupError

    async def go_ahead() -> tuple[Kept, bool]:
        await began.wait()
        return await request(database, tenant_id, "k")

    second = asyncio.create_task(go_ahead())
    with pytest.raises(LookupError):
        await fail()
    assert not (await second)[1]


async def until_one_waits(database: Database) -> None:
    """Until some statement of this database waits for a lock."""
    waiting = text("select count(*) from pg_locks where not granted and pid in"
                   " (select pid from pg_stat_activity where datname = current_database())")  # fmt: skip
    async with database.engine("owner").connect() as connection:
        while not (await connection.execute(waiting)).scalar_one():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
