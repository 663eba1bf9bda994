"""Databases for tests: one a process, cloned from a migrated template, and after each test made as new.

A test commits for real, over real log-ins of each role; nothing of it is left to the next one. Making a clone anew for
each test would be simpler: it creates and unlinks 600 files, which takes 30 to 700 ms, by the file system. So the rows
are deleted instead (≈ 10 ms), and only a test that changed the schema costs a new clone.
"""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

import asyncpg
from anyio.from_thread import BlockingPortal

import storage.migrating
from kernel.clock import system_now
from storage import partitions, roles, tenant_rls
from support.clusters import LOGIN_ROLES, Server

TEMPLATE: Final = "relance_template_"
CLONE: Final = "relance_test_"
KEPT_DAYS: Final = 7  # a template that this old code wanted
SETUP_LOCK, RUN_LOCK = 7_355_609, 7_355_610  # any constants of ours
GROWN_BYTES: Final = 64 * 1024 * 1024  # a clone that grew by this much is cheaper to make anew
SOURCES: Final = (storage.migrating, roles, tenant_rls, partitions)

if TYPE_CHECKING:  # at run time the class takes no parameters
    Connection = asyncpg.Connection[asyncpg.Record]


class Workbench:
    """The databases of one test process on one server. Every method blocks, inside an event loop or out of it."""

    def __init__(self, server: Server, portal: BlockingPortal) -> None:
        self.server = server
        self._portal = portal
        self._template = template_name()  # of the migrations as this process has found them
        self._run = uuid4().int >> 97  # 31 bits
        self._made = 0
        self._clone: Clone | None = None
        self._keeper: Connection | None = None

    @contextmanager
    def database(self) -> Generator[str]:
        """The name of a database as the migrations leave it."""
        clone = self._clone or self._portal.call(self._make_clone)
        self._clone = None  # two at once get one each
        try:
            yield clone.name
        finally:
            fresh = self._portal.call(clone.tidy)
            if fresh and self._clone is None:
                self._clone = clone
            else:
                self._portal.call(self._drop_clone, clone)

    @contextmanager
    def empty(self) -> Generator[str]:
        """The name of a database in which nothing has been migrated; the roles exist."""
        name = self._portal.call(self._create, "template0")
        try:
            yield name
        finally:
            self._portal.call(self._drop, name)

    def close(self) -> None:
        """Drop what is left and go."""
        self._portal.call(self._close)

    async def _close(self) -> None:
        if self._clone is not None:
            await self._drop_clone(self._clone)
        if self._keeper is not None:
            await self._keeper.close()

    async def _connected(self) -> "Connection":
        """A connection that lives as long as the process and says by a lock that its clones are in use."""
        if self._keeper is None:
            keeper = await asyncpg.connect(dsn_of(self.server.superuser_url))
            await keeper.execute("select pg_advisory_lock($1, $2)", RUN_LOCK, self._run)
            await keeper.execute("select pg_advisory_lock($1)", SETUP_LOCK)
            try:
                await _drop_left_behind(keeper)
                await _make_template(keeper, self.server, self._template)
            finally:
                await keeper.execute("select pg_advisory_unlock($1)", SETUP_LOCK)
            await _check_passwords(self.server)
            self._keeper = keeper
        return self._keeper

    async def _make_clone(self) -> "Clone":
        await self._connected()
        name = await self._create(self._template)
        clone = Clone(name, await asyncpg.connect(dsn_of(self.server.superuser(name))))
        await clone.remember()
        return clone

    async def _create(self, template: str) -> str:
        keeper = await self._connected()
        self._made += 1
        name = f"{CLONE}{self._run}_{self._made}"
        await keeper.execute(f'create database "{name}" template "{template}" strategy wal_log')
        return name

    async def _drop_clone(self, clone: "Clone") -> None:
        await clone.janitor.close()
        await self._drop(clone.name)

    async def _drop(self, name: str) -> None:
        keeper = await self._connected()
        await keeper.execute(f'drop database "{name}" with (force)')


class Clone:
    """A copy of the template and the connection that cleans it."""

    def __init__(self, name: str, janitor: "Connection") -> None:
        self.name, self.janitor = name, janitor
        self._clean = ""
        self._schema = ""
        self._size = 0

    async def remember(self) -> None:
        """Note what the migrations left: the schema, and the few rows that they wrote."""
        await self.janitor.execute("set session_replication_role = replica")  # foreign keys need no order
        tables = [cast("str", row["name"]) for row in await self.janitor.fetch(_TABLES)]
        statements = [f"delete from {table}" for table in tables]
        for table in tables:
            rows = cast("str | None", await self.janitor.fetchval(f"select json_agg(t)::text from {table} t"))
            if rows is not None:
                literal = "'" + rows.replace("'", "''") + "'"
                statements.append(
                    f"insert into {table} select * from json_populate_recordset(null::{table}, {literal})"
                )
        self._clean = ";\n".join(statements)
        self._schema, self._size = await self._look()

    async def tidy(self) -> bool:
        """Undo what a test has committed; False when only a new clone can."""
        await self.janitor.execute(_DISCONNECT_OTHERS)
        schema, size = await self._look()
        if schema != self._schema or size > self._size + GROWN_BYTES:
            return False
        await self.janitor.execute(self._clean)
        return True

    async def _look(self) -> tuple[str, int]:
        row = await self.janitor.fetchrow(SCHEMA)
        assert row is not None
        return cast("str", row["schema"]), cast("int", row["size"])


