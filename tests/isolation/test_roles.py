"""Roles that look across tenants read what their work needs, and nothing else."""

from uuid import UUID

import pytest
from msgspec import Struct
from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from cli.schema import GLOBAL, metadata
from kernel.ids import new_id
from storage.database import Database
from support.attempts import DENIED, attempt
from support.catalogue import DISPATCHER_RIGHTS, PUMP_RIGHTS, Rights
from support.marks import both_servers
from support.samples import TENANT_TABLES, fill, sample
from support.tenants import CAUSE, make_tenant

pytestmark = both_servers


class Crossing(Struct, frozen=True):
    """A role that crosses tenants: how to become it, and what it may do."""

    kind: str  # of session
    rights: Rights


DISPATCHER = Crossing("queue", DISPATCHER_RIGHTS)
PUMP = Crossing("pump", PUMP_RIGHTS)


@pytest.fixture
async def filled(database: Database) -> Database:
    """A row of each of two tenants in every table."""
    async with database.engine("owner").begin() as connection:
        await fill(connection, [new_id(), new_id()], new_id())
    return database


def named(table: Table, columns: tuple[str, ...]) -> list[str]:
    return [each.name for each in table.columns] if columns == ("*",) else list(columns)


@pytest.mark.parametrize("crossing", [DISPATCHER, PUMP], ids=["dispatcher", "pump"])
async def test_a_role_reads_its_columns_of_all_tenants_and_no_other(filled: Database, crossing: Crossing) -> None:
    for table in TENANT_TABLES:
        may = named(table, crossing.rights.get(table.name, {}).get("select", ()))
        may_not = [each.name for each in table.columns if each.name not in may]
        if may:
            statement = select(*(table.c[name] for name in may)).limit(9)
            assert await attempt(getattr(filled, crossing.kind)(), statement) == 2, table.name
        for name in may_not if may else may_not[:1]:
            statement = select(table.c[name]).limit(9)
            assert await attempt(getattr(filled, crossing.kind)(), statement) == DENIED, f"{table.name}.{name}"


@pytest.mark.parametrize("crossing", [DISPATCHER, PUMP], ids=["dispatcher", "pump"])
async def test_a_role_changes_its_columns_and_no_other(filled: Database, crossing: Crossing) -> None:
    for table in TENANT_TABLES:
        rights = crossing.rights.get(table.name, {})
        may = named(table, rights.get("update", ()))
        for each in table.columns if may else list(table.columns)[:1]:
            outcome = await attempt(getattr(filled, crossing.kind)(), update(table).values({each.name: each}))
            assert outcome == DENIED or each.name in may, f"{table.name}.{each.name}"
        removed = await attempt(getattr(filled, crossing.kind)(), delete(table))
        assert removed == (2 if "delete" in rights else DENIED), table.name
        if "insert" not in rights:
            written = insert(table).values(sample(table, new_id(), new_id()))
            assert await attempt(getattr(filled, crossing.kind)(), written) == DENIED, table.name


async def test_the_dispatcher_reads_no_body_and_no_debtor(filled: Database) -> None:
    for forbidden in (
        "select sealed from app.message_copy", "select payload from app.event", "select sealed from app.event",
        "select debtor_id from app.message", "select contact_id from app.message", "select params from app.job",
        "select name from app.debtor", "select wrapped from app.data_key",
    ):  # fmt: skip
        assert await attempt(filled.queue(), text(f"{forbidden} limit 1")) == DENIED, forbidden


async def test_the_pump_reads_no_debtor(filled: Database) -> None:
    for forbidden in ("app.debtor", "app.contact", "app.invoice", "app.message", "app.message_copy", "app.api_key"):
        assert await attempt(filled.pump(), text(f"select tenant_id from {forbidden} limit 1")) == DENIED, forbidden


async def test_no_service_reads_a_global_table(database: Database, tenant_id: UUID) -> None:
    for name in GLOBAL:
        statement = text(f"select 1 from app.{name} limit 1")
        for unit in (database.tenant(tenant_id, CAUSE), database.directory(), database.queue(), database.pump()):
            assert await attempt(unit, statement) == DENIED, name


async def test_nobody_truncates(database: Database, tenant_id: UUID) -> None:
    for table in metadata.tables.values():
        statement = text(f"truncate {table.fullname} cascade")
        for unit in (database.tenant(tenant_id, CAUSE), database.queue(), database.pump()):
            assert await attempt(unit, statement) == DENIED, table.name


