"""Files of rows as they come from tools, people and enemies: each format, encoding, mark and trap."""

import io
import json
import zipfile
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest

from billing_connectors.csv_files.mapping import CsvMapping, built_in
from billing_connectors.documents.canonical import Document, Rejected
from billing_connectors.file_imports.detecting import Question, detect
from billing_connectors.file_imports.formats import FileFormat
from billing_connectors.file_imports.rows import Ended, Opened, Order, Rows, read_rows
from billing_connectors.file_imports.tables import TableSpec
from billing_connectors.file_imports.uploads import format_of
from support.file_imports import HEAD, line, table

GENERIC = built_in("generic")


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def read(content: bytes, mapping: CsvMapping = GENERIC, **order: Any) -> list[Any]:  # Any: documents and reasons
    """Each row: its document, or the reason why it has none; what ended the reading early comes last."""
    spec = TableSpec(format=format_of(content), is_utf8=is_utf8(content), mapping=mapping)
    found: list[Any] = []  # Any: likewise
    for said in read_rows(io.BytesIO(content), Order(spec=spec, **order)):
        if isinstance(said, Rows):
            found += [row.document or (row.line, row.refusal.reason if row.refusal else None) for row in said.rows]
        elif isinstance(said, Ended) and said.refusal is not None:
            found.append(said.refusal.reason)
        else:
            assert isinstance(said, Opened | Ended)
    return found


def look(content: bytes) -> Any:  # Any: a Detection
    return detect(io.BytesIO(content), Question(format_of(content), is_utf8(content)))


def totals(found: list[Any]) -> list[int | tuple[int, str]]:
    return [each.total_minor if isinstance(each, Document) else each for each in found]


def workbook(*rows: list[Any], **sheets: list[list[Any]]) -> bytes:  # Any: cells
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for name, more in sheets.items():
        other = book.create_sheet(name)
        for row in more:
            other.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


ACCENTS = HEAD + "\nF-1;02/03/2026;01/04/2026;Société Générale d'Électricité;;1 234,50;0\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "mac_roman", "cp850"]
)
def test_a_text_is_read_in_the_encoding_that_it_has(encoding: str) -> None:
    (document,) = read(ACCENTS.encode(encoding))
    assert document.buyer.name == "Société Générale d'Électricité"


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    content = "\n".join(
        delimiter.join(cells)
        for cells in (["Invoice number", "Date", "Customer", "Total"], ["A-1", "2026-03-02", "Petit", "12.50"])
    )
    assert look(content.encode()).delimiter == delimiter
    assert totals(read(content.encode())) == [1250]


@pytest.mark.parametrize(
    ("cell", "minor"),
    [
        ("1 234,56", 123456), ("1\u00a0234,56", 123456), ("1\u202f234,56", 123456), ("1.234,56", 123456),
        ("1'234,56", 123456), ("1 234,56 €", 123456), ("EUR 1234,56", 123456),
    ],
)  # fmt: skip
def test_an_amount_is_exact_however_it_is_written(cell: str, minor: int) -> None:
    assert totals(read(f"{HEAD}\nF-1;02/03/2026;;Petit;;{cell};{cell}\n".encode())) == [minor]


@pytest.mark.parametrize("cell", ["(12,50)", "-12,50", "12,50-", "\u221212,50"])
def test_a_negative_row_is_a_credit_note(cell: str) -> None:
    (document,) = read(f"{HEAD}\nF-1;02/03/2026;;Petit;;{cell};{cell}\n".encode())
    assert (document.kind, document.total_minor) == ("credit_note", 1250)


