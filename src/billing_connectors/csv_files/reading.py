"""Read a CSV row by row: each row is a document, or says why it is none."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from msgspec import Struct

from billing_connectors.csv_files import cells, identities
from billing_connectors.csv_files.layout import Layout, layout_of
from billing_connectors.csv_files.mapping import CsvMapping, Field, RowKind, comparable
from billing_connectors.csv_files.records import Record, records
from billing_connectors.documents.canonical import MAX_ID, MAX_NAME, Document, Kind, Preceding, Refusal, Rejected
from billing_connectors.documents.fields import Unreadable, currency_code
from billing_connectors.documents.parties import short
from kernel.text import clean

_FORMAT: Final = "csv"
_AMOUNTS: Final[tuple[Field, ...]] = ("total", "amount_due", "paid", "tax")
_DEBIT_WORDS: Final = ("prelevement", "direct debit", "lastschrift")
_REFUSALS: Final = {
    "line_too_long": "the line is too long",
    "open_quote": "a quote opens and does not close",
    "too_many_columns": "the row has too many columns",
    "nul": "the row holds a NUL character",
    "undecodable": "the row holds bytes that are no text in the file's encoding",
    "not_an_object": "the line is no JSON object of plain values",
    "formula": "a cell holds a formula without a value",
    "error_value": "a cell holds an error of the spreadsheet",
}


class Row(Struct, frozen=True):
    """One row of a CSV, by the line that it begins on, and what came of it."""

    line: int
    outcome: Document | Refusal


def read_csv(content: bytes, mapping: CsvMapping) -> Iterator[Row]:
    """Each row below the header, as it is read; a file that cannot be read at all is one refused row."""
    try:
        layout = layout_of(content, mapping)
    except Rejected as rejected:
        yield Row(1, rejected.refusal)
        return
    kinds = kinds_of(mapping)
    for record in records(content, layout.encoding, layout.delimiter):
        if record.line <= layout.header_line:
            continue
        if record.refused is not None:
            yield Row(record.line, refusal_of(record.refused))
            continue
        try:
            yield Row(record.line, document_of(Cells(record, layout), mapping, kinds))
        except Rejected as rejected:
            yield Row(record.line, rejected.refusal)


def kinds_of(mapping: CsvMapping) -> dict[str, RowKind]:
    """What the words of the kind column mean, in the form in which they are compared."""
    return {comparable(word): kind for word, kind in mapping.kinds.items()}


def refusal_of(refused: str) -> Refusal:
    """Why a record has no cells."""
    return Refusal(reason="malformed_row", detail=_REFUSALS[refused], format=_FORMAT)


class Cells:
    """The cells of one row, by field, with refusals that name the column."""

    def __init__(self, record: Record, layout: Layout) -> None:
        row = record.cells
        # A cell too many is a delimiter inside a text: every cell after it would be read as its neighbour.
        if len(row) > layout.width and any(cell.strip() for cell in row[layout.width :]):
            raise Rejected("malformed_row", "the row has more cells than the header", format=_FORMAT)
        self.layout = layout
        self._row = row
        self._exact = record.exact
        self._present = record.present
        self.has_formula = bool(record.computed) and not record.computed.isdisjoint(layout.places.values())

    def has(self, field: Field) -> bool:
        """Whether the file has a column for the field; of a format without columns, whether the row has it."""
        place = self.layout.places.get(field)
        return place is not None and (self._present is None or place in self._present)

    def text(self, field: Field) -> str:
        """The cell of a field, "" where there is none."""
        place = self.layout.places.get(field, len(self._row))
        return self._row[place].strip() if place < len(self._row) else ""

    def refuse(self, reason: str, detail: str, field: Field) -> Rejected:
        """A refusal that points at the column."""
        return Rejected(reason, detail, column=self.layout.headers.get(field), format=_FORMAT)

    def required(self, field: Field, reason: str) -> str:
        """The cell of a field without which there is no document."""
        text = self.text(field)
        if not text:
            raise self.refuse(reason, "the cell is empty", field)
        return text

    def amount(self, field: Field) -> cells.Amount | None:
        """An amount in major units, nothing where the cell is empty."""
        text = self.text(field)
        if not text:
            return None
        if self._exact and self.layout.places.get(field) in self._exact:
            return cells.Amount(text, None)
        try:
            return cells.amount(text, self.layout.decimal)
        except cells.Ambiguous as error:
            raise self.refuse("ambiguous_amount", str(error), field) from error
        except Unreadable as error:
            raise self.refuse("bad_amount", str(error), field) from error

    def day(self, field: Field) -> date | None:
        """A day, nothing where the cell is empty."""
        text = self.text(field)
        if not text:
            return None
        try:
            return cells.day(text, self.layout.dates)
        except cells.Ambiguous as error:
            raise self.refuse("ambiguous_date", str(error), field) from error
        except Unreadable as error:
            raise self.refuse("bad_date", str(error), field) from error


class _Sums(Struct, frozen=True, kw_only=True):
    currency: str
    kind: Kind
    total: int
    amount_due: int
    paid: int | None
    tax: int | None


def document_of(row: Cells, mapping: CsvMapping, kinds: dict[str, RowKind]) -> Document:
    """The document that one row is. Raises Rejected."""
    warnings: list[str] = []
    number = clean(row.required("number", "missing_number"), MAX_ID + 1)
    if len(number) > MAX_ID:
        raise row.refuse("bad_number", f"a number has at most {MAX_ID} characters", "number")
    kind = _kind(row, kinds)
    issued_on = row.day("issued_on")
    if issued_on is None:
        raise row.refuse("missing_date", "the cell is empty", "issued_on")
    due_on = row.day("due_on")
    sums = _sums(row, mapping, kind, warnings)
    buyer = identities.buyer(row.text, mapping, warnings)
    if not buyer.name:
        raise row.refuse("missing_buyer", "the row names no buyer", "buyer_name")
    claims = sums.kind == "invoice"
    debit = any(word in comparable(row.text("payment_method")) for word in _DEBIT_WORDS)
    checks = (
        ("due_date_missing", claims and due_on is None and sums.amount_due > 0),
        ("due_before_issue", claims and due_on is not None and due_on < issued_on),
        ("direct_debit_announced", debit),
        ("formula_value", row.has_formula),
    )
    warnings += [name for name, applies in checks if applies]
    preceding = clean(row.text("preceding_number"), MAX_ID)
    return Document(
        kind=sums.kind,
        format=_FORMAT,
        number=number,
        issued_on=issued_on,
        due_on=due_on,
        due_on_source="document" if due_on else "none",
        currency=sums.currency,
        total_minor=sums.total,
        amount_due_minor=sums.amount_due,
        amount_due_stated=sums.paid is not None or row.has("amount_due"),
        prepaid_minor=sums.paid,
        tax_minor=sums.tax,
        seller=identities.seller(row.text, warnings),
        buyer=buyer,
        payment_terms_text=short(row.text("payment_terms")),
        preceding=(Preceding(preceding, None),) if preceding else (),
        purchase_order=short(row.text("purchase_order")),
        buyer_reference=short(row.text("buyer_reference")),
        remittance=short(row.text("remittance")),
        direct_debit=debit,
        external_id=clean(row.text("external_id"), MAX_NAME) or None,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _kind(row: Cells, kinds: dict[str, RowKind]) -> RowKind | None:
    """What the kind column says; nothing where the file has none."""
    if not row.has("kind"):
        return None
    text = row.required("kind", "missing_kind")
    kind = kinds.get(comparable(text[:200]))
    if kind is None:  # a word that nobody declared could be a supplier's bill
        raise row.refuse("unknown_kind", f"the mapping does not say what {text[:40]!r} is", "kind")
    if kind == "ignored":
        raise row.refuse("not_an_invoice", f"{text[:40]!r} is no invoice", "kind")
    return kind


def _sums(row: Cells, mapping: CsvMapping, stated: RowKind | None, warnings: list[str]) -> _Sums:
    """The amounts, none negative, and the kind that their sign or the kind column gives."""
    read: dict[Field, cells.Amount | None] = {field: row.amount(field) for field in _AMOUNTS}
    currency = _currency(row, mapping, read, warnings)
    minor: dict[Field, int | None] = {field: _minor(row, field, one, currency) for field, one in read.items()}
    total, due, paid = minor["total"], minor["amount_due"], minor["paid"]
    if row.has("amount_due") and due is None:
        raise row.refuse("missing_amount", "the cell is empty", "amount_due")
    if total is None and due is None:
        raise row.refuse("missing_amount", "the cell is empty", "total")
    if total is None:
        total = due or 0
        warnings.append("total_missing")
    sign = -1 if total < 0 or (total == 0 and (due or 0) < 0) else 1
    if sign < 0 and stated == "invoice" and mapping.sign == "by_kind":
        raise row.refuse("bad_amount", "an invoice with a negative total, where the kind alone decides", "total")
    kind: Kind = "credit_note" if sign < 0 or stated == "credit_note" else "invoice"
    total *= sign
    paid = abs(paid) if paid is not None else None  # what was paid is written with either sign
    left = sign * due if due is not None else total - (paid or 0)
    if kind == "credit_note" and stated == "credit_note" and left < 0:
        left = -left  # a total without sign beside a balance with one
    if left < 0:
        warnings.append("overpaid")
    if paid is not None and left != total - paid:
        warnings.append("amount_due_differs")
    if left > total:
        warnings.append("amount_due_above_total")
    tax = minor["tax"]
    return _Sums(
        currency=currency, kind=kind, total=total, amount_due=max(left, 0), paid=paid,
        tax=abs(tax) if tax is not None else None,
    )  # fmt: skip


def _currency(row: Cells, mapping: CsvMapping, read: dict[Field, cells.Amount | None], warnings: list[str]) -> str:
    """What the column says, else what stands beside the amounts, else what the mapping says for the whole file."""
    beside = {one.currency for one in read.values() if one is not None and one.currency is not None}
    text = row.text("currency") or next(iter(beside), None) or mapping.currency
    if not text:
        text = mapping.assumed_currency
        warnings.append("currency_assumed")
    if not text:
        raise row.refuse("missing_currency", "nothing says which currency this is", "currency")
    try:
        currency = currency_code(cells.SYMBOLS.get(text, text))
    except Unreadable as error:
        raise row.refuse("bad_currency", str(error), "currency") from error
    if beside - {currency}:
        raise row.refuse("currency_conflict", f"an amount is not in {currency}", "currency")
    return currency


def _minor(row: Cells, field: Field, read: cells.Amount | None, currency: str) -> int | None:
    if read is None:
        return None
    try:
        return cells.minor(read, currency)
    except Unreadable as error:
        raise row.refuse("bad_amount", str(error), field) from error
