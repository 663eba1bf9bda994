"""What every long-lived process does first and last: sockets enough, and an end by signal that leaves nothing open."""

import asyncio
import gc
import resource
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

FILES: Final = 65_536  # more than any process of ours holds: connections, mails and webhooks under way
COLLECT_AFTER: Final = (10_000, 10, 10)  # objects made and still there; then rounds before the next older ones
STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def raise_file_limit() -> None:
    """Allow as many open files as the machine lets us: the usual soft limit of 1,024 is for programs that `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spare_collector() -> None:
    """Take what is loaded by now out of the garbage collector's rounds, and let those be rarer.

    The code of a process is hundreds of thousands of objects that never go; walking over them again and again took a
    third of the CPU of webhook deliveries. What we make for a request goes by its count of references.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def exit_on_sigterm() -> None:
    """Until somebody listens to it, let SIGTERM end the process by an exception, so that what was opened is closed."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        ignore_stops()
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def ignore_stops() -> None:
    """Already on the way out: a second signal must not cut the first one's work short."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def on_stop(call: Callable[[], None]) -> Generator[None]:
    """Call at the first SIGTERM or SIGINT that reaches the running loop."""
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)
        ignore_stops()
