"""Real processes of a place of their own: embedded servers, workers and an API to be killed, sinks that keep count.

Only what was started here is signalled, by its pid. Whoever kills the test run kills no more than that: workers and the
API end with the pipe that is their standard input.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

import anyio
import psutil

from cli import settings, supervising
from cli.world import Servers, open_database
from messaging.capture.ledger import Entry, read_ledger
from storage.database import Database, Urls
from storage.embedded import servers
from storage.embedded.servers import Embedded
from support.forking import HERE, Forked, fork
from support.ledgers import Hook, read_hooks
from workers.doorbell import at_socket

PATHS: Final = {"PYTHONPATH": os.pathsep.join(map(str, HERE))}
START_S: Final = 60.0  # of any process, on a machine that has other work
END_S: Final = 25.0  # what a stop may take
POLL_S: Final = 0.05
SECRET: Final = "s3cret"
TAIL: Final = 4_000


class Child:
    """One process of ours."""

    def __init__(self, name: str, process: subprocess.Popen[bytes] | Forked, log: Path) -> None:
        self.name, self.process, self.log = name, process, log
        self.began = time.monotonic()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def says(self, text: str) -> bool:
        """Whether it has logged this."""
        return text.encode() in self.log.read_bytes()

    async def until_says(self, text: str) -> None:
        """Wait for a line of its log; fails where it has ended instead."""
        await until(lambda: self.says(text) or not self.alive, START_S, f"{self.name} to say {text!r}")
        assert self.says(text), self.tail()

    def kill(self) -> None:
        """End it as a power cut would: nothing of its own code runs any more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(END_S)

    def close(self) -> None:
        """End it, if it runs, and let go of it."""
        if self.alive:
            self.go_on()
            self.kill()
        if isinstance(self.process, Forked):
            self.process.close()
        elif self.process.stdin is not None:
            self.process.stdin.close()

    def pause(self) -> None:
        """Stand still, as on a machine that hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Run again after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def ask(self) -> None:
        """Tell it to stop."""
        self.process.send_signal(signal.SIGTERM)

    async def end(self) -> float:
        """Tell it to stop; returns how many seconds it took. Fails where it did not end well and in time."""
        began = time.monotonic()
        self.ask()
        await until(lambda: not self.alive, END_S, f"{self.name} to stop")
        assert self.process.returncode == 0, self.tail()
        return time.monotonic() - began

    def tail(self) -> str:
        """The end of its log, and how it ended."""
        return f"--- {self.name} ({self.process.returncode})\n{self.log.read_text('utf-8', 'replace')[-TAIL:]}"


class Place:
    """A data folder of its own: the servers in it, used by the test too, and the processes around them."""

    def __init__(self, *, lease_s: int, template: Path | None = None, forked: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relance-", dir="/tmp"))
        self.data_dir = self.folder / "data"
        if template is not None:  # a database that has been migrated: ten times as fast as making one
            subprocess.run(("cp", "-a", template, self.data_dir), check=True)
        self.lease_s, self.forked, self.port = lease_s, forked, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {variable.name: "" for variable in settings.VARIABLES} | {
            "RELANCE_DATA_DIR": str(self.data_dir),
            "RELANCE_PORT": str(self.port),
            "RELANCE_PUBLIC_URL": self.url,
            "RELANCE_LEASE_S": str(lease_s),
            "RELANCE_ALLOW_PRIVATE": "127.0.0.0/8",
            "RELANCE_REQUESTS_PER_MINUTE": "1000000",
            "RELANCE_LOG_FORM": "json",
        }
        self.mails, self.hooks = self.folder / "mails", self.folder / "hooks"
        self.children: list[Child] = []
        self._embedded: Embedded | None = None

    def start_servers(self) -> Embedded:
        """Start or adopt the servers; those that were killed start again."""
        used, self._embedded = self._embedded, servers.start(self.data_dir)
        if used is not None:
            used.use.end()
        return self._embedded

    def leave_servers(self) -> None:
        """Use them no longer: whoever comes next starts them, unless somebody else uses them."""
        servers.leave(self.embedded)
        self._embedded = None

    @property
    def embedded(self) -> Embedded:
        assert self._embedded is not None
        return self._embedded

    def open_database(self) -> Database:
        """The product's way into the place's database, for the test itself."""
        urls = self.embedded.database_urls
        own = Urls(app=urls.app, dispatcher=urls.dispatcher, pump=urls.pump, admin=urls.admin)
        redis = at_socket(self.embedded.redis_socket_path, self.embedded.redis_password)
        where = Servers(own, redis, {}, embedded=True)
        return open_database(settings.read(self.environment), where, application="relance-test")

    def relance(self, *command: str) -> Child:
        """Start `relance <command>`, which ends with us at the latest."""
        environment = self.environment | {supervising.CHILD: "1"}

        def start(log: Path, output: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
            if self.forked:
                return fork(command, environment, log)
            return supervising.start(command, environment=environment | PATHS, output=output)

        return self._child(command[0], start)

    async def worker(self) -> Child:
        """A worker at work."""
        child = self.relance("worker")
        await child.until_says("worker_started")
        return child

    async def serve(self) -> Child:
        """An API that answers."""
        child = self.relance("serve")
        await until(lambda: answers(self.port) or not child.alive, START_S, "the API to answer")
        assert child.alive, child.tail()
        return child

    async def capture(self, *, delay_ms: int = 0) -> Child:
        """The mail server in whose ledger the mails stand; workers that start from now on send to it."""
        words = ("-m", "messaging.capture", "--ledger", str(self.mails), "--delay-ms", str(delay_ms))
        child = self._python("capture", words, {"RELANCE_CAPTURE_SECRET": SECRET})
        self.environment["RELANCE_CAPTURE_PORT"] = str(await self._port_of(child))
        self.environment["RELANCE_CAPTURE_SECRET"] = SECRET
        return child

    async def receiver(self) -> str:
        """The webhook receiver with a ledger of its own; returns the start of its endpoints' addresses."""
        words = ("-m", "support.ledgers", "--ledger", str(self.hooks), "--secrets", str(self.secrets))
        return f"http://127.0.0.1:{await self._port_of(self._python('receiver', words, {}))}/hooks/"

    @property
    def secrets(self) -> Path:
        """Where the receiver reads the endpoints' secrets, by the last part of their address."""
        return self.folder / "secrets"

    def captured(self) -> Sequence[Entry]:
        """Every mail that the sink took."""
        return read_ledger(self.mails)

    def hooked(self) -> Sequence[Hook]:
        """Every webhook that the receiver took."""
        return read_hooks(self.hooks)

    def close(self) -> None:
        """End what runs and forget the folder."""
        for child in self.children:
            child.close()
        if self._embedded is not None:
            self._embedded.use.end()
        servers.stop(self.data_dir)
        shutil.rmtree(self.folder)

    def _python(self, name: str, words: Sequence[str], more: dict[str, str]) -> Child:
        def start(_: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, *words], stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
                env=os.environ | PATHS | more,
            )  # fmt: skip

        return self._child(name, start)

    def _child(self, name: str, start: Callable[[Path, IO[bytes]], subprocess.Popen[bytes] | Forked]) -> Child:
        log = self.folder / f"{name}-{len(self.children)}.log"
        with log.open("ab") as output:
            child = Child(log.stem, start(log, output), log)
        self.children.append(child)
        return child

    async def _port_of(self, child: Child) -> int:
        await child.until_says('"port":')
        found = re.search(rb'"port": ?([0-9]+)', child.log.read_bytes())
        assert found is not None
        return int(found[1])


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def living(pids: Sequence[int]) -> list[psutil.Process]:
    """Those that run; a zombie waits for its parent only."""
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


async def until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait until something is so; fails after the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited {limit_s:.0f} s for {what}"
        await anyio.sleep(POLL_S)
