"""One way to read a table, whatever its file format: a layout, then records with their lines.

Runs in the confined process (`table_process`), over a stream that is read once and never held whole, except for a
workbook, whose package must be.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import chain, islice
from typing import IO, Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from billing_connectors.csv_files.layout import SAMPLE, Layout, header_among, laid_out, layout_in
from billing_connectors.csv_files.mapping import CsvMapping, Field, comparable, missing_fields
from billing_connectors.csv_files.records import MAX_LINE, Record, records_in
from billing_connectors.documents.canonical import Rejected
from billing_connectors.file_imports.formats import FileFormat
from billing_connectors.file_imports.workbooks import ERROR, Workbook

MAX_ROWS: Final = 1_000_000
HEAD: Final = 4 * 1024 * 1024  # bytes that show how a text is written
_GUESS: Final = 256 * 1024
_WINDOWS: Final = "windows-1252"
_GUESSES: Final = [_WINDOWS, "iso-8859-15", "mac_roman", "cp850", "windows-1250"]
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_BOM: Final = "\ufeff"
_LOST: Final = "\ufffd"
_NUMBER: Final = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_MAX_EXPONENT: Final = 30


class TableSpec(Struct, frozen=True, kw_only=True):
    """How a file is to be read; without a layout, it is found first."""

    format: FileFormat
    is_utf8: bool
    mapping: CsvMapping
    layout: Layout | None = None


class Table(Struct, frozen=True):
    """The layout of a file, and its records below the header."""

    layout: Layout
    records: Iterator[Record]


def open_table(stream: IO[bytes], spec: TableSpec) -> Table:
    """Open a file. Raises Rejected where it cannot be read with the mapping at all."""
    match spec.format:
        case FileFormat.CSV:
            table = _open_csv(stream, spec)
        case FileFormat.NDJSON:
            table = _open_ndjson(stream, spec)
        case FileFormat.XLSX:
            table = _open_workbook(stream, spec)
    return Table(table.layout, _at_most(_without_headers(table), MAX_ROWS))


def _at_most(found: Iterable[Record], limit: int) -> Iterator[Record]:
    for count, record in enumerate(found):
        if count == limit:
            raise Rejected("too_many_rows", f"an import reads at most {limit} rows: split the file")
        yield record


def _without_headers(table: Table) -> Iterator[Record]:
    """Files that were put one behind the other repeat their header."""
    header = [cell for cell in table.layout.header if cell]
    for record in table.records:
        if header and record.cells and record.cells[0].strip() == table.layout.header[0]:
            cells = [cell.strip()[:200] for cell in record.cells if cell.strip()]
            if cells == header:
                continue
        yield record


class _Joined(io.RawIOBase):
    """What was read ahead, then the rest of the stream."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # Any: a writable buffer
        view = memoryview(buffer)
        if self._head:
            count = min(len(view), len(self._head))
            view[:count], self._head = self._head[:count], self._head[count:]
            return count
        chunk = self._rest.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)


def _open_csv(stream: IO[bytes], spec: TableSpec) -> Table:
    head = stream.read(HEAD)
    encoding = encoding_in(head, declared=spec.mapping.encoding, is_utf8=spec.is_utf8)
    layout = spec.layout
    if layout is None:
        layout = replace(layout_in(whole_lines(head, encoding), "utf-8", spec.mapping), encoding=encoding)
    text = _text(_Joined(head, stream), layout.encoding)
    may_be_lost = not (spec.is_utf8 and layout.encoding.startswith("utf-8"))
    below = (
        _checked(record, may_be_lost=may_be_lost)
        for record in records_in(text, layout.delimiter)
        if record.line > layout.header_line
    )
    return Table(layout, below)


def _text(stream: io.RawIOBase, encoding: str) -> io.TextIOWrapper:
    # What cannot be decoded refuses its row, not the file.
    return io.TextIOWrapper(io.BufferedReader(stream, 1 << 18), encoding=encoding, errors="replace", newline="")


def whole_lines(head: bytes, encoding: str) -> bytes:
    """The whole lines at the beginning of a text, in UTF-8."""
    text = head.decode(encoding, errors="replace")
    if len(head) == HEAD:
        text = text[: text.rfind("\n") + 1] or text
    return text.encode("utf-8", errors="replace")


def encoding_in(head: bytes, *, declared: str, is_utf8: bool) -> str:
    """The encoding of a text: its mark says it, else the mapping, else UTF-8 where all of it is, else a guess."""
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None)
    if marked is not None:
        return marked
    if declared != "auto":
        return declared
    sample = head[:_GUESS]
    zeros = sample.count(0)
    if zeros > len(sample) // 5:  # every other byte of a Western text in UTF-16
        return "utf-16-le" if sample[1::2].count(0) > zeros // 2 else "utf-16-be"
    if is_utf8:
        return "utf-8"
    # The bytes that say which it is: with all the ASCII around them, every guess looks like a good one.
    telling = b"\n".join(line for line in sample.split(b"\n") if not line.isascii()) or sample
    import charset_normalizer  # noqa: PLC0415 - only where it is needed: a process starts for each file

    best = charset_normalizer.from_bytes(telling[:_GUESS], cp_isolation=_GUESSES).best()
    if best is None or _reads_well(telling, _WINDOWS) >= _reads_well(telling, best.encoding):
        return _WINDOWS
    return best.encoding


_LETTERS: Final = frozenset("éèêëàâäùûüôöîïçÉÈÊÀÂÔÎÇœŒæ€°ñÑßáíóúÁÍÓÚ²’«»")


def _reads_well(telling: bytes, encoding: str) -> float:
    """How many of the characters beyond ASCII are those that French and its neighbours write."""
    text = [character for character in telling.decode(encoding, errors="replace") if character > "\x7f"]
    return sum(character in _LETTERS for character in text) / max(len(text), 1)


