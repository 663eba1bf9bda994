"""Keep child processes running: started again when they die, stopped together, none left behind.

Each child holds the other end of a pipe as its standard input: when the parent is killed the pipe ends, and the child
stops by itself, so that the next start finds the port free.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Final

import click

from cli.stopping import told

POLL_S: Final = 0.2
STOP_S: Final = 25.0
RESTART_S: Final = 1.0
CHILD: Final = "RELANCE_CHILD"  # set in the environment of a supervised child


def supervise(commands: Sequence[Sequence[str]]) -> None:
    """Run `relance <command>` for each, until a stop comes; a child that dies is started again."""
    children = {place: start(command) for place, command in enumerate(commands)}
    try:
        while not told():
            time.sleep(POLL_S)
            for place, child in children.items():
                if child.poll() is not None and not told():
                    click.echo(f"{' '.join(commands[place])} ended with {child.returncode}; started again", err=True)
                    time.sleep(RESTART_S)
                    children[place] = start(commands[place])
    finally:
        stop_all(list(children.values()))


def start(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start one child in a session of its own, so that Ctrl-C reaches it through us alone."""
    program = [sys.executable, "-c", "from cli import main; main()", *command]
    given = os.environ | dict(environment or {}) | {CHILD: "1"}
    return subprocess.Popen(
        program, start_new_session=True, stdin=subprocess.PIPE, stdout=output, stderr=output, env=given
    )


def end_with_parent() -> None:
    """In a supervised child: ask ourselves to stop when the parent is no more."""
    if os.environ.get(CHILD) != "1":
        return

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock a thread that waits for ever would hold at our exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def stop_all(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask each to finish, then make sure."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(STOP_S)
        if child.stdin is not None:
            child.stdin.close()
