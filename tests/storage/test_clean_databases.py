"""Each test finds its database as the migrations leave it, whatever the one before has done."""

import asyncpg
import pytest

from support.databases import SCHEMA, Workbench, dsn_of
from support.marks import both_servers

pytestmark = both_servers

MADE = "insert into app.access_row (tenant_id, id, caller, action, outcome) values ($1, $1, 'c', 'a', 'o')"
ZERO = "00000000-0000-0000-0000-000000000000"


async def rows_of(workbench: Workbench, name: str) -> tuple[int, list[bool]]:
    connection = await asyncpg.connect(dsn_of(workbench.server.superuser(name)))
    try:
        count = int(await connection.fetchval("select count(*) from app.access_row"))
        switches = await connection.fetch("select stopped from app.platform_switch order by scope")
        return count, [bool(row["stopped"]) for row in switches]
    finally:
        await connection.close()


async def test_rows_and_connections_that_are_left_are_cleared_away(workbench: Workbench) -> None:
    with workbench.database() as name:
        connection = await asyncpg.connect(dsn_of(workbench.server.superuser(name)))
        await connection.execute(MADE, ZERO)
        await connection.execute("update app.platform_switch set stopped = true")
        await connection.execute("delete from app.platform_switch where scope = 'platform'")
        await connection.execute("begin")
        await connection.execute("lock table app.access_row in access exclusive mode")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.execute("select 1")
    with workbench.database() as again:
        assert again == name
        assert await rows_of(workbench, again) == (0, [False, False])


CHANGES = (
    "create table app.planted (id uuid)",
    "drop policy tenant on app.hold",
    "grant select on app.hold to relance_pump",
    "alter function app.find_tenant(text) reset search_path",
    "alter table app.hold alter column source set default 'user'",
    "alter default privileges in schema app grant select on tables to relance_pump",
)


async def test_a_changed_schema_is_thrown_away(workbench: Workbench) -> None:
    with workbench.database() as name:
        connection = await asyncpg.connect(dsn_of(workbench.server.superuser(name)))
        await connection.execute(CHANGES[0])
        await connection.close()
    with workbench.database() as again:
        assert again != name


async def test_every_change_of_the_schema_shows(workbench: Workbench) -> None:
    with workbench.database() as name:
        connection = await asyncpg.connect(dsn_of(workbench.server.superuser(name)))
        seen = [await connection.fetchval(SCHEMA)]
        for change in CHANGES:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(change)
            seen.append(await connection.fetchval(SCHEMA))
            await transaction.rollback()
        await connection.close()
    assert len(set(seen)) == len(CHANGES) + 1


async def test_two_databases_at_once_are_two(workbench: Workbench) -> None:
    with workbench.database() as one, workbench.database() as two:
        assert one != two
    with workbench.empty() as empty:
        connection = await asyncpg.connect(dsn_of(workbench.server.superuser(empty)))
        assert await connection.fetchval("select count(*) from pg_namespace where nspname = 'app'") == 0
        await connection.close()
