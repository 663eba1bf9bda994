"""A receiver that answers 204 as fast as Python can, or after a delay, and keeps a tally.

`python -m bench.sink DELAY_S` prints its port.
"""

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
    """How many were posted, under how many ids, and the sum of the bodies' checksums, which no order changes."""

    count: int
    distinct: int
    checksum: int


class Sink:
    """The receiver, as its user sees it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def tally(self) -> Tally:
        """What came since the last call."""
        with urllib.request.urlopen(f"{self.url}/tally", timeout=10) as answer:  # noqa: S310 - our own address
            return Tally(**json.load(answer))


@contextmanager
def open_sink(*, delay_s: float = 0.0) -> Generator[Sink]:
    """A sink in a process of its own."""
    program = [sys.executable, "-m", "bench.sink", str(delay_s)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Sink(int(process.stdout.readline()))
        finally:
            process.terminate()


class _Counting:
    def __init__(self) -> None:
        self.delay_s = 0.0
        self.start_again()

    def start_again(self) -> None:
        self.count = self.checksum = 0
        self.seen: set[bytes] = set()


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

    def _answer(self) -> None:
        if not self._transport.is_closing():  # the caller may have been killed meanwhile
            self._transport.write(_NOTHING)

    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"webhook-id":
            self._counting.seen.add(value)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        counting = self._counting
        if self._url != b"/tally":
            counting.count += 1
            counting.checksum += zlib.crc32(self._body)
            if counting.delay_s:
                asyncio.get_running_loop().call_later(counting.delay_s, self._answer)
            else:
                self._transport.write(_NOTHING)
            return
        said = json.dumps(
            {"count": counting.count, "distinct": len(counting.seen), "checksum": counting.checksum}
        ).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(said), said)
        )
        self._transport.close()
        counting.start_again()


async def _serve(delay_s: float) -> None:
    counting = _Counting()
    counting.delay_s = delay_s
    server = await asyncio.get_running_loop().create_server(lambda: _Receiver(counting), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(float(sys.argv[1])))
