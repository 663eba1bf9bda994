"""What the confined process says of the rows of a file, and how: read, mapped, in batches."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import IO, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from billing_connectors.csv_files.layout import Layout
from billing_connectors.csv_files.mapping import CsvMapping, Field
from billing_connectors.csv_files.reading import Cells, document_of, kinds_of, refusal_of
from billing_connectors.csv_files.records import Record
from billing_connectors.documents.canonical import MAX_ID, Document, Refusal, Rejected
from billing_connectors.file_imports.tables import TableSpec, open_table
from kernel.text import clean

MAX_KEPT: Final = 32 * 1024  # characters of a refused row that are kept


class Order(Struct, frozen=True, kw_only=True):
    """What the parent asks for: the rows after the first `skip`, so many a batch."""

    spec: TableSpec
    skip: int = 0
    batch: int = 1_000
    limit: int | None = None  # rows at most


class RowRead(Struct, frozen=True, array_like=True):
    """One row: the document that it is, or why it is none."""

    line: int
    cells: msgspec.Raw  # as the file has them, to be kept where the row is not taken
    document: Document | None = None
    said: bytes = b""  # the digest of the document
    refusal: Refusal | None = None
    number: str | None = None  # of a refused row, where it could be read


class Opened(Struct, frozen=True, tag=True):
    """The file can be read: this is how."""

    layout: Layout


class Rows(Struct, frozen=True, tag=True):
    """The next rows; the last batch is short or empty."""

    rows: list[RowRead]


class Ended(Struct, frozen=True, tag=True):
    """There are no more rows, or no more can be read."""

    refusal: Refusal | None = None


Said = Opened | Rows | Ended


def read_rows(stream: IO[bytes], order: Order) -> Iterator[Said]:
    """What the file says, batch by batch."""
    try:
        table = open_table(stream, order.spec)
        yield Opened(table.layout)
        mapping = mapping_with(order.spec.mapping, table.layout)
        records = islice(table.records, order.skip, None if order.limit is None else order.skip + order.limit)
        read = (row for row in _read(records, table.layout, mapping))
        while batch := list(islice(read, order.batch)):
            yield Rows(batch)
    except Rejected as rejected:
        yield Ended(rejected.refusal)
    else:
        yield Ended()


def mapping_with(mapping: CsvMapping, layout: Layout) -> CsvMapping:
    """The mapping with nothing left to be found."""
    return replace(mapping, decimal=layout.decimal or "auto", dates=layout.dates or "auto")


def _read(records: Iterator[Record], layout: Layout, mapping: CsvMapping) -> Iterator[RowRead]:
    kinds = kinds_of(mapping)
    encode = msgspec.msgpack.Encoder().encode
    for record in records:
        cells = msgspec.Raw(encode(_kept(record.cells)))
        if record.refused is not None:
            yield RowRead(record.line, cells, refusal=refusal_of(record.refused))
            continue
        try:
            document = document_of(Cells(record, layout), mapping, kinds)
        except Rejected as rejected:
            yield RowRead(record.line, cells, refusal=rejected.refusal, number=_number(record, layout))
            continue
        yield RowRead(record.line, cells, document, hashlib.sha256(encode(document)).digest())


def _kept(cells: list[str]) -> list[str]:
    return cells if sum(map(len, cells)) <= MAX_KEPT else [cell[:200] for cell in cells]


def _number(record: Record, layout: Layout) -> str | None:
    wanted: Field = "number"
    place = layout.places.get(wanted, len(record.cells))
    return (clean(record.cells[place], MAX_ID) or None) if place < len(record.cells) else None
