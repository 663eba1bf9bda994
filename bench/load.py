"""A client that costs little: bytes out, a status back, one request at a time on each of several connections."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

import httptools

TIMEOUT_S: Final = 60.0


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server has closed the connection"))

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer is not None:
            self._answer.set_result((self._parser.get_status_code(), self._body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and wait for its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """End the connection."""
        self._transport.close()


async def send_all(port: int, work: Sequence[Sequence[bytes]], *, expected: int) -> None:
    """Send each list of requests on a connection of its own, all lists at once; every answer is as expected."""
    loop = asyncio.get_running_loop()

    async def send(requests: Sequence[bytes]) -> None:
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        try:
            for request in requests:
                status, body = await connection.ask(request)
                assert status == expected, f"{status} {body[:500]!r}"
        finally:
            connection.close()

    async with asyncio.timeout(TIMEOUT_S * 5), asyncio.TaskGroup() as group:
        for requests in work:
            group.create_task(send(requests))
