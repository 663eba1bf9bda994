"""`relance demo`: the main job on real input, from import to payment, and the world that `relance up` keeps."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec.structs import replace

from billing_connectors.documents.report import Verdict
from cli.demo import companies, counting, playing, telling
from cli.demo.client import Client
from cli.demo.companies import Member
from cli.demo.counting import Summary
from cli.demo.receiver import Receiver
from cli.settings import Settings, read
from cli.stopping import run
from cli.supervising import start, stop_all
from cli.world import Servers, open_database, servers
from storage.database import Database

READY_S: Final = 30.0
KEY_FILE: Final = "demo-key"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON; progress goes to standard error.")
@click.option("--keep", is_flag=True, help="Keep the data folder afterwards and say where it is.")
def demo(*, as_json: bool, keep: bool) -> None:
    """Play 60 days of two companies on real documents, from import to payment."""

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    folder = Path(tempfile.mkdtemp(prefix="relance-"))
    try:
        counts, wrong = _run(replace(read(), data_dir=folder / "data"), say)
    finally:
        if keep:
            say(f"data folder: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        click.echo(msgspec.json.encode(counts).decode())
    for line in wrong:
        click.echo(f"WRONG: {line}", err=True)
    sys.exit(1 if wrong else 0)


def _run(settings: Settings, say: Callable[[str], None]) -> tuple[Summary, list[str]]:
    began = time.monotonic()
    say("starting PostgreSQL and Valkey")
    with servers(settings, fsync=False) as where, Receiver() as receiver, _port() as port:
        base = f"http://127.0.0.1:{port}"

        async def prepare() -> list[Member]:
            async with _opened(settings, where) as database:
                return [await companies.make(database, company) for company in companies.read_companies()]

        members = asyncio.run(prepare())
        environment = {
            "RELANCE_DATA_DIR": str(settings.data_dir),
            "RELANCE_PORT": str(port),
            "RELANCE_PUBLIC_URL": base,
            "RELANCE_ALLOW_PRIVATE": "127.0.0.0/8",
            "RELANCE_REQUESTS_PER_MINUTE": "100000",
        }
        log = settings.data_dir / "demo.log"
        with _processes(environment, [["serve"]], log):
            _wait_until_ready(base, log)
            actors = [playing.Actor(member, Client(base, member.key)) for member in members]
            _subscribe(actors, receiver)
            with _processes(environment, [["worker"], ["worker"]], log):
                statuses = asyncio.run(_import(settings, where, members, say))
                say("playing 60 days")
                playing.play(actors, say)
                counts, wrong = asyncio.run(_count(settings, where, members, statuses, receiver, began))
            _tell(actors[0].client, counts, say)
    return counts, wrong


def _subscribe(actors: Sequence[playing.Actor], receiver: Receiver) -> None:
    """A webhook endpoint for each company; its secret is shown once."""
    for actor in actors:
        slug = actor.member.company.slug
        made = actor.client.post("/v1/webhook_endpoints", {"url": receiver.url(slug), "types": ["*"]})
        receiver.trust(slug, made["secret"])


async def _import(
    settings: Settings, where: Servers, members: Sequence[Member], say: Callable[[str], None]
) -> Counter[str]:
    statuses: Counter[str] = Counter()

    def each(verdict: Verdict) -> None:
        statuses[verdict.status] += 1
        if verdict.status == "rejected":
            say(f"  refused {Path(verdict.file).name}: {verdict.reason}")

    async with _opened(settings, where) as database:
        for member in members:
            say(f"importing the documents of {member.company.name}")
            await companies.bring_documents(database, member, each)
    say(f"  {dict(statuses)}")
    return statuses


@asynccontextmanager
async def _opened(settings: Settings, where: Servers) -> AsyncGenerator[Database]:
    """The database for the length of one event loop."""
    database = open_database(settings, where, application="relance-demo")
    try:
        yield database
    finally:
        await database.close()


async def _count(  # noqa: PLR0917 - what the summary is made of
    settings: Settings,
    where: Servers,
    members: Sequence[Member],
    statuses: Counter[str],
    receiver: Receiver,
    began: float,
) -> tuple[Summary, list[str]]:
    async with _opened(settings, where) as database:
        tenant_ids = [member.tenant_id for member in members]
        await counting.settle(database, tenant_ids)
        tallies = [await counting.tally(database, tenant_id) for tenant_id in tenant_ids]
        in_review = sum([await counting.in_review(database, tenant_id) for tenant_id in tenant_ids])
    counts = counting.summary(tallies, statuses, receiver, in_review, time.monotonic() - began)
    return counts, counting.disagreements(tallies, receiver, counts)


def _tell(client: Client, counts: Summary, say: Callable[[str], None]) -> None:
    invoice = telling.richest(client)
    if invoice is not None:
        say(f"\nthe life of invoice {invoice['number']}")
        for line in telling.timeline(client, invoice):
            say(f"  {line}")
    say("\nwhat came of it")
    for line in telling.counted(counts):
        say(f"  {line}")
    say("\nwhat to try next")
    for line in telling.next_steps():
        say(f"  {line}")


@contextmanager
def _port() -> Generator[int]:
    """A free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield port


@contextmanager
def _processes(environment: dict[str, str], commands: Sequence[Sequence[str]], log: Path) -> Generator[None]:
    """Real processes, as in production; their logs go to a file."""
    children: list[subprocess.Popen[bytes]] = []
    with log.open("ab") as output:
        try:
            children += [start(command, environment=environment, output=output) for command in commands]
            yield
        finally:
            stop_all(children)


def _wait_until_ready(base: str, log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{base}/health/ready", timeout=1):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    tail = log.read_text("utf-8", "replace")[-2000:]
    raise TimeoutError(f"the API did not start:\n{tail}")


def ensure_world(settings: Settings, where: Servers) -> str | None:
    """The demo companies in the data folder of `relance up`: made at the first start; returns a key to the first."""
    kept = settings.data_dir / KEY_FILE

    async def work() -> str | None:
        async with _opened(settings, where) as database:
            missing = [each for each in companies.read_companies() if not await companies.exists(database, each)]
            members = [await companies.make(database, company) for company in missing]
            for member in members:
                click.echo(f"importing the documents of {member.company.name}")
                await companies.bring_documents(database, member, lambda _: None)
            return members[0].key if members else None

    if not companies.EXAMPLES.exists():
        return None
    made = run(work())
    if made is not None:
        descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(made)
    return kept.read_text("utf-8") if kept.exists() else None
