from collections.abc import Iterable
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker

from kernel import ids
from storage import clocks, jobs
from storage.access_log import note
from storage.database import Database, Urls
from storage.encryption import KeyProvider
from storage.registry import Registry
from storage.session import TenantContextMissing, TenantSession, cause_of, tenant_of
from support.marks import both_servers
from support.probes import change
from support.tenants import CAUSE, NOW

pytestmark = both_servers

BOUND = text("select current_setting('app.tenant_id', true)")


class Bell:
    """A doorbell that notes who rang."""

    def __init__(self) -> None:
        self.rung: list[tuple[set[str], UUID]] = []

    async def ring(self, queues: Iterable[str], tenant_id: UUID) -> None:
        self.rung.append((set(queues), tenant_id))

    async def close(self) -> None:
        pass


async def test_a_session_without_a_tenant_sends_nothing(database: Database) -> None:
    maker = async_sessionmaker(database.engine("app"), class_=TenantSession)
    async with maker() as session:
        with pytest.raises(TenantContextMissing):
            await session.execute(text("select 1"))


async def test_each_transaction_is_bound_anew(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    maker = async_sessionmaker(database.engine("app"), class_=TenantSession, info={"tenant_id": tenant_id})
    async with maker() as session:
        for end in (session.commit, session.rollback, session.commit):
            assert (await session.execute(BOUND)).scalar_one() == str(tenant_id)
            await end()
        async with session.begin_nested():
            assert (await session.execute(BOUND)).scalar_one() == str(tenant_id)
    async with database.tenant(other_tenant_id, CAUSE) as session:  # on the same connection
        assert (await session.execute(BOUND)).scalar_one() == str(other_tenant_id)
    async with database.directory() as session:
        assert (await session.execute(BOUND)).scalar_one() == ""


async def test_a_unit_of_work_knows_whose_it_is(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        assert (tenant_of(session), cause_of(session)) == (tenant_id, CAUSE)


async def test_each_session_is_a_role_of_its_own(database: Database, tenant_id: UUID) -> None:
    who = text("select session_user::text")
    found: list[str] = []
    for unit in (
        database.tenant(tenant_id, CAUSE), database.directory(), database.queue(), database.pump(), database.operator()
    ):  # fmt: skip
        async with unit as session:
            found.append((await session.execute(who)).scalar_one())
    assert found == ["relance_app", "relance_app", "relance_dispatcher", "relance_pump", "relance_admin"]


async def test_a_process_without_a_url_cannot_become_that_role(
    database: Database, key_provider: KeyProvider, registry: Registry
) -> None:
    small = Database(Urls(app=database.urls.app), key_provider, registry)
    for open_it in (small.queue, small.pump, small.operator):
        with pytest.raises(RuntimeError, match="no database URL"):
            async with open_it():
                pass
    await small.close()


async def test_an_error_undoes_the_unit_and_reaches_the_caller(database: Database, tenant_id: UUID) -> None:
    async def fail() -> None:
        async with database.tenant(tenant_id, CAUSE) as session:
            note(session, caller="c", action="a", outcome="o", request_id=None, detail="d" * 900)
            await session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.tenant(tenant_id, CAUSE) as session:
        note(session, caller="c", action="b", outcome="o", request_id=None, detail="d" * 900)
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = (await session.execute(text("select action, length(detail) from app.access_row limit 9"))).all()
    assert [tuple(row) for row in rows] == [("b", 500)]


async def test_the_doorbell_rings_for_what_was_fed_once_it_is_committed(
    database: Database, tenant_id: UUID, key_provider: KeyProvider, registry: Registry
) -> None:
    bell = Bell()
    ringing = Database(database.urls, key_provider, registry, doorbell=bell)

    async def feed(*, fail: bool) -> None:
        async with ringing.tenant(tenant_id, CAUSE) as session:
            change(session, ids.new_id())
            await clocks.make_due(session, "probe", [(ids.new_id(), NOW)])
            await jobs.add(session, ids.new_id(), "probe", "{}")
            if fail:
                raise LookupError
        assert bell.rung  # not before

    with pytest.raises(LookupError):
        await feed(fail=True)
    async with ringing.tenant(tenant_id, CAUSE) as session:
        await session.execute(text("select 1"))
    assert bell.rung == []
    await feed(fail=False)
    assert bell.rung == [({"relay", "reaction", "tick", "job"}, tenant_id)]
    await ringing.close()


async def test_a_statement_ends_at_its_limit(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        shown = await session.execute(
            text("select name, setting from pg_settings where name in ('statement_timeout', 'TimeZone', 'jit') limit 9")
        )
        assert {row[0]: row[1] for row in shown} == {"statement_timeout": "30000", "TimeZone": "UTC", "jit": "off"}
