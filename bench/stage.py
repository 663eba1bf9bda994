"""Where benchmarks run: servers of their own with fsync on, a migrated template, a clone per measurement."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from cli.composition import build_registry
from kernel import ids
from storage.database import Database, Urls
from storage.embedded import servers
from storage.embedded.servers import Embedded
from storage.encryption import LocalKeyProvider
from storage.migrating import migrate
from storage.session import Cause
from tenants.models import Mode, TenantKind

CAUSE = Cause(kind="command", id="bench")


class Stage:
    """Servers and a migrated template; databases are cloned from it."""

    def __init__(self, running: Embedded, folder: Path) -> None:
        self.running, self.folder, self._made = running, folder, 0
        self.key_file = folder / "kek"

    async def prepare(self) -> None:
        """Migrate the template."""
        await migrate(self.running.database_urls.owner, self.running.passwords)

    def urls(self, name: str) -> Urls:
        """The URLs of a database by role."""
        own = self.running.database_urls
        app, dispatcher, pump, owner = (
            url.replace("/relance?", f"/{name}?") for url in (own.app, own.dispatcher, own.pump, own.owner)
        )
        return Urls(app=app, dispatcher=dispatcher, pump=pump, owner=owner)

    def open(self, name: str, *, pool_size: int = 5) -> Database:
        """The product's way into a database."""
        provider = LocalKeyProvider(self.key_file)
        return Database(self.urls(name), provider, build_registry(), pool_size=pool_size, application="bench")

    async def clone(self, template: str = "relance") -> str:
        """Copy a database that nobody is connected to."""
        self._made += 1
        name = f"bench_{self._made}"
        await self._run(f'create database "{name}" template "{template}" strategy wal_log')
        return name

    async def drop(self, name: str) -> None:
        """Remove a database."""
        await self._run(f'drop database "{name}" with (force)')

    async def settle(self, name: str) -> None:
        """Let the planner know the tables."""
        connection = await asyncpg.connect(dsn(self.urls(name).owner or ""))
        try:
            await connection.execute("vacuum analyze")
        finally:
            await connection.close()
        await self.checkpoint()

    async def checkpoint(self) -> None:
        """Start from a quiet server, so that what one measurement has left to write does not slow the next."""
        await self._run("checkpoint")

    async def _run(self, statement: str) -> None:
        owner = self.running.database_urls.owner.replace("/relance?", "/postgres?")
        connection = await asyncpg.connect(dsn(owner))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def dsn(url: str) -> str:
    """A SQLAlchemy URL in the driver's own form."""
    return url.replace("postgresql+asyncpg://", "postgresql://")


@contextmanager
def stage() -> Generator[Stage]:
    """Servers in a folder that goes away with them."""
    folder = Path(tempfile.mkdtemp(prefix="relance-bench-"))
    folder.chmod(0o755)
    running = servers.start(folder / "data")
    try:
        made = Stage(running, folder)
        asyncio.run(made.prepare())
        yield made
    finally:
        servers.leave(running)
        shutil.rmtree(folder, ignore_errors=True)


def new_ids(count: int) -> list[UUID]:
    """So many ids, as tenants have them: in every shard."""
    return [ids.new_id() for _ in range(count)]


async def make_tenants(
    stage: Stage,
    name: str,
    tenants: Sequence[UUID],
    *,
    mode: Mode = Mode.AUTOMATIC,
    kind: TenantKind = TenantKind.SANDBOX,
) -> None:
    """Tenants that live in system time, without events; written as the owner, since nothing here is measured."""
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        await connection.execute(_TENANTS, tenants, kind.value, mode.value)
    finally:
        await connection.close()


_TENANTS: Final = """
with t as (
  insert into app.tenant (tenant_id, account_id, slug, kind, mode, version)
  select t, uuidv7(), 'bench-' || place, $2, $3, 1 from unnest($1::uuid[]) with ordinality as t(t, place)
  returning tenant_id
), k as (
  insert into app.kill_switch (tenant_id, scope, stopped, version)
  select tenant_id, scope, false, 1 from t, unnest(array['tenant', 'channel:email']) as scope
)
insert into app.send_budget (tenant_id, hour_at, used, cap) select tenant_id, 'epoch', 0, 10000000 from t
"""


@asynccontextmanager
async def opened(stage: Stage, name: str, *, pool_size: int = 5) -> AsyncGenerator[Database]:
    """A database for the length of a measurement."""
    database = stage.open(name, pool_size=pool_size)
    try:
        yield database
    finally:
        await database.close()
