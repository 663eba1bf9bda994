"""One row for any table, made from its columns, so that a table of tomorrow is covered without being named.

Every id of a sample is the same one: references within a tenant then hold, and two tenants' samples differ in nothing
but `tenant_id`, as if one of them had guessed every id of the other.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.schema import GLOBAL, metadata

TENANT_TABLES: Final = tuple(table for table in metadata.sorted_tables if table.name not in GLOBAL)  # parents first

BY_TYPE: Final[dict[type, object]] = {  # a KeyError here: say what a row holds in a column of the new type
    bool: False,
    int: 1,
    datetime: datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    date: date(2026, 3, 2),
    bytes: b"sample",
    str: "sample",
    list: [],
}
BY_NAME: Final[dict[str, object]] = {"currency": "EUR"}  # a constraint gives the form by a pattern
ONE_OF: Final = re.compile(r"^(\w+) in \('([^']*)'")

# Nullable columns that a constraint over several columns asks for.
ALSO: Final = {"allocation": ("receipt_id", "invoice_id", "instalment_id")}


def sample(table: Table, tenant_id: UUID, every_id: UUID) -> dict[str, Any]:
    """The least row that the table accepts."""
    also = ALSO.get(table.name, ())
    by_name = BY_NAME | _known_values(table)
    row: dict[str, object] = {}
    for column in table.columns:
        if column.name in also or not column.nullable:
            kind = column.type.python_type
            row[column.name] = every_id if kind is UUID else by_name.get(column.name) or BY_TYPE[kind]
    return row | {"tenant_id": tenant_id}


def _known_values(table: Table) -> dict[str, str]:
    """The first value of each column that has an enumeration of them."""
    texts = [str(check.sqltext) for check in table.constraints if isinstance(check, CheckConstraint)]
    return {found[1]: found[2] for found in map(ONE_OF.match, texts) if found is not None}


async def fill(connection: AsyncConnection, tenants: Sequence[UUID], every_id: UUID) -> None:
    """Give each tenant its sample in every table, as the superuser."""
    for table in TENANT_TABLES:
        await connection.execute(insert(table), [sample(table, tenant_id, every_id) for tenant_id in tenants])
