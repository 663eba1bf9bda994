"""Locks on files, which the kernel gives back when their holder dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.embedded.errors import Busy

PAUSE_S = 0.02


def within(limit_s: float) -> Iterator[None]:
    """Yield at once, and again after each short pause until the limit is over."""
    end = time.monotonic() + limit_s
    yield
    while time.monotonic() < end:
        time.sleep(PAUSE_S)
        yield


def take(path: Path, *, shared: bool = False, limit_s: float = 0.0) -> int | None:
    """Lock the file and answer its descriptor, or None when another holds it for longer than the limit."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    try:
        for _ in within(limit_s):
            try:
                fcntl.flock(descriptor, how)
            except BlockingIOError:
                continue
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_free(path: Path) -> bool:
    """Whether nobody holds the file exclusively; the look disturbs no other look."""
    if not path.exists():
        return True
    descriptor = take(path, shared=True)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


@contextmanager
def held(path: Path, *, limit_s: float) -> Generator[int]:
    """Hold the file for the length of the block, and beyond while a child that was given the descriptor lives."""
    descriptor = take(path, limit_s=limit_s)
    if descriptor is None:
        raise Busy(f"{path} has been held for {limit_s:.0f} s.")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Use:
    """A shared lock that tells the others that somebody uses the servers; it ends with the process at the latest."""

    def __init__(self, path: Path, *, limit_s: float) -> None:
        self.path = path
        self._descriptor = take(path, shared=True, limit_s=limit_s)

    def end(self, *, limit_s: float = 0.0) -> bool:
        """Give up the use; whether nobody else has one, at the latest after the limit."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        alone = take(self.path, limit_s=limit_s)
        if alone is None:
            return False
        os.close(alone)
        return True
