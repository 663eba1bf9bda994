"""Start a server apart from us, know it again later, and end it.

The file with its pid is locked by the server itself: it inherits the locked descriptor, its children too, and
the kernel lets go when the last of them is dead. So "does it run" never rests on a pid that may by now be
somebody else's, and a `kill -9` of anybody leaves nothing to repair.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

from storage.embedded.errors import ServerFailed, ServerStuck
from storage.embedded.locks import is_free, take, within
from storage.embedded.ownership import Runner

SPAWN_LIMIT_S: Final = 10.0
STOP_LIMIT_S: Final = 30.0
ORPHAN_LIMIT_S: Final = (
    2.0  # within this most children notice that their parent was killed; one deep in a query does not
)
KILL_LIMIT_S: Final = 5.0
NAMED_LIMIT_S: Final = 1.0
LOG_BYTES: Final = 10_000_000
TAIL_BYTES: Final = 2_000
CLEAN: Final = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of the caller's environment, such as PGOPTIONS

# The shell notes its pid and becomes the server, so that there is no moment in which the server runs unrecorded,
# even when whoever starts it is killed meanwhile.
SPAWN: Final = 'echo $$; exec "$@" >&2'


class Server(Struct, frozen=True, kw_only=True):
    """One server program at work on one data folder."""

    name: str  # of its program
    arguments: tuple[str, ...]  # they name our data folder, so they tell this server from any other
    children: str  # how the command lines of its child processes begin
    folder: Path
    pid_path: Path
    log_path: Path
    ask: signal.Signals  # ends it quickly and cleanly
    insist: signal.Signals  # ends it at once
    runner: Runner


def is_alive(server: Server) -> bool:
    """Whether any process of the server lives."""
    return not is_free(server.pid_path)


def pid_of(server: Server) -> int | None:
    """The pid of the server's main process, once it is known beyond doubt to be that."""
    for _ in within(NAMED_LIMIT_S):  # before its exec it is not itself yet
        if not is_alive(server):
            return None
        main = _main(server)
        if main is not None:
            return main.pid
    return None


def launch(server: Server, program: Path) -> None:
    """Start the server in a session of its own, so that Ctrl-C in this terminal does not reach it."""
    locked = take(server.pid_path, limit_s=SPAWN_LIMIT_S)
    if locked is None:
        raise ServerFailed(f"{server.pid_path} is still held by an earlier {server.name}.")
    _reap(server)  # an earlier one that was killed, if it was our child
    if server.log_path.exists() and server.log_path.stat().st_size > LOG_BYTES:
        server.log_path.replace(server.log_path.with_suffix(".log.old"))
    log = os.open(server.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    pid_file = os.open(server.pid_path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
    who = server.runner
    try:
        child = subprocess.Popen(
            ("/bin/sh", "-c", SPAWN, "sh", program, *server.arguments), cwd=server.folder, env=CLEAN,
            stdin=subprocess.DEVNULL, stdout=pid_file, stderr=log, pass_fds=(locked,),
            start_new_session=True, umask=0o077, user=who.user, group=who.group, extra_groups=who.groups,
        )  # fmt: skip
    finally:
        for descriptor in (locked, log, pid_file):
            os.close(descriptor)
    child.returncode = 0  # not to be awaited through this object: it may outlive us, and `end` reaps it by its pid


def end(servers: Sequence[Server], *, limit_s: float = STOP_LIMIT_S) -> None:
    """End the servers, all at once and cleanly if they can; nothing of them is left afterwards."""
    asked = [_send(server, server.ask) for server in servers]
    for server, was_asked in zip(servers, asked, strict=True):
        if was_asked or _ask_late(server):
            if _ended(server, limit_s):
                continue
            _send(server, server.insist)
            if _ended(server, KILL_LIMIT_S):
                continue
        elif _ended(server, 0):
            continue
        for process in _all(server):
            _send_to(process, signal.SIGKILL)
        if not _ended(server, KILL_LIMIT_S):
            raise ServerStuck(f"{server.pid_path} is still held by a process of {server.name}.")


def failure(server: Server, what: str) -> ServerFailed:
    """The error that says what happened, with the end of the server's log."""
    return ServerFailed(f"{server.name} {what}. The end of {server.log_path}:\n{_tail(server.log_path)}")


def _recorded(server: Server) -> int | None:
    try:
        return int(server.pid_path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None


def _main(server: Server) -> psutil.Process | None:
    """The recorded process, if it is the server."""
    pid = _recorded(server)
    if pid is None or not psutil.pid_exists(pid):
        return None
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return None
    return process if _is_main(process, server) else None


def _is_main(process: psutil.Process, server: Server) -> bool:
    """Whether its command names our data folder and its user is the server's, who alone could feign that.

    Not its working directory, which root may not read in a container; not the program's path, since the
    installation that started it may be gone.
    """
    try:
        program, *arguments = process.cmdline()
        mine = process.uids().real == server.runner.uid
    except (ValueError, psutil.Error):  # it has no command line any more, or has ended
        return False
    return mine and Path(program).name == server.name and tuple(arguments) == server.arguments


def _all(server: Server) -> list[psutil.Process]:
    """The main process, recorded or not, and every child that outlived it."""
    return [each for each in psutil.process_iter() if _is_main(each, server) or _is_child(each, server)]


def _is_child(process: psutil.Process, server: Server) -> bool:
    try:
        mine = process.uids().real == server.runner.uid
        return mine and " ".join(process.cmdline()).startswith(server.children)
    except psutil.Error:
        return False


def _ask_late(server: Server) -> bool:
    """Ask one that was just being started, and was not yet itself; False when it is over or only its children live."""
    for _ in within(ORPHAN_LIMIT_S):
        if not is_alive(server):
            return False
        if _send(server, server.ask):
            return True
    return False


def _send(server: Server, number: signal.Signals) -> bool:
    """Signal the main process; whether there was one."""
    process = _main(server) if is_alive(server) else None
    return process is not None and _send_to(process, number)


def _send_to(process: psutil.Process, number: signal.Signals) -> bool:
    try:
        process.send_signal(number)  # looks once more that the pid has not changed hands
    except psutil.NoSuchProcess:
        return False
    return True


def _ended(server: Server, limit_s: float) -> bool:
    """Whether it ends in time; if so it is gone from the table of processes too, as far as that is up to us."""
    if not any(not is_alive(server) for _ in within(limit_s)):
        return False
    # The lock goes an instant before the process; a zombie of another parent is that parent's to bury.
    return any(_reap(server) for _ in within(KILL_LIMIT_S))


def _reap(server: Server) -> bool:
    """Bury the recorded process if it was our child and is dead; whether it is gone or a zombie of another's."""
    pid = _recorded(server)
    if pid is None:
        return True
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        process = psutil.Process(pid)
        dying = not process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
    return not dying and not _is_main(process, server)


def _tail(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return "(there is none)"
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, os.fstat(descriptor).st_size - TAIL_BYTES))
        return file.read(TAIL_BYTES).decode(errors="replace").strip()
