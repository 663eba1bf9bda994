"""Every migration goes up, down and up again, is protected at each step, and says what the models say."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from checks.migrations import describe, judge, revisions
from storage.database import Database
from storage.migrating import migrate
from storage.partitions import AHEAD_MONTHS, PARTITIONED
from support.catalogue import faults
from support.marks import both_servers

pytestmark = both_servers


async def look_for_faults(connection: AsyncConnection) -> list[str]:
    """At the first steps a table that an exemption names may not be there yet; that is no fault."""
    return [f"{check}: {name}" for check, names in (await faults(connection)).items() for name in names]


async def test_each_step_goes_up_down_and_up_and_is_protected(empty_database_url: str) -> None:
    assert revisions()
    assert await judge(empty_database_url, {}, look_for_faults) == []


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert database.urls.owner is not None
    async with database.engine("owner").begin() as connection:
        before = await connection.run_sync(describe)
    await migrate(database.urls.owner, {})
    async with database.engine("owner").begin() as connection:
        assert await connection.run_sync(describe) == before
    assert len(before) > 500


async def test_two_deploys_at_once_migrate_once(empty_database_url: str) -> None:
    await asyncio.gather(*(migrate(empty_database_url, {}) for _ in range(2)))
    engine = create_async_engine(empty_database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        assert await faults(connection) == {}
        partitions = await connection.exec_driver_sql(
            "select count(*) from pg_class where relispartition and relkind = 'r'"
        )
        assert partitions.scalar_one() == len(PARTITIONED) * (AHEAD_MONTHS + 2)
    await engine.dispose()