DEFINERS = {  # what each answers with: nothing that its caller did not have to know
    "app.find_api_key(uuid)": "TABLE(tenant_id uuid, hash bytea, scopes text, api_version text,"
    " expires_at timestamp with time zone, revoked_at timestamp with time zone, last_used_on date)",
    "app.find_tenant(text)": "TABLE(tenant_id uuid, account_id uuid, kind text)",
    "app.find_inbox(uuid)": "TABLE(tenant_id uuid, senders text)",
    "app.find_account(text)": "uuid",
    "app.create_account(uuid,text,text)": "uuid",
    "app.register_tenant(text,uuid,text,text)": "uuid",
    "app.stopped_platform_scopes(text[])": "SETOF text",
}


async def test_the_definer_functions_are_these(database: Database) -> None:
    async with database.operator() as session:
        rows = await session.execute(
            text(
                "select oid::regprocedure::text, pg_get_function_result(oid) from pg_proc"
                " where pronamespace = 'app'::regnamespace and prosecdef limit 100"
            )
        )
        assert {row[0]: row[1] for row in rows} == DEFINERS


async def call(session: AsyncSession, function: str, **values: object) -> list[tuple[object, ...]]:
    arguments = ", ".join(f":{name}" for name in values)
    return [tuple(row) for row in await session.execute(text(f"select * from app.{function}({arguments})"), values)]


async def test_the_directory_answers_for_exactly_what_was_asked(database: Database) -> None:
    one, two = await make_tenant(database, slug="one"), await make_tenant(database, slug="two")
    key = await keep_key(database, one)
    await keep_key(database, two)
    async with database.directory() as session:
        assert [row[0] for row in await call(session, "find_tenant", slug="one")] == [one]
        assert await call(session, "find_tenant", slug="%") == []
        assert await call(session, "find_tenant", slug="three") == []
        (account,) = await call(session, "find_account", slug="one-account")
        assert [row[1] for row in await call(session, "find_tenant", slug="one")] == list(account)
        assert await call(session, "find_account", slug="") == [(None,)]
        assert [(row[0], row[1]) for row in await call(session, "find_api_key", id=key)] == [(one, b"sample")]
        assert await call(session, "find_api_key", id=new_id()) == []


async def keep_key(database: Database, tenant_id: UUID) -> UUID:
    (table,) = (table for table in TENANT_TABLES if table.name == "api_key")
    key = new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(insert(table).values(sample(table, tenant_id, key)))
    return key


async def test_a_taken_slug_stays_its_owners(database: Database) -> None:
    one = await make_tenant(database, slug="one")
    async with database.directory() as session:
        assert await call(session, "create_account", id=new_id(), slug="one-account", name="Another") == [(None,)]
        taken = {"account": "one-account", "tenant": new_id(), "slug": "one", "kind": "sandbox"}
        assert await call(session, "register_tenant", **taken) == [(None,)]
        unknown = {"account": "nobody", "tenant": new_id(), "slug": "new", "kind": "sandbox"}
        assert await call(session, "register_tenant", **unknown) == [(None,)]
        assert [row[0] for row in await call(session, "find_tenant", slug="one")] == [one]


async def test_an_account_has_one_live_tenant(database: Database) -> None:
    async with database.directory() as session:
        await call(session, "create_account", id=new_id(), slug="acme", name="Acme")
        first = {"account": "acme", "tenant": new_id(), "slug": "acme", "kind": "live"}
        assert await call(session, "register_tenant", **first) != [(None,)]
        second = {"account": "acme", "tenant": new_id(), "slug": "acme-2", "kind": "live"}
        assert await call(session, "register_tenant", **second) == [(None,)]
        sandbox = {"account": "acme", "tenant": new_id(), "slug": "acme-test", "kind": "sandbox"}
        assert await call(session, "register_tenant", **sandbox) != [(None,)]


async def test_a_platform_switch_is_named_only_when_it_is_thrown(database: Database, tenant_id: UUID) -> None:
    async with database.engine("owner").begin() as connection:
        await connection.execute(text("update app.platform_switch set stopped = true where scope = 'channel:email'"))
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await call(session, "stopped_platform_scopes", scopes=["platform", "channel:email"]) == [
            ("channel:email",)
        ]
        assert await call(session, "stopped_platform_scopes", scopes=["platform"]) == []


async def test_the_crossing_roles_call_no_definer(database: Database) -> None:
    for unit in (database.queue, database.pump):
        assert await attempt(unit(), text("select * from app.find_tenant('one') limit 1")) == DENIED
