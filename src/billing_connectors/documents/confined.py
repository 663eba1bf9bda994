"""Read strangers' files in a process of its own, which has no environment, no files to write, and stated limits.

The readers bound what they can; what a hostile PDF makes its library do is bounded here: beyond the seconds or the
memory the process is ended, the document is refused, and the next one gets a new process.
"""

import json
import struct
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from billing_connectors.documents import markup, pdf
from billing_connectors.documents.canonical import Document, Refusal, Rejected
from billing_connectors.documents.limits import allow_cpu, confine
from billing_connectors.documents.reading import read_document

READ_S: Final = 8.0
START_S: Final = 60.0  # importing the readers, on a machine that is busy
MEMORY_BYTES: Final = 500 * 1024 * 1024  # of addresses, so that the resident part is smaller still
MAX_CONTENT: Final = max(pdf.MAX_BYTES, markup.MAX_BYTES)
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from billing_connectors.documents import confined; confined.serve(sys.stdin.buffer, sys.stdout.buffer)"
)
_LENGTH: Final = struct.Struct(">I")
_READY: Final = b"ready"


class Answer(msgspec.Struct, frozen=True):
    """What the confined process says of one file."""

    document: Document | None = None
    refusal: Refusal | None = None


class ConfinedReader:
    """Reads one file at a time in a confined process, which it starts when first needed and ends on exit.

    >>> with ConfinedReader() as reader:
    ...     reader.read(b"hello").reason
    'unsupported_format'
    """

    def __init__(self, *, read_s: float = READ_S) -> None:
        self._read_s = read_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def read(self, content: bytes) -> Document | Refusal:
        """The document in a file, or why there is none."""
        if len(content) > MAX_CONTENT:
            return Refusal(reason="too_large", detail=f"a file is read up to {MAX_CONTENT} bytes")
        with self._lock:
            body = self._ask(content)
            if body is None:
                self._end()
                return Refusal(reason="too_complex", detail=f"reading asked for more than {self._read_s:g} s or memory")
        answer = msgspec.msgpack.decode(body, type=Answer)
        return answer.document or answer.refusal or Refusal(reason="unreadable")

    def _ask(self, content: bytes) -> bytes | None:
        """The answer of the process, or nothing where it had to be ended."""
        process = self._running()
        pipe_in, pipe_out = _pipes(process)
        with _ended_after(self._read_s, process):
            try:
                _put(pipe_in, content)
                return _get(pipe_out)
            except OSError:  # the process died while it was written to
                return None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        process = self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        with _ended_after(START_S, process):
            if _get(_pipes(process)[1]) != _READY:
                raise RuntimeError("the process that reads documents does not start")
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # closes its pipes and waits for it
                pass


@contextmanager
def _ended_after(seconds: float, process: subprocess.Popen[bytes]) -> Generator[None]:
    """End the process when the block takes longer, and let a block that follows find it ended for certain."""
    expired = threading.Event()

    def end() -> None:
        expired.set()
        process.kill()

    clock = threading.Timer(seconds, end)
    clock.start()
    try:
        yield
    finally:
        clock.cancel()
        clock.join()
        if expired.is_set():
            process.wait()


def serve(pipe_in: IO[bytes], pipe_out: IO[bytes]) -> None:
    """Answer one file after the other, until the input ends: the life of the confined process."""
    confine(MEMORY_BYTES)
    _put(pipe_out, _READY)
    while (content := _get(pipe_in)) is not None:
        allow_cpu(2 * READ_S)  # should nobody be left to end this process
        try:
            answer = Answer(document=read_document(content))
        except Rejected as rejected:
            answer = Answer(refusal=rejected.refusal)
        _put(pipe_out, msgspec.msgpack.encode(answer))


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    return process.stdin, process.stdout


def _put(pipe: IO[bytes], body: bytes) -> None:
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def _get(pipe: IO[bytes]) -> bytes | None:
    """One message, or nothing at the end of the stream or before the end of a message."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    return body if len(body) == length else None
