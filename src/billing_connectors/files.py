"""The files that an import is given: folders walked in a fixed order, everything bounded."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from kernel.errors import Invalid

MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 20


class TooManyFiles(Invalid):
    """The folders hold more files than one import reads."""

    code = "too_many_files"
    remedy = f"Import at most {MAX_FILES} files at once: name subfolders one after the other."


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and those in the folders, in order; no hidden ones, no links to folders.

    Raises TooManyFiles.
    """
    found: list[Path] = []
    for path in paths:
        for file in _walked(path, MAX_DEPTH) if path.is_dir() else [path]:
            if len(found) == MAX_FILES:
                raise TooManyFiles
            found.append(file)
    return found


def _walked(folder: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in visible:
        if entry.is_dir(follow_symlinks=False):
            if depth > 0:
                yield from _walked(Path(entry.path), depth - 1)
        elif entry.is_file():
            yield Path(entry.path)


def read_bounded(path: Path, limit: int) -> bytes:
    """At most one byte more than the limit, so that the reader sees that it is too large; raises OSError.

    What is no plain file (a pipe, a device) might never end: it is refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for a writer
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a plain file")
        return file.read(limit + 1)
