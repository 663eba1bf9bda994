"""Trying statements as somebody, and taking them back."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, cast

from sqlalchemy import CursorResult, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

DENIED: Final = "42501"  # no such right, or row-level security refuses the new row
FOREIGN_KEY: Final = "23503"
UNIQUE: Final = "23505"

Outcome = int | str  # how many rows it touched or found, or the SQLSTATE of the refusal
Unit = AbstractAsyncContextManager[AsyncSession]


async def attempt(unit: Unit, statement: Executable) -> Outcome:
    """Run one statement in a unit of work that leaves nothing, and say what came of it."""
    return (await attempt_each(unit, {"it": statement}))["it"]


async def attempt_each(unit: Unit, statements: Mapping[str, Executable]) -> dict[str, Outcome]:
    """Run statements in one unit of work, each by itself: none sees what another has done."""
    async with unit as session:
        return {name: await _attempt(session, statement) for name, statement in statements.items()}


async def _attempt(session: AsyncSession, statement: Executable) -> Outcome:
    savepoint = await session.begin_nested()
    try:
        result = cast("CursorResult[tuple[object, ...]]", await session.execute(statement))
        return len(result.all()) if result.returns_rows else result.rowcount
    except DBAPIError as error:
        return str(getattr(error.orig, "sqlstate", error))
    finally:
        await savepoint.rollback()
