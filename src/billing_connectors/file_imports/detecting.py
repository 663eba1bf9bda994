"""Say how a file is written and what its columns probably mean: by evidence over a sample, doubts named.

Nothing is decided here: the answer proposes a mapping, which a person or a program confirms.
"""

import io
import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import IO, Final, Literal, cast

from msgspec import Struct, field
from rapidfuzz import fuzz, process
from stdnum.fr import siren, siret

from billing_connectors.csv_files import cells
from billing_connectors.csv_files.layout import DELIMITERS, HEADER_WITHIN
from billing_connectors.csv_files.mapping import CsvMapping, DateOrder, Field, built_in, comparable, missing_fields
from billing_connectors.csv_files.records import Record, records
from billing_connectors.documents.canonical import Rejected
from billing_connectors.documents.fields import Unreadable, email_address
from billing_connectors.file_imports.formats import FileFormat
from billing_connectors.file_imports.tables import HEAD, encoding_in, whole_lines
from billing_connectors.file_imports.workbooks import ERROR, Workbook

SAMPLE: Final = 2_000
SHOWN: Final = 3
MAX_SHOWN: Final = 60
_ALIKE: Final = 88.0  # of rapidfuzz's ratio: one letter of a header may be wrong
_THOUSANDS: Final = {" ": "space", "\u00a0": "nbsp", "\u202f": "nnbsp", ".": "dot", ",": "comma", "'": "apostrophe"}
_GROUP: Final = re.compile(r"\d([ \u00a0\u202f.,'\u2019])\d{3}(?!\d)")
_DIGITS: Final = re.compile(r"\d")

Confidence = Literal["certain", "likely", "possible"]


class Question(Struct, frozen=True):
    """Which file is to be looked at."""

    format: FileFormat
    is_utf8: bool


class Column(Struct, frozen=True, kw_only=True):
    """One column: its header, what stands below it, what it probably means."""

    place: int  # counted from 0
    header: str
    samples: list[str]
    field: Field | None
    confidence: Confidence | None


class Detection(Struct, frozen=True, kw_only=True, tag=True):
    """How a file is written, what its columns probably mean, and what has to be decided by somebody."""

    format: FileFormat
    encoding: str
    encoding_confidence: Confidence
    delimiter: str | None
    header_line: int
    columns: list[Column]
    decimal: Literal[",", "."] | None
    thousands: list[str]
    dates: DateOrder | None
    dates_ambiguous: bool  # every date of the sample can be read day first and month first
    currencies: list[str]
    negatives: list[Literal["minus", "trailing_minus", "parentheses"]]
    missing: list[str]  # what an import needs and no column gives
    warnings: list[str]
    mapping: CsvMapping | None  # where nothing is missing


class _Seen(Struct):
    """The beginning of a file."""

    sampled: list[Record]
    header: Record
    encoding: str = ""
    confidence: Confidence = "certain"
    delimiter: str | None = None
    warnings: list[str] = field(default_factory=list[str])


def detect(stream: IO[bytes], question: Question) -> Detection:
    """Look at a file. Raises Rejected where it is no table."""
    match question.format:
        case FileFormat.CSV:
            seen = _csv(stream, question)
        case FileFormat.NDJSON:
            seen = _ndjson(stream)
        case FileFormat.XLSX:
            seen = _workbook(stream)
    below = [record for record in seen.sampled if record.line > seen.header.line and record.refused is None]
    columns = _columns(seen.header.cells, [record.cells for record in below])
    return _concluded(question, seen, columns, below)


def _csv(stream: IO[bytes], question: Question) -> _Seen:
    head = stream.read(HEAD)
    encoding = encoding_in(head, declared="auto", is_utf8=question.is_utf8)
    content = whole_lines(head, encoding)
    best: tuple[float, str, list[Record], Record] | None = None
    for delimiter in DELIMITERS:
        sampled = list(islice(records(content, "utf-8", delimiter), SAMPLE))
        header = _header_of(sampled)
        if header is None:
            continue
        width = len(header.cells)
        below = [record for record in sampled if record.line > header.line]
        even = sum(len(record.cells) == width for record in below) / max(len(below), 1)
        known = len(_known(header.cells))
        score = known * 2 + even * 3 + (width > 1) * 2
        if best is None or score > best[0]:
            best = score, delimiter, sampled, header
    if best is None:
        raise Rejected("header_not_found", "the file has no row of headers", format="csv")
    confidence: Confidence = "certain" if question.is_utf8 or encoding.startswith("utf") else "likely"
    warnings = ["encoding_guessed"] if confidence != "certain" else []
    return _Seen(best[2], best[3], encoding, confidence, best[1], warnings)


