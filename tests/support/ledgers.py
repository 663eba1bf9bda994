"""A webhook receiver as a process of its own: `python -m support.ledgers --ledger FILE --secrets FILE`.

It verifies each call with a library that is not ours and answers 204 only once the line that tells of it is on the
disk: whatever the product believes after a crash, the ledger says which webhook arrived, and how often.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct
from standardwebhooks.webhooks import Webhook

MAX_BODY = 2 * 1024 * 1024
ANSWERS = {
    204: b"HTTP/1.1 204 No Content\r\n\r\n",
    400: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    503: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
}


class Hook(Struct, frozen=True):
    """One call: to whose address, which webhook about which object, and whether its signature was right."""

    whose: str
    webhook_id: str
    object_id: str
    verified: bool


def read_hooks(path: Path) -> Sequence[Hook]:
    """Every call, in order; a line cut short by a crash was never answered with 204 and is left out."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line, type=Hook) for line in whole.split(b"\n") if line]


class Ledger:
    """Appends lines and waits for the disk, for as many at once as have come meanwhile."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._wanted = asyncio.Event()

    async def keep(self, hook: Hook) -> None:
        """Returns once the line is safe."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((msgspec.json.encode(hook) + b"\n", kept))
        self._wanted.set()
        await kept

    async def write(self) -> None:
        """Run until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            batch, self._waiting = self._waiting, []
            os.write(self._file, b"".join(line for line, _ in batch))
            await asyncio.to_thread(os.fsync, self._file)
            for _, kept in batch:
                if not kept.done():
                    kept.set_result(None)


class Receiver:
    """Answers on loopback."""

    def __init__(self, ledger: Ledger, secrets: Path) -> None:
        self._ledger, self._secrets = ledger, secrets
        self._webhooks: dict[str, Webhook] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as many calls as it brings."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                writer.write(ANSWERS[await self._take(reader)])
                await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        length = int(headers.get("content-length", "0"))
        assert length <= MAX_BODY
        body = await reader.readexactly(length)
        whose = head[0].split(" ")[1].rpartition("/")[2]
        webhook = self._webhook(whose)
        if webhook is None:
            return 503
        try:
            webhook.verify(body, headers)
        except Exception:  # noqa: BLE001 - the library raises several kinds; none of them is a verified call
            await self._ledger.keep(Hook(whose, headers.get("webhook-id", ""), "", verified=False))
            return 400
        await self._ledger.keep(Hook(whose, headers["webhook-id"], str(json.loads(body)["object_id"]), verified=True))
        return 204

    def _webhook(self, whose: str) -> Webhook | None:
        if whose not in self._webhooks and self._secrets.exists():
            known: dict[str, str] = json.loads(self._secrets.read_bytes())
            self._webhooks = {name: Webhook(secret) for name, secret in known.items()}
        return self._webhooks.get(whose)


async def run(ledger: Path, secrets: Path) -> None:
    """Say the port, serve until the parent is gone."""
    kept = Ledger(ledger)
    writing = asyncio.create_task(kept.write())
    server = await asyncio.start_server(Receiver(kept, secrets).serve, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(os.read, 0, 1)  # ends with the pipe
    writing.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(run(options.ledger, options.secrets))
