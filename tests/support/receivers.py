"""A webhook receiver on loopback: it verifies with a library that is not ours, keeps a ledger, and misbehaves on order.

`receiver.plan("/hook", status(500), hang())` answers the first request 500, the second not, all others 204.
"""

import asyncio
import binascii
import ssl
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY: Final = 2 * 1024 * 1024
CHUNK: Final = 64 * 1024


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    verified: bool  # its signature, by standardwebhooks

    @property
    def webhook_id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass
class Receiver:
    """What arrived, what was accepted (answered 2xx by plan and verified), and what is still planned."""

    port: int = 0
    scheme: str = "http"
    secret: str | None = None
    received: list[Received] = field(default_factory=list["Received"])
    accepted: list[Received] = field(default_factory=list["Received"])
    connections: int = 0
    most_at_once: Counter[str] = field(default_factory=Counter[str])  # by path
    released: asyncio.Event = field(default_factory=asyncio.Event)  # lets `hang` go on
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: Counter[str] = field(default_factory=Counter[str])
    _plans: dict[str, deque["Behaviour"]] = field(default_factory=lambda: defaultdict(deque[Behaviour]))
    _defaults: dict[str, "Behaviour"] = field(default_factory=dict[str, "Behaviour"])

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def plan(self, path: str, *behaviours: "Behaviour") -> None:
        """Answer the next requests to a path so, one each; afterwards 204."""
        self._plans[path].extend(behaviours)

    def always(self, path: str, behaviour: "Behaviour") -> None:
        """Answer every request to a path so, once its plan is used up."""
        self._defaults[path] = behaviour

    def duplicates(self) -> list[str]:
        """Ids accepted more than once."""
        counts = Counter(entry.webhook_id for entry in self.accepted)
        return [key for key, count in counts.items() if count > 1]

    async def until_received(self, count: int) -> None:
        """Wait until so many requests have arrived in all."""
        while len(self.received) < count:
            self.arrived.clear()
            await self.arrived.wait()

    def next_behaviour(self, path: str) -> "Behaviour":
        planned = self._plans[path]
        return planned.popleft() if planned else self._defaults.get(path, NO_CONTENT)


@dataclass(frozen=True)
class Exchange:
    """The connection and the request that a behaviour answers."""

    receiver: Receiver
    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass(frozen=True)
class Behaviour:
    """How to answer; `accepts` says whether a verified request enters the ledger, `closes` ends the connection."""

    act: Callable[[Exchange], Awaitable[None]]
    accepts: bool = False
    closes: bool = False


def head_of(code: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """Answer at once."""
    length = {} if code == HTTPStatus.NO_CONTENT else {"Content-Length": str(len(body))}

    async def act(exchange: Exchange) -> None:
        await exchange.send(head_of(code, {**length, **(headers or {})}) + body)

    return Behaviour(act, accepts=200 <= code < 300)


def too_many(retry_after: str) -> Behaviour:
    return status(429, {"Retry-After": retry_after})


def redirect(location: str, code: int = 302) -> Behaviour:
    return status(code, {"Location": location})


def hang() -> Behaviour:
    """Answer nothing until the receiver is released or the caller is gone, then 204; the ledger has it at once."""

    async def act(exchange: Exchange) -> None:
        released = asyncio.ensure_future(exchange.receiver.released.wait())
        gone = asyncio.ensure_future(exchange.reader.read(1))
        try:
            await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ConnectionResetError
        finally:
            released.cancel()
            gone.cancel()
            await asyncio.wait({released, gone})
        await exchange.send(head_of(204, {}))

    return Behaviour(act, accepts=True)


def drip(code: int = 200, *, in_headers: bool = False) -> Behaviour:
    """Send the answer a few bytes at a time and never finish it."""

    async def act(exchange: Exchange) -> None:
        begun = b"HTTP/1.1 200 OK\r\n" if in_headers else head_of(code, {"Content-Length": "1000000"})
        await exchange.send(begun)
        while not exchange.receiver.released.is_set():
            await exchange.send(b"X-A: a\r\n" if in_headers else b"drop")
            with suppress(TimeoutError):
                await asyncio.wait_for(exchange.receiver.released.wait(), 0.01)

    return Behaviour(act, closes=True)


def large_body(size: int, code: int = 200, *, chunked: bool = False) -> Behaviour:
    """Send a body of so many bytes, for as long as the other side reads."""

    async def act(exchange: Exchange) -> None:
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(size)}
        await exchange.send(head_of(code, length))
        for sent in range(0, size, CHUNK):
            piece = b"x" * min(CHUNK, size - sent)
            await exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            await exchange.send(b"0\r\n\r\n")

    return Behaviour(act, accepts=True, closes=True)


def reset(after: bytes = b"") -> Behaviour:
    """Say so much, then reset the connection."""

    async def act(exchange: Exchange) -> None:
        if after:
            await exchange.send(after)
        exchange.writer.transport.abort()

    return Behaviour(act, closes=True)


def raw(data: bytes) -> Behaviour:
    """Send these bytes, HTTP or not, and close."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(data)

    return Behaviour(act, closes=True)


NO_CONTENT: Final = status(204)


@asynccontextmanager
async def open_receiver(
    secret: str | None = None, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncGenerator[Receiver]:
    """Listen on a free port of loopback until the end of the block."""
    receiver = Receiver(secret=secret, scheme="https" if tls else "http")
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        receiver.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await _answer_one(receiver, reader, writer):
                    pass
        finally:
            serving.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    receiver.port = int(server.sockets[0].getsockname()[1])
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)
        await server.wait_closed()


async def _answer_one(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    request = await _read(receiver, reader)
    path = request.path
    receiver.received.append(request)
    receiver.arrived.set()
    behaviour = receiver.next_behaviour(path)
    receiver.at_once[path] += 1
    receiver.most_at_once[path] = max(receiver.most_at_once[path], receiver.at_once[path])
    if behaviour.accepts and request.verified:
        receiver.accepted.append(request)
    try:
        await behaviour.act(Exchange(receiver, request, reader, writer))
    finally:
        receiver.at_once[path] -= 1
    return not behaviour.closes


async def _read(receiver: Receiver, reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    length = int(headers.get("content-length", "0"))
    assert length <= MAX_BODY
    body = await reader.readexactly(length)
    return Received(path, headers, body, _verifies(receiver.secret, body, headers))


def _verifies(secret: str | None, body: bytes, headers: dict[str, str]) -> bool:
    if secret is None:
        return False
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError, binascii.Error):  # the library lets garbage escape as the latter two
        return False
    return True
