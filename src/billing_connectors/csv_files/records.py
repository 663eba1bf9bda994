"""Split a CSV into records: its encoding, its lines, its quotes, each within stated sizes."""

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import Final, TextIO

from msgspec import Struct

from billing_connectors.documents.canonical import Rejected

MAX_BYTES: Final = 100 * 1024 * 1024
MAX_LINE: Final = 64 * 1024  # characters, of a line and of a record that quotes spread over several
MAX_RECORD_LINES: Final = 50
MAX_COLUMNS: Final = 200
_CHUNK: Final = 1024 * 1024
_NOT_TEXT: Final = (b"PK\x03\x04", b"%PDF-", b"\xd0\xcf\x11\xe0")  # XLSX and ZIP, PDF, XLS
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Record(Struct, frozen=True):
    """One record, with the line that it begins on; `refused` says why it has no cells."""

    line: int
    cells: list[str]
    refused: str | None = None
    exact: frozenset[int] = frozenset()  # cells that are numbers of a typed format, written with a decimal point
    computed: frozenset[int] = frozenset()  # cells that hold what a formula has given
    present: frozenset[int] | None = None  # the cells that a record without fixed columns has


def encoding_of(content: bytes, declared: str) -> str:
    """The encoding that the whole content can be decoded with, or a refusal.

    A byte order mark says it; else UTF-8, which other encodings do not pass for; else what Windows tools write.
    """
    if len(content) > MAX_BYTES:
        raise Rejected("too_large", f"a CSV is read up to {MAX_BYTES} bytes", format="csv")
    if content.startswith(_NOT_TEXT):
        raise Rejected("unsupported_format", "not a text file: export the table as CSV", format="csv")
    marked = next((name for bom, name in _BOMS if content.startswith(bom)), None)
    for name in [marked] if marked else ["utf-8", "windows-1252"] if declared == "auto" else [declared]:
        if (name.startswith("utf-16") or b"\0" not in content) and _decodes(content, name):
            return name
    raise Rejected("bad_encoding", "the text cannot be decoded; declare its encoding", format="csv")


def _decodes(content: bytes, name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    view = memoryview(content)
    try:
        for start in range(0, len(content), _CHUNK):
            decoder.decode(view[start : start + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def lines(stream: TextIO) -> Iterator[tuple[int, str | None]]:
    """The lines with their numbers and their endings; nothing in place of an overlong one."""
    number = 0
    while text := stream.readline(MAX_LINE):
        number += 1
        if len(text) == MAX_LINE and not text.endswith(("\n", "\r")):
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(("\n", "\r")):
                pass
            yield number, None
        else:
            yield number, text


def records(content: bytes, encoding: str, delimiter: str) -> Iterator[Record]:
    """The records of a whole file, blank ones left out."""
    return records_in(io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline=""), delimiter)


def records_in(stream: TextIO, delimiter: str) -> Iterator[Record]:
    """The records, blank ones left out, from a text stream that translates no line ends.

    A quote that is never closed must not swallow the rest of the file: the line that opened it is refused, and
    reading goes on with the next.
    """
    source = lines(stream)
    ahead: deque[tuple[int, str | None]] = deque()
    while (first := _next(ahead, source)) is not None:
        number, text = first
        if text is None:
            yield Record(number, [], "line_too_long")
            continue
        if not text.strip():
            continue
        taken: deque[tuple[int, str | None]] = deque()
        joined = text
        cells = _split(joined, delimiter)
        while cells is None and len(taken) < MAX_RECORD_LINES and (more := _next(ahead, source)) is not None:
            taken.append(more)
            if more[1] is None or len(joined) + len(more[1]) > MAX_LINE:
                break
            joined += more[1]
            cells = _split(joined, delimiter) if '"' in more[1] else None
        if cells is None:
            ahead.extendleft(reversed(taken))
            yield Record(number, [], "open_quote")
        elif len(cells) > MAX_COLUMNS:
            yield Record(number, [], "too_many_columns")
        elif any(cell.strip() for cell in cells):
            yield Record(number, cells)


def _next(
    ahead: deque[tuple[int, str | None]], source: Iterator[tuple[int, str | None]]
) -> tuple[int, str | None] | None:
    return ahead.popleft() if ahead else next(source, None)


def _split(text: str, delimiter: str) -> list[str] | None:
    """The cells of one record; nothing while a quote is open."""
    try:
        return next(iter(csv.reader([text], delimiter=delimiter, strict=True)))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
    # Quotes that follow no rule, as in 3" or "a"b: the cells are taken as they stand.
    return next(iter(csv.reader([text], delimiter=delimiter)))
