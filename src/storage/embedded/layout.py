"""What lies where in the data folder.

    secrets.json            passwords, 0600, of the caller
    lock, users.lock        who starts or stops; who uses the servers
    postgres.pid, .log      likewise valkey.pid, .log; locked as long as the server lives
    postgres/, valkey/      the data, 0700, of the servers' user
    run/                    the sockets, 0700, of the servers' user
    programs/               copies of the programs, only where root's user cannot read the installed ones

The sockets stay in the data folder, whose path must therefore be short: a socket elsewhere, say in /tmp, would
be at the mercy of whoever cleans there.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from storage.embedded.errors import DataDirTooLong, DataDirUnsafe

POSTGRES_PORT: Final = 5432  # only the end of the socket's name
POSTGRES_SOCKET: Final = f".s.PGSQL.{POSTGRES_PORT}"
VALKEY_SOCKET: Final = "valkey.sock"
SOCKET_PATH_BYTES: Final = 107 if sys.platform == "linux" else 103
ELSEWHERE: Final = len(f"/run/{POSTGRES_SOCKET}")

# These mean something in a server's configuration or in a Redis URL, which some clients unquote and some do not.
SPECIAL: Final = re.compile(r"""[\x00-\x1f"'\\,%?#]""")


class Layout(Struct, frozen=True):
    """The data folder and the places in it."""

    data_dir: Path

    def of(self, name: str) -> Path:
        """One place, by the name that the page above gives it."""
        return self.data_dir / name


def layout(data_dir: Path) -> Layout:
    """Check that the folder's path will do; whether the folder is there does not matter."""
    folder = data_dir.absolute().resolve()
    if SPECIAL.search(str(folder)):
        raise DataDirUnsafe(f"{str(folder)!r} has a character that a server's configuration gives a meaning to.")
    limit = SOCKET_PATH_BYTES - ELSEWHERE
    length = len(os.fsencode(folder))
    if length > limit:
        raise DataDirTooLong(f"{folder} has {length} bytes, and a socket leaves room for {limit}.")
    return Layout(folder)


def check_owned(place: Layout) -> None:
    """Refuse a folder that somebody else owns or can write to: they could put other files in the place of ours."""
    status = place.data_dir.stat()
    if status.st_uid != os.geteuid():
        raise DataDirUnsafe(f"{place.data_dir} belongs to the user {status.st_uid}, this is the user {os.geteuid()}.")
    if status.st_mode & 0o022:
        raise DataDirUnsafe(f"others may write to {place.data_dir}: run chmod go-w on it.")