def _checked(record: Record, *, may_be_lost: bool) -> Record:
    joined = "\x1f".join(record.cells)
    if "\0" in joined:
        return Record(record.line, [cell.replace("\0", " ") for cell in record.cells], "nul")
    if may_be_lost and _LOST in joined:
        return Record(record.line, record.cells, "undecodable")
    if _BOM in joined:
        return replace(record, cells=[cell.replace(_BOM, "") for cell in record.cells])
    return record


class _Exact(str):
    """A number as JSON writes it."""

    __slots__ = ()


def _open_ndjson(stream: IO[bytes], spec: TableSpec) -> Table:
    """Each line is an object; its keys are looked up as the headers of a CSV are."""
    fields: dict[str, Field] = {comparable(header): field for header, field in spec.mapping.columns.items()}
    rank = {header: place for place, header in enumerate(fields)}
    order = list(dict.fromkeys(fields.values()))
    text = _text(_Joined(b"", stream), "utf-8-sig")
    found = _objects(text, fields, rank, {field: place for place, field in enumerate(order)})
    layout = spec.layout
    if layout is None:
        sampled = list(islice(found, SAMPLE))
        seen = {place for record in sampled for place in record.present or ()}
        missing = missing_fields({field for place, field in enumerate(order) if place in seen})
        if missing:
            needed = " and ".join(missing)
            raise Rejected("header_not_found", f"no line has a key for {needed}", format="ndjson")
        names: dict[Field, str] = {}
        for header, field in spec.mapping.columns.items():
            names.setdefault(field, header)
        header = Record(0, [names[field] for field in order])
        layout = laid_out(sampled, spec.mapping, header, {field: place for place, field in enumerate(order)})
        found = chain(sampled, found)
    return Table(layout, found)


def _objects(
    text: io.TextIOBase, fields: dict[str, Field], rank: dict[str, int], places: dict[Field, int]
) -> Iterator[Record]:
    number = 0
    known: dict[str, str | None] = {}
    while line := text.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith("\n"):
            while (rest := text.readline(MAX_LINE)) and not rest.endswith("\n"):
                pass
            yield Record(number, [], "line_too_long")
            continue
        if not line.strip():
            continue
        content = _object(line)
        if content is None:
            yield Record(number, [line[:1_000].strip()], "not_an_object")
            continue
        taken: dict[int, tuple[int, str, bool]] = {}
        for key, value in content.items():
            if key not in known and len(known) < 10_000:  # noqa: PLR2004 - a file of random keys is not remembered
                known[key] = comparable(key[:200])
            header = known.get(key) or comparable(key[:200])
            if header not in fields or value is None:
                continue
            place = places[fields[header]]
            best = (rank[header], *_cell(value))
            taken[place] = min(best, taken.get(place, best))
        cells = [""] * len(places)
        for place, (_, cell, _) in taken.items():
            cells[place] = cell
        exact = frozenset(place for place, (_, _, is_exact) in taken.items() if is_exact)
        yield _checked_object(Record(number, cells, exact=exact, present=frozenset(taken)))


def _object(line: str) -> dict[str, object] | None:
    try:
        content = json.loads(line, parse_float=_Exact, parse_int=_Exact, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    found = cast("dict[str, object]", content)
    return found if all(value is None or isinstance(value, str | bool) for value in found.values()) else None


def _no_number(text: str) -> object:
    raise ValueError(text)


def _cell(value: object) -> tuple[str, bool]:
    if isinstance(value, _Exact):
        if _NUMBER.fullmatch(value):
            return str(value), True
        try:
            number = Decimal(value)
        except InvalidOperation:
            return str(value)[:100], False
        return (format(number, "f"), True) if abs(number.adjusted()) <= _MAX_EXPONENT else (str(value)[:100], False)
    if isinstance(value, bool):
        return ("true" if value else "false"), False
    return str(value), False


def _checked_object(record: Record) -> Record:
    joined = "\x1f".join(record.cells)
    if "\0" in joined or _LOST in joined or any("\ud800" <= character <= "\udfff" for character in joined):
        cells = [cell.replace("\0", " ").encode("utf-8", errors="replace").decode() for cell in record.cells]
        return Record(record.line, cells, "nul" if "\0" in joined else "undecodable")
    return record


def _open_workbook(stream: IO[bytes], spec: TableSpec) -> Table:
    """The first visible sheet that has the columns."""
    refusal: Rejected | None = None
    workbook = Workbook(io.BytesIO(stream.read()))
    for found in workbook.sheets():
        sampled = list(islice(found, SAMPLE))
        try:
            header, places = header_among(sampled, spec.mapping)
        except Rejected as rejected:
            refusal = refusal or rejected
            continue
        layout = spec.layout or laid_out(sampled, spec.mapping, header, places)
        mapped = frozenset(places.values())
        below = (_usable(record, mapped) for record in chain(sampled, found) if record.line > header.line)
        return Table(layout, below)
    raise refusal or Rejected("header_not_found", "the workbook has no row", format="xlsx")


def _usable(record: Record, mapped: frozenset[int]) -> Record:
    """An error or a formula without a value refuses its row where it is asked for, and is blank elsewhere."""
    bad = [place for place, cell in enumerate(record.cells) if cell.startswith(ERROR)]
    if not bad:
        return record
    cells = [cell.replace(ERROR, "") for cell in record.cells]
    asked = [record.cells[place] for place in bad if place in mapped]
    if asked:
        return Record(record.line, cells, "formula" if f"{ERROR}formula" in asked else "error_value")
    for place in bad:
        cells[place] = ""
    return replace(record, cells=cells)
