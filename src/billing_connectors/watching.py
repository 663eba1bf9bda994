"""A watched folder: what is complete is taken, imported, and moved to `done` or `refused`, whoever dies in between.

A file is claimed by renaming it into `working`, which only one watcher can, and by a lock on it, which ends with its
holder: what a killed watcher had claimed is taken up by the next one. Importing again changes nothing.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from billing_connectors.desks import Desk, Judged
from billing_connectors.importing import import_file
from storage.blobs import MAX_BYTES

SETTLE_S: Final = 2.0  # a file that has not changed for so long is complete
MAX_FILES: Final = 10_000  # of a folder looked at in one turn
MAX_TELL: Final = 1_000  # refused documents that a report names
MAX_NAME: Final = 180  # bytes, which leaves room for what is put behind
WORKING, DONE, REFUSED = "working", "done", "refused"
# What programs write while they write, and what systems leave in folders.
_UNFINISHED: Final = (".part", ".tmp", ".temp", ".crdownload", ".filepart", ".partial", ".swp", "~")
_GOOD: Final = frozenset({"imported", "updated", "unchanged"})


class Seen(Struct, frozen=True):
    """What of a file tells that it is still being written."""

    inode: int
    size: int
    changed_ns: int


class Told(Struct, frozen=True, kw_only=True):
    """What became of one file: the content of the report beside it."""

    file: str
    documents: int
    refused: list[Judged]
    reason: str | None = None


class Watcher:
    """Watches one folder for one tenant."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        self._folder, self._desk = folder, desk
        self._seen: dict[str, tuple[Seen, float]] = {}
        for name in (WORKING, DONE, REFUSED):
            (folder / name).mkdir(exist_ok=True)

    async def turn(self, now_s: float, *, settle_s: float = SETTLE_S) -> int:
        """Take what a dead watcher left and what is complete by now; answers how many files were read."""
        taken = 0
        for path in self._left_over():
            taken += await self._take(path)
        for name in self._complete(now_s, settle_s):
            claimed = self._claim(name)
            if claimed is not None:
                taken += await self._take(claimed)
        return taken

    def _left_over(self) -> list[Path]:
        return sorted(self._folder / WORKING / name for name, _ in _files(self._folder / WORKING))

    def _complete(self, now_s: float, settle_s: float) -> list[str]:
        """The files that have not changed since they were seen first, so long ago."""
        found: dict[str, tuple[Seen, float]] = {}
        complete: list[str] = []
        for name, seen in _files(self._folder):
            before = self._seen.get(name)
            since = before[1] if before is not None and before[0] == seen else now_s
            found[name] = (seen, since)
            if now_s - since >= settle_s:
                complete.append(name)
        self._seen = found
        return sorted(complete)

    def _claim(self, name: str) -> Path | None:
        target = _free(self._folder / WORKING, name)
        try:
            (self._folder / name).rename(target)
        except FileNotFoundError:  # another watcher was first
            return None
        return target

    async def _take(self, path: Path) -> int:
        """Import one claimed file, unless another watcher is at it, and put it away."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return 0
        with os.fdopen(descriptor, "rb") as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            if not _is_still(path, descriptor):  # it was put away while we waited
                return 0
            told = await self._read(path.name, file.read(MAX_BYTES + 1))
            self._put_away(path, told)
        return 1

    async def _read(self, name: str, content: bytes) -> Told:
        refused: list[Judged] = []
        count = good = 0
        async for one in import_file(self._desk, name, content):
            count += 1
            good += one.verdict.status in _GOOD
            if one.verdict.status not in _GOOD and len(refused) < MAX_TELL:
                refused.append(one)
        reason = None if good else (refused[0].verdict.reason if refused else "empty_file")
        return Told(file=name, documents=count, refused=refused, reason=reason)

    def _put_away(self, path: Path, told: Told) -> None:
        """First the report, then the file: a report without its file is written again, a file without one never is."""
        folder = self._folder / (REFUSED if told.reason is not None else DONE)
        target = _free(folder, path.name)
        if told.refused or told.reason is not None:
            report = target.with_name(f"{target.name}.reason.json")
            hidden = report.with_name(f".{report.name}.{os.getpid()}")
            hidden.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
            hidden.replace(report)
        path.rename(target)


def _files(folder: Path) -> Iterator[tuple[str, Seen]]:
    """Plain files that no program is known to be still writing; no links, no hidden ones."""
    with os.scandir(folder) as found:
        for count, entry in enumerate(found):
            if count >= MAX_FILES:
                return
            name = entry.name
            if name.startswith((".", "~$")) or name.lower().endswith(_UNFINISHED):
                continue
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(state.st_mode):
                yield name, Seen(state.st_ino, state.st_size, state.st_mtime_ns)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _free(folder: Path, name: str) -> Path:
    """A name that no file of the folder has, nor its report."""
    stem, dot, ending = name.rpartition(".")
    stem, ending = (stem, dot + ending) if stem else (name, "")
    stem = stem.encode()[: MAX_NAME - len(ending.encode())].decode(errors="ignore")
    for count in range(1, MAX_FILES):
        path = folder / (f"{stem}{ending}" if count == 1 else f"{stem}-{count}{ending}")
        if not path.exists() and not path.with_name(f"{path.name}.reason.json").exists():
            return path
    raise FileExistsError(name)
