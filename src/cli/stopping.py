"""How SIGTERM or Ctrl-C ends a process that stays: at the next place where nothing is half done.

A handler that raises does so anywhere, also inside a driver, a callback that swallows it, or C code that it crashes.
So ours only notes the stop. It cancels the event loop's work that runs at the moment, and what runs without a loop
asks between its steps.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_told: list[int] = []  # the stops that came, the first one first
_cancelling: list[Callable[[], object]] = []  # the work of the loop that runs


def listen() -> None:
    """Note each stop from now on, in place of dying of it."""
    for number in STOPS:
        signal.signal(number, _note)


def _note(number: int, _: FrameType | None) -> None:
    _told.append(number)
    for cancel in _cancelling:
        cancel()


def told() -> bool:
    """Whether a stop has come."""
    return bool(_told)


def leave_if_told() -> None:
    """End the process where a stop has come: by an exception, so that what was opened is closed."""
    if _told:
        raise SystemExit(128 + _told[0])


def run(work: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine yields and is sent is the loop's business
    """`asyncio.run` that a stop cancels; raises SystemExit then, when the work has closed what it opened."""

    async def whole() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("a coroutine runs in a task")
        _cancelling.append(lambda: loop.call_soon_threadsafe(task.cancel))
        try:
            return await work
        finally:
            _cancelling.clear()

    if told():
        work.close()
        leave_if_told()
    try:
        result = asyncio.run(whole())
    except asyncio.CancelledError:
        leave_if_told()
        raise
    leave_if_told()
    return result


@contextmanager
def on_stop(call: Callable[[], None]) -> Generator[None]:
    """Call at the first stop that reaches the running loop, or at once where one has come before."""
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, call)
    if told():
        call()
    try:
        yield
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)
        ignore()


def ignore() -> None:
    """Already on the way out: a second signal must not cut the first one's work short."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
