import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from messaging.capture.__main__ import SECRET_VARIABLE
from messaging.capture.ledger import Entry, FileSink, read_ledger
from messaging.capture.server import MAX_BYTES, MAX_CONNECTIONS, CaptureServer, Received
from messaging.channels.email.sending import EmailChannel
from messaging.channels.email.settings import SmtpSettings
from messaging.channels.port import Outcome
from tests.messaging.conformance import new_copy

SECRET = "a secret of this deployment"
SOURCE = Path(__file__).resolve().parents[2] / "src"


class Kept:
    def __init__(self) -> None:
        self.mails: list[tuple[Received, bytes]] = []
        self.full = False

    async def accept(self, envelope: Received, content: bytes) -> None:
        if self.full:
            raise OSError("no room")
        self.mails.append((envelope, content))


def mail(number: int, size: int = 0) -> bytes:
    return b"Message-ID: <%d@relance.example>\r\nSubject: x\r\n\r\n%b\r\n" % (number, b"x" * 70 + b"\r\n" * (size // 2))


async def send(port: int, *contents: bytes, secret: str | None = None) -> list[Outcome]:
    settings = SmtpSettings(
        host="127.0.0.1",
        port=port,
        security="none",
        username=None if secret is None else "tnt_1",
        password=secret,
        connections=1,
    )
    copies = [new_copy(f"claire@{number}.example", content) for number, content in enumerate(contents)]
    return await EmailChannel(settings).send(copies)


async def test_mails_are_kept_byte_for_byte_with_who_sent_them() -> None:
    kept = Kept()
    async with CaptureServer(kept, secret=SECRET) as server:
        outcomes = await send(server.port, mail(1), mail(2) + b"..\r\n.dot\r\n", secret=SECRET)
    assert [outcome.state for outcome in outcomes] == ["sent", "sent"]
    assert [content for _, content in kept.mails] == [mail(1), mail(2) + b"..\r\n.dot\r\n"]
    sender, recipients = "bounces@relance.example", ("claire@0.example",)
    assert kept.mails[0][0] == Received(login="tnt_1", sender=sender, recipients=recipients)


async def test_only_who_knows_the_secret_is_let_in() -> None:
    kept = Kept()
    async with CaptureServer(kept, secret=SECRET) as server:
        for secret in (None, "", "another secret"):
            (outcome,) = await send(server.port, mail(1), secret=secret)
            assert (outcome.state, outcome.code) == ("retry", "login_refused")
    assert kept.mails == []


async def test_what_the_sink_cannot_keep_comes_again() -> None:
    kept = Kept()
    kept.full = True
    async with CaptureServer(kept) as server:
        (outcome,) = await send(server.port, mail(1))
        assert (outcome.state, outcome.code) == ("retry", "content_deferred")
        assert "no room" not in outcome.detail  # whose storage it is stays inside
        kept.full = False
        assert [outcome.state for outcome in await send(server.port, mail(1))] == ["sent"]


async def test_a_mail_that_is_too_large_is_refused() -> None:
    kept = Kept()
    async with CaptureServer(kept) as server:
        outcomes = await send(server.port, mail(1, MAX_BYTES), mail(2))
    assert [(outcome.state, outcome.code) for outcome in outcomes] == [("failed", "too_large"), ("sent", "accepted")]
    assert len(kept.mails) == 1


async def test_connections_are_counted() -> None:
    async with CaptureServer(Kept()) as server:
        readers: list[asyncio.StreamReader] = []
        writers: list[asyncio.StreamWriter] = []
        for _ in range(MAX_CONNECTIONS + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            readers.append(reader)
            writers.append(writer)
        greetings = [await reader.readline() for reader in readers]
        assert sum(greeting.startswith(b"220 ") for greeting in greetings) == MAX_CONNECTIONS
        assert sum(greeting.startswith(b"421 ") for greeting in greetings) == 1
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_nobody_outside_reaches_it() -> None:
    async with CaptureServer(Kept()) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=2):
            pass
        for family, outside in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as other:
                other.settimeout(2)
                assert other.connect_ex((outside, server.port)) != 0


async def test_the_ledger_has_every_accepted_mail_once(tmp_path: Path) -> None:
    with FileSink(tmp_path / "ledger") as sink:
        async with CaptureServer(sink) as server:
            await send(server.port, *(mail(number) for number in range(5)))
    entries = read_ledger(tmp_path / "ledger")
    assert [entry.message_id for entry in entries] == [f"<{number}@relance.example>" for number in range(5)]
    assert {(entry.sender, entry.size) for entry in entries} == {("bounces@relance.example", len(mail(0)))}


def test_a_line_cut_short_is_no_entry(tmp_path: Path) -> None:
    whole = Entry(message_id="<1@a>", sender="a@a", recipients=(), size=1, sha256="00")
    (tmp_path / "ledger").write_bytes(msgspec.json.encode(whole) + b'\n{"message_id": "<2')
    assert read_ledger(tmp_path / "ledger") == [whole]


@asynccontextmanager
async def ledger_process(ledger: Path, *options: str) -> AsyncGenerator[tuple[asyncio.subprocess.Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "messaging.capture", "--ledger", str(ledger), *options,
        env=os.environ | {"PYTHONPATH": str(SOURCE), SECRET_VARIABLE: SECRET}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        told = msgspec.json.decode(await process.stdout.readline(), type=dict[str, str | int])
        assert told["host"] == "127.0.0.1"
        yield process, int(told["port"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_ledger_as_a_process_ends_when_told(tmp_path: Path) -> None:
    async with ledger_process(tmp_path / "ledger", "--delay-ms", "1") as (process, port):
        outcomes = await send(port, mail(1), mail(2), secret=SECRET)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert [outcome.state for outcome in outcomes] == ["sent", "sent"]
    assert len(read_ledger(tmp_path / "ledger")) == 2


async def test_what_the_ledger_accepted_survives_its_death(tmp_path: Path) -> None:
    async with ledger_process(tmp_path / "ledger") as (process, port):
        outcomes = await send(port, mail(1), secret=SECRET)
        process.kill()
    assert [outcome.state for outcome in outcomes] == ["sent"]
    assert [entry.message_id for entry in read_ledger(tmp_path / "ledger")] == ["<1@relance.example>"]
