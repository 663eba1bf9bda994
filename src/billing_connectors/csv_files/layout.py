"""How one file is laid out: its encoding, delimiter, header, decimal mark and order of dates."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from billing_connectors.csv_files.cells import Decimal, date_order_of, decimal_of
from billing_connectors.csv_files.mapping import CsvMapping, DateOrder, Field, comparable, missing_fields
from billing_connectors.csv_files.records import Record, encoding_of, records
from billing_connectors.documents.canonical import Rejected

HEADER_WITHIN: Final = 30  # records: titles, filters and the name of the company may stand above
SAMPLE: Final = 5_000  # records that show how amounts and dates are written
DELIMITERS: Final = (";", ",", "\t", "|")
_AMOUNTS: Final[tuple[Field, ...]] = ("total", "amount_due", "paid", "tax")
_DAYS: Final[tuple[Field, ...]] = ("issued_on", "due_on")


class Layout(Struct, frozen=True, kw_only=True):
    """What `read_csv` needs to know before the first row."""

    encoding: str
    delimiter: str
    header_line: int
    width: int
    places: dict[Field, int]  # the column of each field
    headers: dict[Field, str]  # as the file writes it
    header: tuple[str, ...] = ()  # the whole row of them
    decimal: Decimal | None
    dates: DateOrder | None


def layout_of(content: bytes, mapping: CsvMapping) -> Layout:
    """The layout, or the reason why this file cannot be read with the mapping."""
    return layout_in(content, encoding_of(content, mapping.encoding), mapping)


def layout_in(content: bytes, encoding: str, mapping: CsvMapping) -> Layout:
    """The layout that the beginning of a file shows, or the reason why it cannot be read with the mapping."""
    fields: dict[str, Field] = {comparable(header): field for header, field in mapping.columns.items()}
    delimiters = DELIMITERS if mapping.delimiter == "auto" else (mapping.delimiter,)
    best: tuple[str, Record, dict[Field, int]] | None = None
    nearest: set[Field] = set()
    for delimiter in delimiters:
        for record in islice(records(content, encoding, delimiter), HEADER_WITHIN):
            places = _places(record.cells, fields)
            if len(places) > len(nearest):
                nearest = set(places)
            if not missing_fields(set(places)):
                if best is None or len(places) > len(best[2]):
                    best = delimiter, record, places
                break
    if best is None:
        missing = " and ".join(missing_fields(nearest))
        raise Rejected("header_not_found", f"no header row has a column for {missing}", format="csv")
    delimiter, header, places = best
    return laid_out(
        islice(records(content, encoding, delimiter), SAMPLE), mapping, header, places,
        encoding=encoding, delimiter=delimiter,
    )  # fmt: skip


def laid_out(
    sampled: Iterable[Record],
    mapping: CsvMapping,
    header: Record,
    places: dict[Field, int],
    *,
    encoding: str = "",
    delimiter: str = "",
) -> Layout:
    """The layout below a known header: how amounts and dates are written follows from the records sampled."""
    sample = [
        [cell if place not in record.exact else "" for place, cell in enumerate(record.cells)]
        for record in sampled
        if record.line > header.line and len(record.cells) >= len(header.cells)
    ]
    return Layout(
        encoding=encoding,
        delimiter=delimiter,
        header_line=header.line,
        width=len(header.cells),
        places=places,
        headers={field: header.cells[place].strip()[:100] for field, place in places.items()},
        header=tuple(cell.strip()[:200] for cell in header.cells),
        decimal=decimal_of(_column(sample, places, _AMOUNTS)) if mapping.decimal == "auto" else mapping.decimal,
        dates=date_order_of(_column(sample, places, _DAYS)) if mapping.dates == "auto" else mapping.dates,
    )


def header_among(found: Iterable[Record], mapping: CsvMapping) -> tuple[Record, dict[Field, int]]:
    """The first record with a column for everything that is needed. Raises Rejected."""
    fields: dict[str, Field] = {comparable(header): field for header, field in mapping.columns.items()}
    nearest: set[Field] = set()
    for record in islice(found, HEADER_WITHIN):
        places = _places(record.cells, fields)
        if len(places) > len(nearest):
            nearest = set(places)
        if not missing_fields(set(places)):
            return record, places
    missing = " and ".join(missing_fields(nearest))
    raise Rejected("header_not_found", f"no header row has a column for {missing}", format="csv")


def _places(cells: Sequence[str], fields: dict[str, Field]) -> dict[Field, int]:
    """The column of each field; of several, the one whose header the mapping declares first."""
    rank = {header: place for place, header in enumerate(fields)}
    found: dict[Field, tuple[int, int]] = {}
    for place, cell in enumerate(cells):
        header = comparable(cell[:200])
        if header in fields:
            candidate = (rank[header], place)
            found[fields[header]] = min(candidate, found.get(fields[header], candidate))
    return {field: place for field, (_, place) in found.items()}


def _column(sample: Sequence[Sequence[str]], places: dict[Field, int], wanted: Iterable[Field]) -> Iterable[str]:
    return (cells[places[field]] for field in wanted if field in places for cells in sample if cells[places[field]])
