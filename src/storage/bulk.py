"""Many rows in one statement, which is prepared once whatever their number.

Writing is `insert … select from unnest`, which row-level security allows and COPY does not.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

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
    if not batch:
        return
    statement = _statement(model, tuple(columns), on_conflict)
    for start in range(0, len(batch), CHUNK):
        arrays = zip(*batch[start : start + CHUNK], strict=True)
        await session.execute(statement, {f"c{place}": list(values) for place, values in enumerate(arrays)})


@lru_cache(maxsize=200)
def _statement(model: type[Base], columns: tuple[str, ...], on_conflict: str) -> TextClause:
    table = cast("Table", model.__table__)
    types = [str(table.columns[column].type.compile(_DIALECT)).lower() for column in columns]
    arrays = ", ".join(f"cast(:c{place} as {kind}[])" for place, kind in enumerate(types))
    names = ", ".join(columns)
    return text(f"insert into {table.fullname} ({names}) select * from unnest({arrays}) {on_conflict}")  # noqa: S608 # allow: f-string-sql, names come from our models