def template_name() -> str:
    """The template of the migrations as they are now; a new month brings new partitions."""
    digest = hashlib.sha256(f"{system_now():%Y-%m}".encode())
    sources = [Path(module.__file__ or "") for module in SOURCES]
    for path in [*sources, *sorted(storage.migrating.MIGRATIONS.rglob("*.py"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return TEMPLATE + digest.hexdigest()[:12]


def dsn_of(url: str) -> str:
    """An SQLAlchemy URL as asyncpg takes it."""
    return url.replace("+asyncpg", "", 1)


async def _make_template(keeper: "Connection", server: Server, name: str) -> None:
    draft = f"{TEMPLATE}draft"
    if await keeper.fetchval("select 1 from pg_database where datname = $1", name):
        return
    await _drop_old_templates(keeper)
    known = {cast("str", row["rolname"]) for row in await keeper.fetch("select rolname from pg_roles")}
    new = {role: server.passwords[role] for role in LOGIN_ROLES if role not in known}
    await keeper.execute(f'drop database if exists "{draft}" with (force)')
    await keeper.execute(f'create database "{draft}" template template0')
    await storage.migrating.migrate(server.superuser(draft), new)
    if template_name() != name:
        raise RuntimeError("the migrations have changed while they ran: start the tests again")
    await keeper.execute(f'alter database "{draft}" rename to "{name}"')
    await keeper.execute(f"comment on database \"{name}\" is '{system_now():%Y-%m-%d}'")
    await keeper.execute(f'alter database "{name}" with is_template true allow_connections false')


async def _drop_old_templates(keeper: "Connection") -> None:
    oldest = f"{system_now() - timedelta(days=KEPT_DAYS):%Y-%m-%d}"
    for row in await keeper.fetch(_OLD_TEMPLATES, TEMPLATE, oldest):
        await keeper.execute(f'alter database "{row["datname"]}" is_template false')
        await keeper.execute(f'drop database "{row["datname"]}" with (force)')


async def _drop_left_behind(keeper: "Connection") -> None:
    """Drop the clones of processes that were killed: nobody holds their lock any more."""
    for row in await keeper.fetch(_CLONES, CLONE):
        name = cast("str", row["datname"])
        run = int(name.removeprefix(CLONE).split("_")[0])
        if await keeper.fetchval("select pg_try_advisory_lock($1, $2)", RUN_LOCK, run):
            await keeper.execute(f'drop database if exists "{name}" with (force)')
            await keeper.execute("select pg_advisory_unlock($1, $2)", RUN_LOCK, run)


async def _check_passwords(server: Server) -> None:
    """A role may have been there before us, with a password that is not ours to change."""
    for role in LOGIN_ROLES:
        dsn = dsn_of(server.role(role, "template1"))
        try:
            connection = await asyncpg.connect(dsn)
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise RuntimeError(
                f"{server.name}: the role {role} has a password of its own there; name another server in"
                " RELANCE_TEST_DATABASE_URL"
            ) from error
        await connection.close()


_TABLES: Final = """
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind in ('r', 'p') and not c.relispartition
order by 1
"""
_DISCONNECT_OTHERS: Final = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
# Which transaction wrote each row of the catalogue tells any change of it; statistics are written in place.
SCHEMA: Final = f"""
select concat_ws(' ', {
    ", ".join(
        f"(select concat(count(*), '/', sum(xmin::text::bigint)) from pg_catalog.{table})"
        for table in (
            "pg_class",
            "pg_attribute",
            "pg_attrdef",
            "pg_constraint",
            "pg_index",
            "pg_policy",
            "pg_proc",
            "pg_trigger",
            "pg_namespace",
            "pg_default_acl",
            "pg_largeobject_metadata",
            "pg_rewrite",
            "pg_type",
            "pg_db_role_setting",
        )
    )
}) as schema, pg_database_size(current_database()) as size
"""
_OLD_TEMPLATES: Final = """
select d.datname from pg_database d
where starts_with(d.datname, $1) and coalesce(shobj_description(d.oid, 'pg_database'), '') < $2
"""
_CLONES: Final = "select datname from pg_database where starts_with(datname, $1)"
