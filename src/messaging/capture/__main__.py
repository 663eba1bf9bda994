"""`python -m messaging.capture --port 0 --ledger FILE`: the ledger as a process of its own."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from messaging.capture.ledger import FileSink
from messaging.capture.server import HOST, CaptureServer, Received, Sink

SECRET_VARIABLE = "RELANCE_CAPTURE_SECRET"  # noqa: S105  # the variable's name


class _Slow:
    """Holds each mail back for a while before it is kept, so that a fault test finds mails in flight."""

    def __init__(self, sink: Sink, delay_s: float) -> None:
        self._sink = sink
        self._delay_s = delay_s

    async def accept(self, envelope: Received, content: bytes) -> None:
        await asyncio.sleep(self._delay_s)
        await self._sink.accept(envelope, content)


async def serve(sink: Sink, port: int) -> None:
    """Print where it listens, then serve until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with CaptureServer(sink, secret=os.environ.get(SECRET_VARIABLE), port=port) as server:
        sys.stdout.write(msgspec.json.encode({"host": HOST, "port": server.port}).decode() + "\n")
        sys.stdout.flush()
        await ended.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m messaging.capture", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--ledger", type=Path, required=True, help="file to which accepted mails are appended")
    parser.add_argument("--delay-ms", type=int, default=0, help="hold each mail back before it is kept")
    options = parser.parse_args()
    with FileSink(options.ledger) as sink:
        asyncio.run(serve(_Slow(sink, options.delay_ms / 1000) if options.delay_ms else sink, options.port))


if __name__ == "__main__":
    main()
