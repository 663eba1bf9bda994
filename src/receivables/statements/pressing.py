"""Have a document typeset: in a process of its own, off the event loop, a few at once, within a time limit."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec

from receivables.statements.errors import DocumentNotMade
from receivables.statements.reading import Statement
from receivables.statements.wording import document

AT_ONCE: Final = 2
TIME_LIMIT_S: Final = 20.0
MAX_PDF_BYTES: Final = 20_000_000
_PRESS: Final = Path(__file__).with_name("press.py")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def pdf(
    statement: Statement,
    language: str,
    *,
    logos: Mapping[UUID, bytes] = MappingProxyType({}),
    time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """The statement on A4, the same bytes for the same data. Raises DocumentNotMade."""
    view = statement.view
    asked = {"data": document(statement, language, logos), "made_at": f"{view.to_on.isoformat()}T00:00:00+00:00"}
    turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    try:
        async with asyncio.timeout(time_limit_s), turn:
            return await _pressed(asked)
    except TimeoutError:
        raise DocumentNotMade from None


async def _pressed(asked: dict[str, Any]) -> bytes:  # Any: JSON
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(_PRESS),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={},  # what is typeset has no business with our settings
    )  # fmt: skip
    try:
        made, _ = await process.communicate(msgspec.json.encode(asked))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not made.startswith(b"%PDF-") or len(made) > MAX_PDF_BYTES:
        raise DocumentNotMade
    return made
