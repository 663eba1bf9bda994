"""A receiver that answers 204 as fast as Python can and keeps a tally; `python -m bench.sink` prints its port."""

import asyncio
import json
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, cast

import httptools
import uvloop
from msgspec import Struct

_NOTHING: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


class Tally(Struct, frozen=True):
    """How many were posted, and the sum of the bodies' checksums: the same bodies in any order, the same sum."""

    count: int
    checksum: int


class Sink:
    """The receiver, as its user sees it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def tally(self) -> Tally:
        """What came since the last call."""
        with urllib.request.urlopen(f"{self.url}/tally", timeout=10) as answer:
            return Tally(**json.load(answer))


@contextmanager
def open_sink() -> Generator[Sink]:
    """A sink in a process of its own."""
    with subprocess.Popen([sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Sink(int(process.stdout.readline()))
        finally:
            process.terminate()


class _Counting:
    def __init__(self) -> None:
        self.count = self.checksum = 0


class _Receiver(asyncio.Protocol):
    """One connection: httptools parses, nothing is kept but the tally."""

    def __init__(self, counting: _Counting) -> None:
        self._counting = counting
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url != b"/tally":
            self._counting.count += 1
            self._counting.checksum += zlib.crc32(self._body)
            self._transport.write(_NOTHING)
            return
        said = json.dumps({"count": self._counting.count, "checksum": self._counting.checksum}).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(said), said))
        self._transport.close()
        self._counting.count = self._counting.checksum = 0


async def _serve() -> None:
    counting = _Counting()
    server = await asyncio.get_running_loop().create_server(lambda: _Receiver(counting), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
