"""Processes that are forked from one that has imported the product: a start takes a tenth of a second, not three.

They are processes as any other, with a pid, a session and a death of their own.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = (ROOT / "src", ROOT / "tests")
IMPORTED: Final = ["cli.commands", "cli.operating", "cli.applications", "uvicorn"]


class Forked:
    """What is used of `subprocess.Popen`, over a fork."""

    def __init__(self, process: ForkServerProcess, pipe: Connection) -> None:
        self._process, self._pipe = process, pipe

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> None:
        self._process.join(timeout)

    def close(self) -> None:
        """Let go of its standard input."""
        self._pipe.close()
        self._process.close()


def fork(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
    """Run `relance <command>`, whose standard input ends when this process does."""
    context = _context()
    theirs, ours = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(list(command), dict(environment), str(log), theirs))
    process.start()
    theirs.close()
    return Forked(process, ours)


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, HERE))  # what is imported is this checkout, installed or not
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def _run(command: list[str], environment: dict[str, str], log: str, pipe: Connection) -> None:
    os.setsid()
    os.dup2(pipe.fileno(), 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    sys.argv = ["relance", *command]
    from cli import main  # noqa: PLC0415 - imported already, where this was forked from

    main()
