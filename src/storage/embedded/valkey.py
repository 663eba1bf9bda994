"""The embedded Valkey: its settings, and whether it answers."""

import signal
import socket
from typing import Final

from storage.embedded.layout import VALKEY_SOCKET, Layout
from storage.embedded.locks import within
from storage.embedded.ownership import Runner, make_folder, write_private
from storage.embedded.passwords import Secrets
from storage.embedded.processes import Server, failure, is_alive

START_LIMIT_S: Final = 30.0
LOAD_LIMIT_S: Final = 300.0  # it says that it is loading its file
ASK_LIMIT_S: Final = 5.0
REPLY_BYTES: Final = 200

SETTINGS: Final = """\
# Written at each start.
port 0
unixsocket "{socket}"
unixsocketperm 700
requirepass {password}
dir "{folder}"
daemonize no
set-proc-title no
logfile ""
save ""
appendonly yes
appendfsync {appendfsync}
maxmemory 256mb
maxmemory-policy noeviction
"""


def server(place: Layout, runner: Runner) -> Server:
    """How Valkey is started, known and ended."""
    folder = place.of("valkey")
    return Server(
        name="valkey-server",
        arguments=(str(folder / "valkey.conf"),),
        children="valkey-aof-rewrite",  # they end by themselves
        folder=folder,
        pid_path=place.of("valkey.pid"),
        log_path=place.of("valkey.log"),
        ask=signal.SIGTERM,
        insist=signal.SIGKILL,
        runner=runner,
    )


def prepare(place: Layout, runner: Runner, kept: Secrets, *, fsync: bool) -> None:
    """Make its folder and write its settings; it takes away a stale socket itself."""
    folder = make_folder(place.of("valkey"), runner)
    settings = SETTINGS.format(
        socket=place.of("run") / VALKEY_SOCKET,
        password=kept.valkey,
        folder=folder,
        appendfsync="everysec" if fsync else "no",
    )
    write_private(folder / "valkey.conf", settings, runner)


def wait_until_ready(server: Server, place: Layout, kept: Secrets) -> None:
    """Wait until it answers to our password."""
    said = ""
    for limit_s in (START_LIMIT_S, LOAD_LIMIT_S):
        for _ in within(limit_s):
            if not is_alive(server):
                raise failure(server, "ended while it started")
            said = _ping(place, kept)
            if said.startswith("+OK\r\n+PONG"):
                return
            if said.startswith("-"):
                raise failure(server, f"refused us: {said.strip()}")
        if "-LOADING" not in said:
            break
    raise failure(server, f"did not answer in time (last: {said.strip() or 'nothing'})")


def _ping(place: Layout, kept: Secrets) -> str:
    """What it says to our password and a ping."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_LIMIT_S)
            connection.connect(str(place.of("run") / VALKEY_SOCKET))
            connection.sendall(f"AUTH {kept.valkey}\r\nPING\r\n".encode())
            said = ""
            while said.count("\r\n") < 2 and not said.startswith("-"):  # noqa: PLR2004 - one line for each command
                received = connection.recv(REPLY_BYTES).decode(errors="replace")
                if not received:
                    break
                said += received
            return said
    except OSError as error:
        return error.strerror or str(error)
