"""A process that carries an import out in small batches, to be killed: `python -m support.import_process …`."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from billing_connectors.file_imports.running import Params, Work, carry_out, cause_of
from cli.composition import build_registry
from storage.database import Database, Urls
from storage.encryption import LocalKeyProvider
from storage.session import TenantSession


async def main(url: str, key_file: str, tenant: str, import_: str) -> None:
    """Say when it begins, and carry it out."""
    database = Database(Urls(app=url), LocalKeyProvider(Path(key_file)), build_registry())
    tenant_id, import_id = UUID(tenant), UUID(import_)

    @asynccontextmanager
    async def step() -> AsyncGenerator[TenantSession]:
        async with database.tenant(tenant_id, cause_of(Params(import_id))) as session:
            yield session

    sys.stdout.write("begun\n")
    sys.stdout.flush()
    await carry_out(Work(step=step, keys=database.keys, import_id=import_id, batch=10))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
