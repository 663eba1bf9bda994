"""Wait for a database that is away: what is known here and nowhere else must not be lost with a connection."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
import asyncpg
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

WAIT_S: Final = 60.0
PAUSE_S: Final = 0.25
_AWAY: Final = ("08", "57P", "53300")  # connection exceptions, shutdown and start, too many clients


def is_away(error: BaseException) -> bool:
    """Whether the database could not be reached or was lost, so that the same may succeed a moment later."""
    if isinstance(error, OSError):  # refused, no socket, timed out: the driver's own, which nobody wraps
        return True
    if not isinstance(error, DBAPIError):
        return False
    cause = getattr(error.orig, "__cause__", None)
    state: str = getattr(error.orig, "sqlstate", None) or ""
    return (
        error.connection_invalidated or state.startswith(_AWAY) or isinstance(cause, asyncpg.InternalClientError)
    )  # the last: a connection that was cut in the middle of an answer


async def patiently(attempt: Callable[[], Awaitable[T]], *, within_s: float = WAIT_S) -> T:
    """Do it, again and again while the database is away; `attempt` opens a unit of work and may have committed before.

    Raises what it raised last once the time is over, and any other failure at once.
    """
    end = time.monotonic() + within_s
    while True:
        try:
            return await attempt()
        except Exception as error:
            if not is_away(error) or time.monotonic() >= end:
                raise
        await anyio.sleep(PAUSE_S)
