"""Trying a statement as somebody, and taking it back."""

from contextlib import AbstractAsyncContextManager
from typing import Final, cast

from sqlalchemy import CursorResult, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

DENIED: Final = "42501"  # no such right, or row-level security refuses the new row
FOREIGN_KEY: Final = "23503"
UNIQUE: Final = "23505"

Outcome = int | str  # how many rows it touched or found, or the SQLSTATE of the refusal


class _TakenBack(Exception):
    """Nothing went wrong: the unit of work must not commit."""


async def attempt(unit: AbstractAsyncContextManager[AsyncSession], statement: Executable) -> Outcome:
    """Run one statement in a unit of work that is rolled back, and say what came of it."""
    touched = 0
    try:
        async with unit as session:
            result = cast("CursorResult[tuple[object, ...]]", await session.execute(statement))
            touched = len(result.all()) if result.returns_rows else result.rowcount
            raise _TakenBack  # noqa: TRY301 - only an exception keeps a unit of work from committing
    except _TakenBack:
        return touched
    except DBAPIError as error:
        return str(getattr(error.orig, "sqlstate", error))
