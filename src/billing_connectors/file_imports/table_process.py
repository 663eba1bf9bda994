"""Read strangers' tables in a process of its own, which has no environment, no files to write, and stated limits.

The parent passes the file on in pieces, as it gets them, and takes the rows in batches: neither holds the whole, and
while the database works on one batch the next is read. A process that takes longer for a batch than it may is ended.
"""

import asyncio
import io
import json
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import IO, Any, Final

import msgspec

from billing_connectors.documents.canonical import Refusal, Rejected
from billing_connectors.documents.limits import allow_cpu, confine
from billing_connectors.file_imports import detecting, rows
from billing_connectors.file_imports.detecting import Detection, Question
from billing_connectors.file_imports.rows import Ended, Order, Said

BATCH_S: Final = 60.0  # for one batch, the first look at a workbook among them
START_S: Final = 60.0
MEMORY_BYTES: Final = 1024 * 1024 * 1024  # of addresses: a workbook of 256 MiB, its texts, and what reads them
MAX_FRAME: Final = 256 * 1024 * 1024
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from billing_connectors.file_imports import table_process; "
    "table_process.serve(sys.stdin.buffer, sys.stdout.buffer)"
)
_LENGTH: Final = struct.Struct(">I")
_READY: Final = b"ready"
_END: Final = _LENGTH.pack(0)


class Asked(msgspec.Struct, frozen=True):
    """What a process is started for: to read rows, or to say what a file looks like."""

    order: Order | None = None
    question: Question | None = None


async def read(order: Order, pieces: AsyncIterator[bytes], *, batch_s: float = BATCH_S) -> AsyncGenerator[Said]:
    """The rows of a file whose pieces come one after the other. Ends with `Ended`, whatever becomes of the process."""
    decoder = msgspec.msgpack.Decoder(Said)
    async with aclosing(_frames(Asked(order=order), pieces, batch_s)) as frames:
        async for frame in frames:
            said = decoder.decode(frame)
            yield said
            if isinstance(said, Ended):
                return
    yield Ended(_too_complex(batch_s))


async def look(question: Question, pieces: AsyncIterator[bytes], *, batch_s: float = BATCH_S) -> Detection:
    """What a file looks like. Raises Rejected."""
    refusal = _too_complex(batch_s)
    async with aclosing(_frames(Asked(question=question), pieces, batch_s)) as frames:
        async for frame in frames:
            said = msgspec.msgpack.decode(frame, type=Detection | Ended)
            if isinstance(said, Detection):
                return said
            refusal = said.refusal or refusal
    raise Rejected(refusal.reason, refusal.detail, format=refusal.format)


def _too_complex(batch_s: float) -> Refusal:
    return Refusal(reason="too_complex", detail=f"reading asked for more than {batch_s:g} s a batch, or memory")


async def _frames(asked: Asked, pieces: AsyncIterator[bytes], batch_s: float) -> AsyncGenerator[bytes]:
    """What a process of its own answers, frame by frame, until it ends or has to be ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BOOT, json.dumps(sys.path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={},
        limit=1 << 20,
    )  # fmt: skip
    assert process.stdin is not None  # noqa: S101 - narrows the type: both are pipes
    assert process.stdout is not None  # noqa: S101 - likewise
    feeding = asyncio.create_task(_feed(process.stdin, asked, pieces))
    try:
        if await _frame(process.stdout, START_S) != _READY:
            raise RuntimeError("the process that reads tables does not start")
        while (frame := await _frame(process.stdout, batch_s)) is not None:
            yield frame
        if feeding.done():
            feeding.result()  # a database that went away while it was read from is told, not taken for a bad file
    finally:
        feeding.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(asyncio.CancelledError, Exception):
            await feeding
        await process.wait()


async def _feed(pipe: asyncio.StreamWriter, asked: Asked, pieces: AsyncIterator[bytes]) -> None:
    try:
        _put_async(pipe, msgspec.msgpack.encode(asked))
        async for piece in pieces:
            if piece:
                _put_async(pipe, piece)
                await pipe.drain()
        pipe.write(_END)
        await pipe.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # it has seen enough
    finally:
        pipe.close()


def _put_async(pipe: asyncio.StreamWriter, body: bytes) -> None:
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)


async def _frame(pipe: asyncio.StreamReader, within_s: float) -> bytes | None:
    """One frame, or nothing where the process has ended or takes too long."""
    try:
        async with asyncio.timeout(within_s):
            (length,) = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))
            return await pipe.readexactly(length) if length <= MAX_FRAME else None
    except (asyncio.IncompleteReadError, TimeoutError):
        return None


def serve(pipe_in: IO[bytes], pipe_out: IO[bytes]) -> None:
    """Answer what is asked: the life of the confined process."""
    confine(MEMORY_BYTES)
    _put(pipe_out, _READY)
    asked = msgspec.msgpack.decode(_Pieces(pipe_in).next() or b"", type=Asked)
    stream = io.BufferedReader(_Pieces(pipe_in), 1 << 20)
    if asked.question is not None:
        allow_cpu(2 * BATCH_S)
        try:
            _put(pipe_out, msgspec.msgpack.encode(detecting.detect(stream, asked.question)))
        except Rejected as rejected:
            _put(pipe_out, msgspec.msgpack.encode(Ended(rejected.refusal)))
    elif asked.order is not None:
        allow_cpu(2 * BATCH_S)  # should nobody be left to end this process
        for said in rows.read_rows(stream, asked.order):
            _put(pipe_out, msgspec.msgpack.encode(said))
            allow_cpu(2 * BATCH_S)


class _Pieces(io.RawIOBase):
    """The pieces of the file, as one stream."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._left = pipe, memoryview(b"")

    def next(self) -> bytes | None:
        """One whole piece, or nothing at the end."""
        head = self._pipe.read(_LENGTH.size)
        if len(head) < _LENGTH.size or head == _END:
            return None
        (length,) = _LENGTH.unpack(head)
        return self._pipe.read(length)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # Any: a writable buffer
        if not self._left:
            self._left = memoryview(self.next() or b"")
        view = memoryview(buffer)
        count = min(len(view), len(self._left))
        view[:count], self._left = self._left[:count], self._left[count:]
        return count


def _put(pipe: IO[bytes], body: bytes) -> None:
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()
