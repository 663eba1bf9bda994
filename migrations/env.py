"""Alembic runs inside the transaction of `storage.migrating.upgrade`, as `relance_owner`."""

from typing import Literal

from alembic import context
from sqlalchemy import Connection

from cli.schema import metadata
from storage.base import TextEnum
from storage.partitions import PARTITIONED

TIMEOUTS = ("set local lock_timeout = '4s'", "set local statement_timeout = '600s'")


def include_name(name: str | None, kind: str, _: object) -> bool:
    """Leave partitions out of comparisons: `relance maintain` makes them."""
    if kind == "schema":
        return name == "app"
    if kind == "table" and name is not None:
        return not any(
            name.startswith(f"{table}_") and name[len(table) + 1 :][:1] in "2d"
            for table in PARTITIONED
            if name not in metadata_names()
        )
    return True


def metadata_names() -> set[str]:
    """The tables of the product, without their schema."""
    return {table.name for table in metadata.tables.values()}


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write a TextEnum as the text that it is: a migration never imports the product's types."""
    return "sa.Text()" if kind == "type" and isinstance(item, TextEnum) else False


connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table_schema="app",
    include_schemas=True,
    include_name=include_name,
    render_item=render_item,
    compare_server_default=False,
)
with context.begin_transaction():
    for timeout in TIMEOUTS:
        connection.exec_driver_sql(timeout)
    context.run_migrations()
