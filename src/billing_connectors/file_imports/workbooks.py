"""Read the rows of a workbook (Office Open XML, ECMA-376 part 1, chapter 18) as it is unpacked, a row at a time.

Numbers keep the digits that the file has, to the fifteen that a spreadsheet counts with; nothing passes through a
binary float. A DTD, a macro and a package beyond stated sizes are refused; formulas are never calculated: the value
that the spreadsheet has kept is taken, with a warning.
"""

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import IO, Final
from xml.parsers import expat  # a DTD is refused, so that there are no entities

from billing_connectors.csv_files.records import MAX_COLUMNS, Record
from billing_connectors.documents.canonical import Rejected

MAX_ENTRIES: Final = 2_000
MAX_SHEET: Final = 1024 * 1024 * 1024  # bytes, unpacked: a million rows of a dozen columns have 600 MB
MAX_STRINGS: Final = 128 * 1024 * 1024
MAX_SMALL: Final = 20 * 1024 * 1024  # of what says how the workbook is made up
MAX_CELL: Final = 32_767  # characters, as the format has it
MAX_SHEETS: Final = 200
_CHUNK: Final = 64 * 1024
_DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
_MAX_EXPONENT: Final = 30
_EPOCH: Final = date(1899, 12, 30)  # day 0 after the format's 29 February 1900, which never was
_EPOCH_1904: Final = date(1904, 1, 1)
_MAX_SERIAL: Final = 2_958_465  # 9999-12-31
_LEAP_BUG: Final = 60
_DATE_FORMATS: Final = frozenset({*range(14, 18), 22, *range(27, 37), *range(50, 59)})  # built in (18.8.30)
_NOT_FORMAT: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})\d{1,7}", re.ASCII)
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
ERROR: Final = "\x1a"  # stands before an error value or in place of a formula that nobody has calculated


