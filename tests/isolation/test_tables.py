"""Each table, each verb, as another tenant and as nobody: no row is seen, none is touched, none is written."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import pytest
from msgspec import Struct
from sqlalchemy import Column, ColumnElement, Executable, Table, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from cli.schema import metadata
from kernel.ids import new_id
from storage.database import Database
from storage.roles import APP, OWNER
from support.attempts import DENIED, FOREIGN_KEY, UNIQUE, Outcome, attempt, attempt_each
from support.marks import both_servers
from support.samples import TENANT_TABLES, fill, sample
from support.tenants import CAUSE

pytestmark = both_servers

Unit = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class World(Struct, frozen=True):
    """Two tenants with a row each in every table; all ids but theirs are equal."""

    database: Database
    alice: UUID
    bob: UUID
    every_id: UUID

    def as_alice(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self.database.tenant(self.alice, CAUSE)

    def as_bob(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self.database.tenant(self.bob, CAUSE)

    def as_nobody(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self.database.directory()  # the application's role, bound to no tenant

    def row(self, table: Table, tenant_id: UUID) -> dict[str, object]:
        return sample(table, tenant_id, self.every_id)


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[World]:
    world = World(database, new_id(), new_id(), new_id())
    async with database.engine("owner").begin() as connection:
        await fill(connection, [world.alice, world.bob], world.every_id)
    yield world
    async with database.engine("owner").begin() as connection:  # whatever a test tried, Alice's rows stand untouched
        for table in TENANT_TABLES:
            found = (await connection.execute(select(table).where(of(table, world.alice)).limit(2))).mappings().all()
            expected = world.row(table, world.alice)
            assert [{name: row[name] for name in expected} for row in found] == [expected], table.name


def of(table: Table, tenant_id: UUID) -> ColumnElement[bool]:
    return table.c.tenant_id == tenant_id


def some_column(table: Table) -> Column[object]:
    """A column to write to: not the tenant, and not the key where there is another."""
    return min(table.columns, key=lambda column: (column.name == "tenant_id", column.primary_key))


def reaching(world: World, table: Table) -> dict[str, Executable]:
    """Every way of reading, changing or removing Alice's row."""
    mine, column = select(table).where(of(table, world.alice)).limit(9), some_column(table)
    return {
        "select": mine,
        "lock": mine.with_for_update(),
        "update": update(table).values({column.name: column}).where(of(table, world.alice)),
        "delete": delete(table).where(of(table, world.alice)),
    }


def writing(world: World, table: Table) -> dict[str, Executable]:
    """Every way of making a row that is Alice's, where hers is already."""
    column, row = some_column(table), world.row(table, world.alice)
    key = [each.name for each in table.primary_key]
    upsert = postgresql.insert(table).values(row)
    return {
        "insert": insert(table).values(row),
        "upsert": upsert.on_conflict_do_update(index_elements=key, set_={column.name: upsert.excluded[column.name]}),
        "insert or nothing": upsert.on_conflict_do_nothing(),
    }


def at_large(world: World, table: Table) -> dict[str, Executable]:
    """Statements whose author forgot the tenant."""
    column = some_column(table)
    return {
        "select": select(table).limit(9),
        "update": update(table).values({column.name: column}),
        "delete": delete(table),
    }


async def over_all_tables(
    world: World,
    unit: Unit,
    statements: Callable[[World, Table], dict[str, Executable]],
    expected: set[Outcome],
    tables: Sequence[Table] = TENANT_TABLES,
) -> dict[str, dict[str, Outcome]]:
    """What came out otherwise than expected, by table."""
    found: dict[str, dict[str, Outcome]] = {}
    for table in tables:
        outcomes = await attempt_each(unit(), statements(world, table))
        surprises = {name: outcome for name, outcome in outcomes.items() if outcome not in expected}
        if surprises:
            found[table.name] = surprises
    return found


async def test_another_tenant_reaches_no_row(world: World) -> None:
    assert await over_all_tables(world, world.as_bob, reaching, {0, DENIED}) == {}


async def test_a_row_can_be_written_for_no_other_tenant(world: World) -> None:
    """It must be refused, not ignored: zero rows of an upsert would tell that the key is taken."""
    assert await over_all_tables(world, world.as_bob, writing, {DENIED}) == {}


async def test_a_forgotten_filter_reaches_the_own_row_alone(world: World) -> None:
    def handed_over(world: World, table: Table) -> dict[str, Executable]:
        return {"update": update(table).values(tenant_id=world.alice)}

    assert await over_all_tables(world, world.as_bob, at_large, {1, DENIED, FOREIGN_KEY}) == {}
    assert await over_all_tables(world, world.as_bob, handed_over, {DENIED}) == {}


@pytest.mark.parametrize("connection", ["fresh", "used"])
async def test_nobody_reaches_any_row(world: World, connection: str) -> None:
    """On a fresh connection the setting is unknown, on a used one it is an empty text."""
    if connection == "used":
        async with world.as_alice() as session:
            await session.execute(text("select 1"))
    async with world.as_nobody() as session:
        setting = (await session.execute(text("select current_setting('app.tenant_id', true)"))).scalar_one()
    assert setting == {"fresh": None, "used": ""}[connection]
    assert await over_all_tables(world, world.as_nobody, at_large, {0, DENIED}) == {}
    assert await over_all_tables(world, world.as_nobody, writing, {DENIED}) == {}