def test_dates_are_read_by_evidence_and_what_is_open_is_said() -> None:
    head = "Invoice number,Date,Customer,Total\n"
    american = head + "A-1,01/31/2026,Petit,1.00\nA-2,02/03/2026,Petit,2.00\n"
    assert (look(american.encode()).dates, look(american.encode()).dates_ambiguous) == ("month_first", False)
    assert [each.issued_on for each in read(american.encode())] == [date(2026, 1, 31), date(2026, 2, 3)]
    unclear = look((head + "A-2,02/03/2026,Petit,2.00\n").encode())
    assert (unclear.dates_ambiguous, unclear.warnings, unclear.mapping.dates) == (True, ["dates_ambiguous"], "auto")
    european = look(table("F-1;02/03/2026;;Petit;;1,00;1,00").encode())
    assert (european.dates_ambiguous, european.warnings, european.mapping.dates) == (
        False,
        ["dates_by_custom"],
        "day_first",
    )
    mixed = look((head + "A-1,01/31/2026,Petit,1.00\nA-2,31/01/2026,Petit,2.00\n").encode())
    assert (mixed.dates, "dates_mixed" in mixed.warnings) == (None, True)


def test_headers_that_are_nearly_known_or_tell_by_their_content_are_proposed_with_less_confidence() -> None:
    content = "N° factures;Date facture;Clients;Montant TTC;zzz\nF-1;13/03/2026;Petit;1,00;compta@petit.example\n"
    found = {each.header: (each.field, each.confidence) for each in look(content.encode()).columns}
    assert found["Montant TTC"] == ("total", "certain")
    assert found["N° factures"] == ("number", "likely")
    assert found["zzz"] == ("buyer_email", "possible")
    nothing = look(b"a;b;c\nx;y;z\n")
    assert nothing.mapping is None
    assert nothing.missing == ["number", "issued_on", "total or amount_due", "buyer_name or buyer_code"]


def test_titles_above_and_headers_in_between_are_no_rows() -> None:
    first = f"Société X\nÉdité le 02/03/2026\n\n{table(line(1))}"
    assert totals(read((first + table(line(2))).encode())) == [10150, 10250]


def test_a_mark_in_the_middle_is_nothing_and_a_quoted_line_end_is_a_space() -> None:
    content = table(line(1)) + "\ufeff" + table(line(2)) + 'F-3;02/03/2026;;"Petit\net fils";;1,00;1,00\n'
    found = read(content.encode())
    assert totals(found) == [10150, 10250, 100]
    assert found[2].buyer.name == "Petit et fils"


def test_a_bad_row_is_refused_alone() -> None:
    rows = [line(1), "x" * 10_000_000, line(2), "F-9;02/03/2026;;Pe\0tit;;1,00;1,00", '"never closed', line(3)]
    found = read(table(*rows).encode())
    assert totals(found) == [
        10150, (3, "malformed_row"), 10250, (5, "malformed_row"), (6, "malformed_row"), 10350,
    ]  # fmt: skip


def test_bytes_that_are_no_text_refuse_their_row() -> None:
    mapping = CsvMapping(columns=GENERIC.columns, encoding="utf-8", currency="EUR")
    content = (
        table(line(1)).encode() + "F-2;02/03/2026;;Société;;1,00;1,00\n".encode("cp1252") + f"{line(3)}\n".encode()
    )
    assert totals(read(content, mapping)) == [10150, (3, "malformed_row"), 10350]


@pytest.mark.parametrize("content", [b"\n", b";;;\n", b"a,b\n1,2\n", f"{HEAD[:20]}\n".encode()])
def test_a_file_without_the_columns_is_refused_as_a_whole(content: bytes) -> None:
    assert read(content) == ["header_not_found"]


def test_a_header_alone_is_a_file_without_rows() -> None:
    assert read(f"{HEAD}\n".encode()) == []


def test_reading_goes_on_behind_what_was_read() -> None:
    content = table(*(line(n) for n in range(1, 10))).encode()
    whole = read(content, batch=2)
    assert [read(content, batch=4, skip=skip) for skip in range(10)] == [whole[skip:] for skip in range(10)]


