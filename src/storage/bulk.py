"""Many rows in one statement, which is prepared once whatever their number.

Writing is `insert … select from unnest`, which row-level security allows and COPY does not.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, TextClause, Uuid, any_, literal, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from storage.base import Base

CHUNK: Final = 5_000
_DIALECT: Final = postgresql.dialect()


def among(column: InstrumentedAttribute[UUID], values: Iterable[UUID]) -> ColumnElement[bool]:
    """Whether a column is one of these ids: one array, where `in_` would be a statement of its own for each length."""
    return column == any_(literal(list(values), postgresql.ARRAY(Uuid)))


class Rows(Struct, frozen=True):
    """Rows of one table, each a tuple in the order of the columns."""

    model: type[Base]
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]  # Any: one value per column, of that column's type


async def insert_rows(
    session: AsyncSession,
    model: type[Base],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],  # Any: one value per column, of that column's type
    *,
    on_conflict: str = "",
) -> None:
    """Insert rows given as tuples in the order of `columns`; `on_conflict` is a clause of our own, never input."""
    batch = list(rows)
    for start in range(0, len(batch), CHUNK):
        piece = batch[start : start + CHUNK]
        statement = _statement(((model, tuple(columns), len(piece) == 1),), on_conflict)
        await session.execute(statement, _values(0, piece))


async def update_rows(
    session: AsyncSession,
    model: type[Base],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],  # Any: one value per column, of that column's type
) -> None:
    """Give rows of the session's tenant other values, as tuples in the order of `columns`, the first of them the id."""
    batch = list(rows)
    for start in range(0, len(batch), CHUNK):
        piece = batch[start : start + CHUNK]
        await session.execute(_update(model, tuple(columns)), _values(0, piece) if len(piece) > 1 else _lists(piece))


def _lists(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:  # Any: as in insert_rows
    return {f"t0c{column}": [value] for column, value in enumerate(rows[0])}


@lru_cache(maxsize=400)
def _update(model: type[Base], columns: tuple[str, ...]) -> TextClause:
    table = cast("Table", model.__table__)
    types = [str(table.columns[column].type.compile(_DIALECT)).lower() for column in columns]
    values = ", ".join(f"cast(:t0c{column} as {kind}[])" for column, kind in enumerate(types))
    changes = ", ".join(f"{column} = u.{column}" for column in columns[1:])
    return text(
        f"update {table.fullname} as t set {changes} from unnest({values}) as u({', '.join(columns)})"  # noqa: S608
        f" where t.tenant_id = (select app.tenant_id()) and t.{columns[0]} = u.{columns[0]}"
    )  # allow: f-string-sql, names come from our models


async def insert_tables(session: AsyncSession, *tables: Rows) -> None:
    """Insert into several tables that do not refer to each other, in one round trip where the rows fit into one."""
    wanted = [table for table in tables if table.rows]
    if len(wanted) < 2 or max(len(table.rows) for table in wanted) > CHUNK:  # noqa: PLR2004 - several
        for table in wanted:
            await insert_rows(session, table.model, table.columns, table.rows)
        return
    statement = _statement(tuple((table.model, table.columns, len(table.rows) == 1) for table in wanted))
    values = [_values(place, table.rows) for place, table in enumerate(wanted)]
    await session.execute(statement, {name: value for part in values for name, value in part.items()})


def _values(place: int, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:  # Any: as in insert_rows
    if len(rows) == 1:
        return {f"t{place}c{column}": value for column, value in enumerate(rows[0])}
    return {f"t{place}c{column}": list(values) for column, values in enumerate(zip(*rows, strict=True))}


@lru_cache(maxsize=400)
def _statement(parts: tuple[tuple[type[Base], tuple[str, ...], bool], ...], on_conflict: str = "") -> TextClause:
    *before, last = (_insert(place, *part) for place, part in enumerate(parts))
    named = ", ".join(f"t{place} as ({insert})" for place, insert in enumerate(before))
    return text(
        f"{'with ' if named else ''}{named} {last} {on_conflict}"
    )  # allow: f-string-sql, names come from our models


def _insert(place: int, model: type[Base], columns: tuple[str, ...], is_one: bool) -> str:  # noqa: FBT001 - from a key
    """One row goes as it is: arrays cost both sides more than the row."""
    table = cast("Table", model.__table__)
    types = [str(table.columns[column].type.compile(_DIALECT)).lower() for column in columns]
    array = "" if is_one else "[]"
    values = ", ".join(f"cast(:t{place}c{column} as {kind}{array})" for column, kind in enumerate(types))
    source = values if is_one else f"* from unnest({values})"
    return f"insert into {table.fullname} ({', '.join(columns)}) select {source}"
