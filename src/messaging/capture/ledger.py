"""An append-only file of what was accepted, on the disk before the sender hears 250.

It is written by nobody but its own process and knows nothing of our tables: whatever the workers believe after a
crash, the ledger says which Message-ID arrived, and how often.
"""

import hashlib
import os
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from messaging.capture.server import Received


class Entry(Struct, frozen=True, kw_only=True):
    """One accepted mail."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    size: int
    sha256: str


class FileSink:
    """Writes one JSON line for each mail; one process at a time writes to a file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def accept(self, envelope: Received, content: bytes) -> None:
        """Write and wait for the disk. It blocks the loop on purpose: no answer may overtake its line."""
        headers = BytesHeaderParser(policy=default).parsebytes(content)
        entry = Entry(
            message_id=str(headers["Message-ID"] or "").strip(),
            sender=envelope.sender,
            recipients=envelope.recipients,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        line = msgspec.json.encode(entry) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError("the ledger's disk is full")
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_ledger(path: Path) -> Sequence[Entry]:
    """Every accepted mail, in order; a line cut short by a crash was never answered with 250 and is left out."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line, type=Entry) for line in whole.split(b"\n") if line]
