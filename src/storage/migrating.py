"""`relance migrate`: roles, schema, then Alembic as `relance_owner`, one deploy at a time."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kernel.clock import system_now
from storage.partitions import ensure_partitions, stray_rows
from storage.retention import expire
from storage.roles import OWNER, ensure_roles, ensure_schema

MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "migrations"
_LOCK: Final = 7_355_608  # any constant of ours: two deploys never migrate at once


def config_for(connection: Connection | None = None) -> Config:
    """Alembic's configuration, with the connection that `migrations/env.py` uses."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, passwords: Mapping[str, str], revision: str = "head") -> None:
    """Bring the database to a revision: roles, schema, tables, policies, partitions. Idempotent."""
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    ensure_roles(connection, passwords)
    ensure_schema(connection)
    connection.exec_driver_sql(f"set local role {OWNER}")
    command.upgrade(config_for(connection), revision)
    ensure_partitions(connection, system_now())
    connection.exec_driver_sql("reset role")


def downgrade(connection: Connection, revision: str) -> None:
    """Take migrations back, for tests and for a deploy that went wrong."""
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.exec_driver_sql(f"set local role {OWNER}")
    command.downgrade(config_for(connection), revision)
    connection.exec_driver_sql("reset role")


async def migrate(owner_url: str, passwords: Mapping[str, str], revision: str = "head") -> None:
    """Run `upgrade` over a connection of its own."""
    engine = create_async_engine(owner_url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade, passwords, revision)
    finally:
        await engine.dispose()


def migrate_now(owner_url: str, passwords: Mapping[str, str], revision: str = "head") -> None:
    """`migrate` for a caller without an event loop."""
    asyncio.run(migrate(owner_url, passwords, revision))


async def maintain(owner_url: str) -> tuple[list[str], dict[str, int], dict[str, int]]:
    """`relance maintain`: partitions of the months ahead, content past its time.

    Answers what was made, the stray rows, and how many blobs of each retention class have gone.
    """
    engine = create_async_engine(owner_url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_maintain)
    finally:
        await engine.dispose()


def _maintain(connection: Connection) -> tuple[list[str], dict[str, int], dict[str, int]]:
    connection.exec_driver_sql(f"set local role {OWNER}")
    made = ensure_partitions(connection, system_now())
    return made, stray_rows(connection), expire(connection, system_now())