class Workbook:
    """A workbook in an open file; its sheets are read one after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        """Look at what the package holds. Raises Rejected."""
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise _refused("unreadable", "the workbook's package is damaged") from error
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            raise _refused("too_complex", f"a workbook has at most {MAX_ENTRIES} parts")
        self._entries = {posixpath.normpath(entry.filename.replace("\\", "/")).lstrip("/"): entry for entry in entries}
        if any(entry.flag_bits & 1 for entry in entries):
            raise _refused("encrypted", "the workbook is protected by a password")
        if any(name.lower().endswith("vbaproject.bin") for name in self._entries):
            raise _refused("macros", "the workbook holds macros: save it as .xlsx")
        if "xl/workbook.xml" not in self._entries:
            raise _refused("unsupported_format", "the package is no workbook")
        self._epoch = _EPOCH
        self._paths = self._sheets()
        self._dates = self._date_styles()
        self._strings: list[str] | None = None

    def sheets(self) -> Iterator[Iterator[Record]]:
        """The records of each visible sheet, in order."""
        for path in self._paths:
            yield self._rows(path)

    def _open(self, path: str, limit: int) -> Iterator[bytes]:
        entry = self._entries.get(path)
        if entry is None:
            return
        if entry.file_size > limit:
            raise _refused("too_large", f"a part of the workbook unpacks to more than {limit} bytes")
        left = limit
        try:
            with self._zip.open(entry) as stream:
                while chunk := stream.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise _refused("too_large", f"a part of the workbook unpacks to more than {limit} bytes")
                    yield chunk
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, RuntimeError, ValueError) as error:
            raise _refused("unreadable", "a part of the workbook is damaged") from error

    def _each(self, path: str, start: Callable[[str, dict[str, str]], None]) -> None:
        """Look at each element of a small part."""
        parser = _parser()
        parser.StartElementHandler = lambda name, attributes: start(_local(name), attributes)
        _fed(parser, self._open(path, MAX_SMALL))

    def _sheets(self) -> list[str]:
        targets: dict[str, str] = {}
        self._each("xl/_rels/workbook.xml.rels", lambda name, of: _note_target(name, of, targets))
        found: list[str] = []

        def start(name: str, of: dict[str, str]) -> None:
            if name == "workbookPr" and of.get("date1904", "0") in {"1", "true"}:
                self._epoch = _EPOCH_1904
            if name == "sheet" and of.get("state", "visible") == "visible" and len(found) < MAX_SHEETS:
                target = targets.get(of.get(f"{_RELATIONS} id", ""))
                if target is not None:
                    found.append(target)

        self._each("xl/workbook.xml", start)
        if not found:
            raise _refused("empty_file", "the workbook has no visible sheet")
        return found

    def _date_styles(self) -> frozenset[int]:
        """The cell formats that show a number as a day."""
        own: dict[int, bool] = {}
        formats: list[int] = []
        inside = [False]

        def start(name: str, of: dict[str, str]) -> None:
            if name == "numFmt":
                own[_int(of.get("numFmtId"))] = _shows_day(of.get("formatCode", ""))
            elif name in {"cellXfs", "cellStyleXfs", "dxfs", "cellStyles"}:
                inside[0] = name == "cellXfs"
            elif name == "xf" and inside[0]:
                formats.append(_int(of.get("numFmtId")))

        self._each("xl/styles.xml", start)
        return frozenset(place for place, number in enumerate(formats) if own.get(number, number in _DATE_FORMATS))

    def _shared(self) -> list[str]:
        """The texts that cells refer to; the phonetic readings beside them are left out."""
        if self._strings is None:
            found: list[str] = []
            parts: list[str] = []
            state = {"t": False, "ph": False}

            def start(name: str, _: dict[str, str]) -> None:
                local = _local(name)
                if local == "si":
                    parts.clear()
                elif local in {"rPh", "phoneticPr"}:
                    state["ph"] = True
                elif local == "t":
                    state["t"] = not state["ph"]

            def end(name: str) -> None:
                local = _local(name)
                if local == "si":
                    found.append(_plain("".join(parts)))
                elif local in {"rPh", "phoneticPr"}:
                    state["ph"] = False
                elif local == "t":
                    state["t"] = False

            def text(data: str) -> None:
                if state["t"]:
                    parts.append(data)

            parser = _parser()
            parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
            _fed(parser, self._open("xl/sharedStrings.xml", MAX_STRINGS))
            self._strings = found
        return self._strings

    def _rows(self, path: str) -> Iterator[Record]:
        sheet = _Sheet(self._shared(), self._dates, self._epoch)
        parser = _parser()
        parser.StartElementHandler, parser.EndElementHandler = sheet.start, sheet.end
        parser.CharacterDataHandler = sheet.text
        for chunk in self._open(path, MAX_SHEET):
            _feed(parser, chunk)
            yield from sheet.taken()
        _feed(parser, b"", final=True)
        yield from sheet.taken()


class _Sheet:
    """The rows of one sheet, as its elements go by (18.3.1.73 `row`, 18.3.1.4 `c`)."""

    def __init__(self, strings: list[str], dates: frozenset[int], epoch: date) -> None:
        self._strings, self._dates, self._epoch = strings, dates, epoch
        self._done: list[Record] = []
        self._line = 0
        self._cells: list[str] = []
        self._exact: set[int] = set()
        self._computed: set[int] = set()
        self._too_wide = False
        self._place = 0
        self._kind, self._style = "n", 0
        self._value: list[str] = []
        self._has_formula = self._reading = False

    def taken(self) -> list[Record]:
        """The rows that are complete by now."""
        found, self._done = self._done, []
        return found

    def start(self, name: str, of: dict[str, str]) -> None:
        local = _local(name)
        if local in {"v", "t"}:
            self._reading = True
        elif local == "c":
            self._begin_cell(of)
        elif local == "f":
            self._has_formula = True
        elif local == "row":
            self._line = max(_int(of.get("r")), self._line + 1) if "r" in of else self._line + 1
            self._cells, self._exact, self._computed, self._too_wide = [], set(), set(), False
            self._place = -1

    def text(self, data: str) -> None:
        if self._reading:
            self._value.append(data)

    def end(self, name: str) -> None:
        local = _local(name)
        if local in {"v", "t"}:
            self._reading = False
        elif local == "c":
            self._end_cell()
        elif local == "row":
            self._end_row()

    def _begin_cell(self, of: dict[str, str]) -> None:
        match = _REFERENCE.fullmatch(of.get("r", ""))
        self._place = _column(match[1]) if match else self._place + 1
        self._kind, self._style = of.get("t", "n"), _int(of.get("s"))
        self._value = []
        self._has_formula = False

    def _end_cell(self) -> None:
        raw = "".join(self._value)[: MAX_CELL + 1]
        text, exact = self._read(raw)
        if not text:
            return
        if self._place >= MAX_COLUMNS:
            self._too_wide = True
            return
        if self._place >= len(self._cells):
            self._cells.extend([""] * (self._place + 1 - len(self._cells)))
        self._cells[self._place] = text
        if exact:
            self._exact.add(self._place)
        if self._has_formula:
            self._computed.add(self._place)

    def _read(self, raw: str) -> tuple[str, bool]:  # noqa: PLR0911 - a line a type
        if self._has_formula and not raw and self._kind != "str":
            return f"{ERROR}formula", False
        match self._kind:
            case "s":
                place = _int(raw)
                return (self._strings[place] if 0 <= place < len(self._strings) else f"{ERROR}damaged"), False
            case "e":
                return f"{ERROR}{raw[:20]}", False
            case "b":
                return ("true" if raw == "1" else "false"), False
            case "d":
                return raw[:10], False
            case "str" | "inlineStr":
                return _plain(raw), False
            case _:
                return self._number(raw.strip())

    def _number(self, raw: str) -> tuple[str, bool]:
        if not raw:
            return "", False
        try:
            number = _DIGITS.create_decimal(raw)
        except InvalidOperation:
            return f"{ERROR}damaged", False
        if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
            return f"{ERROR}damaged", False
        if self._style in self._dates:
            found = self._day(number)
            return (found or f"{ERROR}no day"), False
        plain = format(number.normalize(), "f")
        return ("0" if plain in {"-0", ""} else plain), True

    def _day(self, number: Decimal) -> str | None:
        serial = int(number)
        if self._epoch == _EPOCH and 0 < serial < _LEAP_BUG:
            serial += 1
        if number < 0 or serial > _MAX_SERIAL - 1_462:
            return None
        return (self._epoch + timedelta(days=serial)).isoformat()

    def _end_row(self) -> None:
        if self._too_wide:
            self._done.append(Record(self._line, [], "too_many_columns"))
        elif any(cell.strip() for cell in self._cells):
            computed = frozenset(self._computed)
            self._done.append(Record(self._line, self._cells, exact=frozenset(self._exact), computed=computed))


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def doctype(*_: object) -> None:
        raise _refused("forbidden_dtd", "a part of the workbook declares a document type")

    parser.StartDoctypeDeclHandler = doctype
    return parser


def _fed(parser: expat.XMLParserType, chunks: Iterator[bytes]) -> None:
    some = False
    for chunk in chunks:
        some = True
        _feed(parser, chunk)
    if some:
        _feed(parser, b"", final=True)


def _feed(parser: expat.XMLParserType, chunk: bytes, *, final: bool = False) -> None:
    try:
        parser.Parse(chunk, final)
    except expat.ExpatError as error:
        raise _refused("malformed_xml", "a part of the workbook is no well-formed XML") from error


def _refused(reason: str, detail: str) -> Rejected:
    return Rejected(reason, detail, format="xlsx")


def _note_target(name: str, of: dict[str, str], targets: dict[str, str]) -> None:
    if name == "Relationship" and of.get("TargetMode", "Internal") != "External":
        target = of.get("Target", "")
        path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
        targets[of.get("Id", "")] = path


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _int(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - int32


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _plain(text: str) -> str:
    """A text without the marks that are ours, and with the format's own escapes resolved (18.4.12, 22.9.2.19)."""
    found = text[:MAX_CELL].replace(ERROR, " ")
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: _escaped(int(match[1], 16)), found) if "_x" in found else found


def _escaped(code: int) -> str:
    return " " if code < 32 or 0xD800 <= code <= 0xDFFF else chr(code)  # noqa: PLR2004 - control characters, surrogates


def _shows_day(code: str) -> bool:
    plain = _NOT_FORMAT.sub("", code.partition(";")[0]).lower()
    return "y" in plain or "d" in plain