async def test_the_own_tenant_does_what_the_grants_allow(world: World) -> None:
    """The control: the same statements work where they should, so that the refusals above mean something."""
    may = await granted(world.database)
    for table in TENANT_TABLES:
        verbs = may[table.name]
        outcomes = await attempt_each(world.as_alice(), reaching(world, table) | writing(world, table))
        assert outcomes["select"] == 1, table.name
        assert outcomes["lock"] == (1 if "update" in verbs else DENIED), table.name
        assert outcomes["update"] == (1 if "update" in verbs else DENIED), table.name
        assert outcomes["delete"] in ({1, FOREIGN_KEY} if "delete" in verbs else {DENIED}), table.name
        assert outcomes["insert"] == (UNIQUE if "insert" in verbs else DENIED), table.name  # her row is there
        assert outcomes["upsert"] == (1 if {"insert", "update"} <= verbs else DENIED), table.name
        assert outcomes["insert or nothing"] == (0 if "insert" in verbs else DENIED), table.name


async def granted(database: Database) -> dict[str, set[str]]:
    """The verbs that the application has on each table."""
    verbs: dict[str, set[str]] = {}
    async with database.operator() as session:
        rows = await session.execute(text(GRANTED), {"role": APP, "tables": [table.name for table in TENANT_TABLES]})
        for name, verb in rows:
            verbs.setdefault(name, set()).add(verb)
    return verbs


GRANTED = """
select t, v from unnest(cast(:tables as text[])) t, unnest(array['select', 'insert', 'update', 'delete']) v
where has_table_privilege(:role, 'app.' || t, v)
"""


async def test_migrations_see_the_rows_of_every_tenant(world: World) -> None:
    """An orphan that the owner cannot see is one that a migration neither mends nor reports."""
    async with world.database.engine("owner").connect() as connection:
        await connection.exec_driver_sql(f"set local role {OWNER}")
        for table in TENANT_TABLES:
            seen = await connection.execute(select(table.c.tenant_id).limit(9))
            assert set(seen.scalars()) == {world.alice, world.bob}, table.name


async def test_partitions_are_closed_by_name(world: World) -> None:
    async with world.database.operator() as session:
        names = (await session.execute(text(PARTITIONS))).scalars().all()
    assert len(names) >= 25
    for name in names:
        for unit in (world.as_alice, world.database.queue, world.database.pump):
            assert await attempt(unit(), text(f"select 1 from {name} limit 1")) == DENIED, name


PARTITIONS = """
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relispartition and c.relkind = 'r' order by 1 limit 500
"""


async def test_planted_faults_are_seen(world: World) -> None:
    """The other control: with a fault in the schema, what the tests above ask has another answer."""
    async with world.database.engine("owner").begin() as connection:
        for statement in (
            "create policy extra on app.hold for all to relance_app using (true) with check (true)",
            "alter table app.task disable row level security",
            "drop policy owner on app.instalment",
            "grant select on app.event_default to relance_app",
        ):
            await connection.exec_driver_sql(statement)
    faulty = [table for table in TENANT_TABLES if table.name in {"hold", "task", "debtor"}]
    assert await over_all_tables(world, world.as_bob, reaching, {0, DENIED}, faulty) == {
        "hold": {"select": 1, "lock": 1, "update": 1},
        "task": {"select": 1, "lock": 1, "update": 1},
    }
    assert await over_all_tables(world, world.as_bob, writing, {DENIED}, faulty) == {
        "hold": {"insert": UNIQUE, "upsert": 1, "insert or nothing": 0},
        "task": {"insert": UNIQUE, "upsert": 1, "insert or nothing": 0},
    }
    assert await attempt(world.as_bob(), text("select 1 from app.event_default limit 1")) == 0
    async with world.database.engine("owner").connect() as connection:
        await connection.exec_driver_sql(f"set local role {OWNER}")
        orphans = text("select count(*) from app.instalment i where i.tenant_id = :bob")
        assert (await connection.execute(orphans, {"bob": world.bob})).scalar_one() == 0  # there is one


@pytest.mark.parametrize(
    "statement",
    [
        "create unique index planted on app.debtor (name)",
        "create unique index planted on app.debtor (id)",  # what a reference by one column would need
    ],
)
async def test_a_global_key_cannot_stand_beside_the_samples(world: World, statement: str) -> None:
    async with world.database.engine("owner").connect() as connection:
        with pytest.raises(IntegrityError, match="planted"):
            await connection.exec_driver_sql(statement)


async def test_no_table_is_left_out(database: Database) -> None:
    """What the tests above go through is what is there."""
    async with database.operator() as session:
        rows = await session.execute(
            text(
                "select relname from pg_class where relnamespace = 'app'::regnamespace and relkind in ('r', 'p')"
                " and not relispartition limit 500"
            )
        )
    there = set(rows.scalars())
    assert there == {table.name for table in metadata.tables.values()} | {"alembic_version"}