def test_json_lines_are_read_exactly() -> None:
    lines = [
        '{"Invoice number": "A-1", "Date": "2026-03-02", "Total": 1234.10, "Customer": "Petit"}',
        '{"invoice_number": "A-2", "date": "2026-03-02", "total": 0.29, "customer": "Petit", "due date": "2026-04-01"}',
        '{"number": "A-3", "date": "2026-03-02", "total": "1 000,50", "customer": "Petit", "kind": "credit note"}',
        '{"number": "A-4", "date": "2026-03-02", "total": 1.5e2, "customer": "Petit"}',
        '{"number": "A-5", "date": "2026-03-02", "total": 0.001, "customer": "Petit"}',
        '{"number": {"a": 1}}', "[1, 2]", "NaN", '{"number": "A\\u0000"}', '{"number": "\\ud800"}', "{" * 5_000,
    ]  # fmt: skip
    found = read("\n".join(lines).encode())
    assert totals(found[:4]) == [123410, 29, 100050, 15000]
    assert found[2].kind == "credit_note"
    assert [each[1] for each in found[4:]] == ["bad_amount", *["malformed_row"] * 6]


def test_a_workbook_is_read_by_its_cells_and_not_by_their_looks() -> None:
    content = workbook(
        ["Échéancier au 02/03/2026"],
        ["N° facture", "Date facture", "Échéance", "Client", "Montant TTC", "Note"],
        [
            2026001,
            date(2026, 3, 2),
            datetime(2026, 4, 1, 12, 30),  # noqa: DTZ001 - a workbook knows no zone
            "Petit",
            1234.56,
            None,
        ],
        ["F-2", date(2026, 3, 2), None, "Durand", 0.1 + 0.2, "x"],
        ["F-3", date(2026, 3, 2), None, "Durand", "1 234,50 €", "x"],
        ["F-4", date(2026, 3, 2), None, "Durand", "=1+1", "x"],
        ["F-5", date(2026, 3, 2), None, "Durand", 12, "=1+1"],
        ["F-6", date(2026, 3, 2), None, "Durand", -5.5, None],
    )
    found = read(content)
    assert totals(found) == [123456, 30, 123450, (6, "malformed_row"), 1200, 550]
    assert (found[0].number, found[0].issued_on, found[0].due_on) == ("2026001", date(2026, 3, 2), date(2026, 4, 1))
    assert found[5].kind == "credit_note"
    assert "formulas" in look(content).warnings


def test_the_sheet_with_the_columns_is_read() -> None:
    content = workbook(["Bonjour"], Factures=[HEAD.split(";"), ["F-1", date(2026, 3, 2), None, "Petit", None, 1, 1]])
    assert totals(read(content)) == [100]
    assert look(content).missing == []


def rezipped(content: bytes, changed: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            if name not in changed:
                after.writestr(name, before.read(name))
        for name, body in changed.items():
            after.writestr(name, body)
    return out.getvalue()


BOOK = workbook(HEAD.split(";"), ["F-1", date(2026, 3, 2), None, "Petit", None, 1, 1])
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><sst>&b;</sst>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOOK[: len(BOOK) // 2], "unreadable"),
        (rezipped(BOOK, {"xl/vbaProject.bin": b"x"}), "macros"),
        (rezipped(BOOK, {"xl/sharedStrings.xml": BOMB}), "forbidden_dtd"),
        (rezipped(BOOK, {"xl/sharedStrings.xml": b" " * 200_000_000}), "too_large"),
        (rezipped(BOOK, {"xl/worksheets/sheet1.xml": b"<worksheet><row>"}), "malformed_xml"),
        (rezipped(BOOK, {f"x/{n}": b"" for n in range(2_001)}), "too_complex"),
        (rezipped(BOOK, {"xl/workbook.xml": b"<workbook/>"}), "empty_file"),
    ],
)
def test_a_hostile_workbook_is_refused(content: bytes, reason: str) -> None:
    assert read(content) == [reason]
    with pytest.raises(Rejected) as rejected:
        look(content)
    assert rejected.value.refusal.reason == reason


def test_what_a_file_is_decides_its_content() -> None:
    assert format_of(BOOK) is FileFormat.XLSX
    assert format_of(b'\xef\xbb\xbf {"a": 1}') is FileFormat.NDJSON
    assert format_of(json.dumps({"a": 1}).encode()) is FileFormat.NDJSON
    assert format_of(b"a;b") is FileFormat.CSV