def _ndjson(stream: IO[bytes]) -> _Seen:
    text = io.TextIOWrapper(io.BytesIO(whole_lines(stream.read(HEAD), "utf-8-sig")), encoding="utf-8")
    keys: dict[str, int] = {}
    objects: list[dict[str, object]] = []
    for line in islice(text, SAMPLE):
        try:
            found = json.loads(line, parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            one = cast("dict[str, object]", found)
            objects.append(one)
            for key in one:
                if len(keys) < 500:  # noqa: PLR2004 - as many headers as a mapping names
                    keys.setdefault(key, len(keys))
    if not keys:
        raise Rejected("header_not_found", "no line is a JSON object", format="ndjson")
    sampled = [Record(place, [_said(one.get(key)) for key in keys]) for place, one in enumerate(objects, start=1)]
    return _Seen(sampled, Record(0, list(keys)), "utf-8")


def _said(value: object) -> str:
    return "" if value is None else str(value)[:200]


def _workbook(stream: IO[bytes]) -> _Seen:
    best: tuple[int, list[Record], Record] | None = None
    for sheet in Workbook(io.BytesIO(stream.read())).sheets():
        sampled = list(islice(sheet, SAMPLE))
        header = _header_of(sampled)
        if header is not None and (best is None or len(_known(header.cells)) > best[0]):
            best = len(_known(header.cells)), sampled, header
    if best is None:
        raise Rejected("header_not_found", "the workbook has no row of headers", format="xlsx")
    warnings = ["formulas"] if any(record.computed for record in best[1]) else []
    return _Seen(best[1], best[2], "utf-8", warnings=warnings)


def _header_of(sampled: Sequence[Record]) -> Record | None:
    """The row with the most headers that we know, else the first full row of words."""
    above = [record for record in sampled[:HEADER_WITHIN] if record.cells]
    known = max(above, key=lambda record: len(_known(record.cells)), default=None)
    if known is not None and len(_known(known.cells)) > 1:
        return known
    width = max((len(record.cells) for record in sampled), default=0)
    for record in above:
        filled = [cell for cell in record.cells if cell.strip()]
        if len(filled) * 4 >= width * 3 and not any(_DIGITS.search(cell) for cell in filled):
            return record
    return known


_GENERIC: Final = built_in("generic")
_SYNONYMS: Final[dict[str, Field]] = {comparable(header): meant for header, meant in _GENERIC.columns.items()}
_RANKS: Final = {header: place for place, header in enumerate(_SYNONYMS)}


def _known(headers: Iterable[str]) -> set[Field]:
    return {_SYNONYMS[each] for each in (comparable(header[:200]) for header in headers) if each in _SYNONYMS}


def _columns(headers: Sequence[str], below: Sequence[Sequence[str]]) -> list[Column]:
    """Each column with its meaning: each field once, given to the column that bears it best."""
    meant: dict[int, tuple[Field, Confidence]] = {}
    taken: set[Field] = set()
    guesses: list[tuple[int, int, int, Field, Confidence]] = []
    for place, header in enumerate(headers):
        word = comparable(header[:200])
        values = [row[place].strip() for row in below[:200] if place < len(row) and row[place].strip()]
        if word in _SYNONYMS:
            guesses.append((0, _RANKS[word], place, _SYNONYMS[word], "certain"))
            continue
        alike = process.extractOne(word, list(_SYNONYMS), scorer=fuzz.ratio, score_cutoff=_ALIKE) if word else None
        if alike is not None:
            guesses.append((1, _RANKS[alike[0]], place, _SYNONYMS[alike[0]], "likely"))
        elif (shape := _by_shape(values)) is not None:
            guesses.append((2, place, place, shape, "possible"))
    for _, _, place, wanted, confidence in sorted(guesses):
        if wanted not in taken and place not in meant:
            taken.add(wanted)
            meant[place] = wanted, confidence
    return [
        Column(
            place=place,
            header=header.strip()[:200],
            samples=_samples(below, place),
            field=meant[place][0] if place in meant else None,
            confidence=meant[place][1] if place in meant else None,
        )
        for place, header in enumerate(headers)
    ]


def _by_shape(values: Sequence[str]) -> Field | None:
    """What a column is whose content can only be one thing."""
    plain = ["".join(value.split()) for value in values]
    shapes: dict[Field, bool] = {
        "buyer_email": all(email_address(value) for value in values),
        "buyer_siret": all(siret.is_valid(value) for value in plain),
        "buyer_siren": all(siren.is_valid(value) for value in plain),
    }
    return next((found for found, fits in shapes.items() if fits and values), None)


def _samples(below: Sequence[Sequence[str]], place: int) -> list[str]:
    found = (row[place].strip() for row in below if place < len(row) and row[place].strip())
    return list(islice((cell.replace(ERROR, "#")[:MAX_SHOWN] for cell in dict.fromkeys(found)), SHOWN))


_AMOUNTS: Final = frozenset({"total", "amount_due", "paid", "tax"})
_DAYS: Final = frozenset({"issued_on", "due_on"})


def _concluded(question: Question, seen: _Seen, columns: list[Column], below: list[Record]) -> Detection:
    money = [
        record.cells[each.place]
        for each in columns
        if each.field in _AMOUNTS
        for record in below
        if each.place < len(record.cells) and each.place not in record.exact and record.cells[each.place].strip()
    ]
    days = [
        record.cells[each.place]
        for each in columns
        if each.field in _DAYS
        for record in below
        if each.place < len(record.cells) and record.cells[each.place].strip()
    ]
    decimal, dates = cells.decimal_of(money), cells.date_order_of(days)
    missing = missing_fields({each.field for each in columns if each.field is not None})
    either_way = _either_way(days)
    currencies = _currencies(money)
    # Month first is written with a point and a comma between the cells, and not in euros.
    is_european = decimal == "," or seen.delimiter == ";" or bool(currencies & {"EUR", "GBP"})
    ambiguous = either_way and not is_european
    warnings = list(seen.warnings)
    if either_way:
        warnings.append("dates_ambiguous" if ambiguous else "dates_by_custom")
    if dates is None and days:
        warnings.append("dates_mixed")
    if decimal is None and money and any(_unclear(text) for text in money):
        warnings.append("decimal_unclear")
    if any(each.confidence in {"likely", "possible"} for each in columns):
        warnings.append("columns_guessed")
    return Detection(
        format=question.format,
        encoding=seen.encoding,
        encoding_confidence=seen.confidence,
        delimiter=seen.delimiter,
        header_line=seen.header.line,
        columns=columns,
        decimal=decimal,
        thousands=sorted({_THOUSANDS.get(mark, "apostrophe") for text in money for mark in _groups(text, decimal)}),
        dates=dates,
        dates_ambiguous=ambiguous,
        currencies=sorted(currencies),
        negatives=_negatives(money),
        missing=missing,
        warnings=warnings,
        mapping=None if missing else _mapping(seen, columns, dates, ambiguous=ambiguous),
    )


def _mapping(seen: _Seen, columns: list[Column], dates: DateOrder | None, *, ambiguous: bool) -> CsvMapping:
    declared: dict[str, Field] = {
        each.header[:100]: each.field for each in columns if each.field is not None and each.header
    }
    delimiter = cast("Literal['auto', ';', ',', '\t', '|']", seen.delimiter or "auto")
    return CsvMapping(
        columns=declared,
        delimiter=delimiter,
        dates="auto" if dates is None or ambiguous else dates,
        kinds=_GENERIC.kinds,
        assumed_currency=_GENERIC.assumed_currency,
    )


def _either_way(days: Sequence[str]) -> bool:
    """Whether there are dates with the year last, and none shows which of the other two numbers is the day."""
    read = [cells.both_readings(text) for text in days]
    unclear = any(first and second and first != second for first, second in read)
    return unclear and not any((first is None) != (second is None) for first, second in read)


def _unclear(text: str) -> bool:
    try:
        cells.amount(text, None)
    except cells.Ambiguous:
        return True
    except Unreadable:
        return False
    return False


def _groups(text: str, decimal: str | None) -> Iterable[str]:
    return (mark for mark in _GROUP.findall(text) if mark != decimal)


def _currencies(money: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for text in money:
        try:
            read = cells.amount(text, None)
        except cells.Ambiguous:
            found |= {code for symbol, code in cells.SYMBOLS.items() if symbol in text}
            continue
        except Unreadable:
            continue
        if read.currency is not None:
            found.add(read.currency)
    return found


def _negatives(money: Iterable[str]) -> list[Literal["minus", "trailing_minus", "parentheses"]]:
    found: set[Literal["minus", "trailing_minus", "parentheses"]] = set()
    for text in money:
        plain = text.replace("\u2212", "-").strip(" \u00a0\u202f€£ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if plain.startswith("("):
            found.add("parentheses")
        elif plain.startswith("-"):
            found.add("minus")
        elif plain.endswith("-"):
            found.add("trailing_minus")
    return sorted(found)
