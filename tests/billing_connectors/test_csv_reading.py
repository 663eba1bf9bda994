"""Exports of accounting tools, row by row: layouts, refusals that point at a column, and files that mean harm."""

import time
from collections.abc import Iterable
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from billing_connectors.csv_files import mapping as mappings
from billing_connectors.csv_files.mapping import CsvMapping, built_in
from billing_connectors.csv_files.reading import Row, read_csv
from billing_connectors.csv_files.records import MAX_LINE
from billing_connectors.documents.canonical import Document, LegalId, Refusal

HEADER = "N° facture;Date facture;Échéance;Client;Montant TTC;Reste dû"
ROW = "FA-1;02/03/2026;01/04/2026;Boulangerie Marchal;1 234,50;1 000,00"


def make_csv(*rows: str, header: str = HEADER, encoding: str = "utf-8") -> bytes:
    return "\r\n".join([header, *rows, ""]).encode(encoding)


def read(content: bytes, mapping: CsvMapping | None = None) -> list[Row]:
    return list(read_csv(content, mapping or make_mapping()))


def make_mapping(**changes: object) -> CsvMapping:
    return replace(built_in("generic"), **({"currency": "EUR"} | changes))


def document(content: bytes, mapping: CsvMapping | None = None) -> Document:
    (row,) = read(content, mapping)
    assert isinstance(row.outcome, Document), row.outcome
    return row.outcome


def refusal(content: bytes, mapping: CsvMapping | None = None) -> Refusal:
    (row,) = read(content, mapping)
    assert isinstance(row.outcome, Refusal), row.outcome
    return row.outcome


def numbers(rows: Iterable[Row]) -> list[tuple[int, str]]:
    return [(row.line, row.outcome.number if isinstance(row.outcome, Document) else row.outcome.reason) for row in rows]


def test_a_french_export_is_read() -> None:
    read_ = document(make_csv(ROW))
    assert (read_.kind, read_.number, read_.format) == ("invoice", "FA-1", "csv")
    assert (read_.issued_on, read_.due_on, read_.due_on_source) == (date(2026, 3, 2), date(2026, 4, 1), "document")
    assert (read_.currency, read_.total_minor, read_.amount_due_minor) == ("EUR", 123450, 100000)
    assert (read_.buyer.name, read_.warnings) == ("Boulangerie Marchal", ())


def test_an_english_export_is_read_with_the_same_mapping() -> None:
    content = make_csv(
        'INV-9,2026-03-02,2026-04-01,"Marchal, Bakery","1,234.50",1000.00,GBP',
        header="Invoice number,Invoice date,Due date,Customer,Total,Balance due,Currency",
    )
    read_ = document(content)
    assert (read_.buyer.name, read_.currency, read_.total_minor, read_.amount_due_minor) == (
        "Marchal, Bakery", "GBP", 123450, 100000,
    )  # fmt: skip


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_file_shows_its_delimiter_and_encoding(delimiter: str, encoding: str, ending: str) -> None:
    rows = (HEADER, ROW.replace("Boulangerie", "Hélène").replace(",", "."))
    text = ending.join(row.replace(";", delimiter) for row in rows)
    assert document(text.encode(encoding)).buyer.name == "Hélène Marchal"


def test_titles_above_the_header_and_blank_lines_are_passed_over() -> None:
    content = ("Balance âgée au 01/03/2026;;;\n\nSociété : Atelier\n" + make_csv(ROW, "", ";;;;;").decode()).encode()
    assert numbers(read(content)) == [(5, "FA-1")]


def test_of_several_columns_the_one_declared_first_counts() -> None:
    header = "Montant;Date;Référence;N° facture;Montant TTC;Client;Solde;Date facture"
    content = make_csv("1,00;01/01/2026;REF;FA-7;120,00;X;100,00;02/03/2026", header=header)
    read_ = document(content)
    assert (read_.number, read_.total_minor, read_.issued_on) == ("FA-7", 12000, date(2026, 3, 2))


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        (";02/03/2026;01/04/2026;X;1;1", "missing_number", "N° facture"),
        ("9" * 101 + ";02/03/2026;01/04/2026;X;1;1", "bad_number", "N° facture"),
        ("FA-1;;01/04/2026;X;1;1", "missing_date", "Date facture"),
        ("FA-1;31/02/2026;01/04/2026;X;1;1", "bad_date", "Date facture"),
        ("FA-1;02/03/2026;bientôt;X;1;1", "bad_date", "Échéance"),
        ("FA-1;02/03/2026;01/04/2026;;1;1", "missing_buyer", "Client"),
        ("FA-1;02/03/2026;01/04/2026;X;abc;1", "bad_amount", "Montant TTC"),
        ("FA-1;02/03/2026;01/04/2026;X;1,234;1", "ambiguous_amount", "Montant TTC"),
        ("FA-1;02/03/2026;01/04/2026;X;=1+1;1", "bad_amount", "Montant TTC"),
        ("FA-1;02/03/2026;01/04/2026;X;1;", "missing_amount", "Reste dû"),
        ("FA-1;02/03/2026;01/04/2026;X;1 $;1", "bad_amount", "Montant TTC"),
        ("FA-1;02/03/2026;01/04/2026;X;1 USD;1 EUR", "currency_conflict", None),
        ("FA-1;02/03/2026;01/04/2026;X;Y;1;1", "malformed_row", None),
        ("Total;;;;1;1", "missing_date", "Date facture"),
    ],
)
def test_a_row_that_cannot_be_read_points_at_its_column(row: str, reason: str, column: str | None) -> None:
    refused = refusal(make_csv(row))
    assert (refused.reason, refused.column) == (reason, column)


def test_a_bad_row_leaves_its_neighbours_alone() -> None:
    content = make_csv(ROW, ROW.replace("02/03/2026", "??"), ROW.replace("FA-1", "FA-3"))
    assert numbers(read(content)) == [(2, "FA-1"), (3, "bad_date"), (4, "FA-3")]


def test_the_rest_of_the_file_decides_what_one_cell_leaves_open() -> None:
    header = HEADER.replace("Échéance", "Devise")
    ambiguous = "FA-1;02/03/2026;EUR;X;1.234;1.234"
    assert refusal(make_csv(ambiguous, header=header)).reason == "ambiguous_amount"
    first, _ = read(make_csv(ambiguous, "FA-2;02/03/2026;EUR;X;3,50;3,50", header=header))
    assert isinstance(first.outcome, Document)
    assert first.outcome.total_minor == 123400
    american, _ = read(make_csv(ROW, ROW.replace("01/04/2026", "04/13/2026")))
    assert isinstance(american.outcome, Document)
    assert american.outcome.issued_on == date(2026, 2, 3)


@pytest.mark.parametrize(
    ("kind", "total", "due", "expected"),
    [
        ("Facture", "120,00", "100,00", ("invoice", 12000, 10000)),
        ("FACTURE D'ACOMPTE", "120,00", "100,00", ("invoice", 12000, 10000)),
        ("Facture", "-120,00", "-100,00", ("credit_note", 12000, 10000)),
        ("Avoir", "120,00", "100,00", ("credit_note", 12000, 10000)),
        ("Avoir", "-120,00", "-100,00", ("credit_note", 12000, 10000)),
        ("Avoir", "(120,00)", "(100,00)", ("credit_note", 12000, 10000)),
        ("Avoir", "120,00", "-100,00", ("credit_note", 12000, 10000)),
        ("Avoir", "-120,00", "100,00", ("credit_note", 12000, 10000)),
        ("Credit note", "0,00", "0,00", ("credit_note", 0, 0)),
    ],
)
def test_the_kind_and_the_sign_say_the_direction(
    kind: str, total: str, due: str, expected: tuple[str, int, int]
) -> None:
    content = make_csv(f"A-1;02/03/2026;{kind};X;{total};{due}", header=HEADER.replace("Échéance", "Type de pièce"))
    read_ = document(content)
    assert (read_.kind, read_.total_minor, read_.amount_due_minor) == expected


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("Règlement", "not_an_invoice"), ("Devis", "not_an_invoice"), ("ACCPAY", "unknown_kind"), ("", "missing_kind")],
)  # fmt: skip
def test_a_row_that_is_no_invoice_is_refused(kind: str, reason: str) -> None:
    content = make_csv(f"A-1;02/03/2026;{kind};X;1;1", header=HEADER.replace("Échéance", "Type"))
    refused = refusal(content)
    assert (refused.reason, refused.column) == (reason, "Type")


def test_without_a_kind_column_a_negative_total_is_a_credit_note() -> None:
    content = make_csv(ROW.replace("1 234,50", "-1 234,50").replace("1 000,00", "-1 000,00"))
    read_ = document(content)
    assert (read_.kind, read_.total_minor, read_.amount_due_minor) == ("credit_note", 123450, 100000)


def test_where_the_kind_alone_decides_a_negative_invoice_is_refused() -> None:
    header = HEADER.replace("Échéance", "Type")
    content = make_csv("A-1;02/03/2026;Facture;X;-1;-1", header=header)
    assert refusal(content, make_mapping(sign="by_kind")).reason == "bad_amount"
    assert document(content).kind == "credit_note"


@pytest.mark.parametrize(
    ("header", "cells", "total", "due", "warnings"),
    [
        ("Montant TTC", "120,00", 12000, 12000, ()),
        ("Reste dû", "100,00", 10000, 10000, ("total_missing",)),
        ("Montant TTC;Déjà réglé", "120,00;20,00", 12000, 10000, ()),
        ("Montant TTC;Déjà réglé", "120,00;-20,00", 12000, 10000, ()),
        ("Montant TTC;Reste dû", "120,00;-5,00", 12000, 0, ("overpaid",)),
        ("Montant TTC;Reste dû", "120,00;130,00", 12000, 13000, ("amount_due_above_total",)),
        ("Montant TTC;Reste dû;Déjà réglé", "120,00;90,00;20,00", 12000, 9000, ("amount_due_differs",)),
        ("Montant TTC;Reste dû", "120,00;0,00", 12000, 0, ()),
    ],
)
def test_the_amount_due_is_the_balance_or_what_follows_from_the_total(
    header: str, cells: str, total: int, due: int, warnings: tuple[str, ...]
) -> None:
    content = make_csv(f"A-1;02/03/2026;02/04/2026;X;{cells}", header=f"N°;Date;Échéance;Client;{header}")
    read_ = document(content)
    assert (read_.total_minor, read_.amount_due_minor, read_.warnings) == (total, due, warnings)


def test_amounts_keep_the_decimals_of_their_currency() -> None:
    header = HEADER.replace("Échéance", "Devise")
    assert document(make_csv("A;02/03/2026;JPY;X;1500;1500", header=header)).total_minor == 1500
    tunisian = make_mapping(decimal=",")
    assert document(make_csv("A;02/03/2026;TND;X;1,234;1,5", header=header), tunisian).total_minor == 1234
    assert refusal(make_csv("A;02/03/2026;JPY;X;15,5;15", header=header)).reason == "bad_amount"
    assert refusal(make_csv("A;02/03/2026;EUR;X;15,555;15", header=header), tunisian).reason == "bad_amount"
    assert refusal(make_csv("A;02/03/2026;écus;X;15;15", header=header)).reason == "bad_currency"


def test_the_currency_is_the_column_s_or_the_cell_s_or_the_mapping_s() -> None:
    header = HEADER.replace("Échéance", "Devise")
    generic = built_in("generic")
    assert document(make_csv("A;02/03/2026;CHF;X;15;15", header=header), generic).currency == "CHF"
    assert document(make_csv("A;02/03/2026;€;X;15;15", header=header), generic).currency == "EUR"
    assert document(make_csv("A;02/03/2026;;X;15 €;15", header=header), generic).currency == "EUR"
    assert document(make_csv("A;02/03/2026;;X;15;15", header=header)).currency == "EUR"
    assumed = document(make_csv("A;02/03/2026;;X;15;15", header=header), generic)
    assert (assumed.currency, "currency_assumed" in assumed.warnings) == ("EUR", True)
    strict = make_mapping(currency=None, assumed_currency=None)
    assert refusal(make_csv("A;02/03/2026;;X;15;15", header=header), strict).reason == "missing_currency"


def test_the_buyer_is_read_with_what_identifies_it() -> None:
    header = (
        "N°;Date;Code client;Raison sociale;SIREN/SIRET;N° TVA;E-mail;Adresse;CP;Ville;Pays;Langue;Solde;Contact;Tél."
    )
    mails = '"compta@marchal.example; x@y.example"'
    place = "1 rue du Four;75011;Paris;Belgique;Français"
    row = f"A;02/03/2026;411MAR;Marchal;732 829 320;fr 44 732829320;{mails};{place};1;Léa;06"
    buyer = document(make_csv(row, header=header)).buyer
    assert buyer.legal_ids == (LegalId("0002", "732829320"), LegalId("vat", "FR44732829320"))
    assert (buyer.account_code, buyer.name, buyer.email) == ("411MAR", "Marchal", "compta@marchal.example")
    assert (buyer.country, buyer.language, buyer.postcode) == ("BE", "fr", "75011")
    assert (buyer.contact_name, buyer.phone, buyer.address_lines) == ("Léa", "06", ("1 rue du Four",))


def test_an_identifier_that_fails_its_check_digit_identifies_nobody() -> None:
    header = "N°;Date;Échéance;Code client;SIREN;TVA intra;E-mail;Solde"
    read_ = document(make_csv("A;02/03/2026;02/04/2026;411X;732829321;12;nobody;1", header=header))
    assert read_.buyer.legal_ids == ()
    assert read_.buyer.name == "411X"
    assert read_.buyer.email is None
    assert set(read_.warnings) == {"siren_invalid", "vat_invalid", "email_unreadable", "total_missing"}


def test_a_formula_is_a_text_like_any_other() -> None:
    read_ = document(make_csv(ROW.replace("Boulangerie Marchal", '"=HYPERLINK(""http://x"")"')))
    assert read_.buyer.name == '=HYPERLINK("http://x")'


def test_a_quoted_cell_may_hold_delimiters_and_lines() -> None:
    rows = read(make_csv('FA-1;02/03/2026;;"Marchal;\r\nRoux ""et"" Cie";1;1', ROW))
    assert numbers(rows) == [(2, "FA-1"), (4, "FA-1")]
    assert isinstance(rows[0].outcome, Document)
    assert rows[0].outcome.buyer.name == 'Marchal; Roux "et" Cie'


def test_a_quote_that_never_closes_costs_one_row() -> None:
    content = make_csv(ROW, 'FA-2;02/03/2026;;"Marchal;1;1', *(ROW.replace("FA-1", f"FA-{n}") for n in range(3, 200)))
    found = numbers(read(content))
    assert found[1] == (3, "malformed_row")
    assert found[2:] == [(n + 1, f"FA-{n}") for n in range(3, 200)]


def test_quotes_that_follow_no_rule_are_part_of_the_text() -> None:
    assert document(make_csv(ROW.replace("Boulangerie Marchal", 'Vis 3" inox'))).buyer.name == 'Vis 3" inox'


def test_a_line_without_end_costs_one_row() -> None:
    content = make_csv(ROW, "x" * (3 * MAX_LINE), ROW.replace("FA-1", "FA-3"))
    assert numbers(read(content)) == [(2, "FA-1"), (3, "malformed_row"), (4, "FA-3")]
    assert numbers(read(make_csv(ROW, ";" * 300))) == [(2, "FA-1"), (3, "malformed_row")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "header_not_found"),
        (b"\xef\xbb\xbf", "header_not_found"),
        (b"a;b;c\n1;2;3\n", "header_not_found"),
        (make_csv(ROW, header=HEADER.replace("Client", "Notre code")), "header_not_found"),
        (b"PK\x03\x04 a workbook", "unsupported_format"),
        (b"%PDF-1.7", "unsupported_format"),
        (b"\0\1\2\3" * 100, "bad_encoding"),
        (b"N\x81\x8d", "bad_encoding"),
        (b"\xff\xfe\x00", "bad_encoding"),
    ],
)
def test_a_file_that_is_no_such_table_is_one_refused_row(content: bytes, reason: str) -> None:
    (row,) = read(content)
    assert isinstance(row.outcome, Refusal)
    assert (row.line, row.outcome.reason) == (1, reason)


def test_a_declared_encoding_and_delimiter_are_kept_to() -> None:
    latin = make_csv(ROW.replace("Boulangerie", "Hélène"), encoding="iso-8859-1")
    assert document(latin, make_mapping(encoding="iso-8859-1")).buyer.name == "Hélène Marchal"
    assert refusal(latin, make_mapping(encoding="utf-8")).reason == "bad_encoding"
    assert refusal(latin, make_mapping(delimiter=",")).reason == "header_not_found"


def test_rows_come_one_by_one_however_many_there_are() -> None:
    content = make_csv(*(ROW.replace("FA-1", f"FA-{n}") for n in range(5_000)))
    began = time.monotonic()
    rows = read_csv(content, make_mapping())
    assert next(rows).line == 2
    assert time.monotonic() - began < 5
    assert sum(1 for _ in rows) == 4_999


def test_the_generic_mapping_is_declared_without_contradiction() -> None:
    for name in mappings.BUILT_IN:
        assert mappings.missing_fields(set(built_in(name).columns.values())) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"columns": {}}',
        b'{"columns": {"a": "number", "b": "issued_on", "c": "total"}}',
        b'{"columns": {"a": "number", "b": "issued_on", "c": "total", "d": "nothing"}}',
        b'{"columns": {"a": "number", "A": "issued_on", "c": "total", "d": "buyer_name"}}',
        b'{"columns": {"a": "number", "?": "issued_on", "c": "total", "d": "buyer_name"}}',
        b'{"columns": {"a": "number", "b": "issued_on", "c": "total", "d": "buyer_name"}, "delimiter": "x"}',
        b'{"columns": {"a": "number", "b": "issued_on", "c": "total", "d": "buyer_name"}, "currency": "XXX"}',
        b'{"columns": {"a": "number", "b": "issued_on", "c": "total", "d": "buyer_name"}, "more": 1}',
        b" " * 70_000,
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(content: bytes) -> None:
    with pytest.raises(mappings.BadMapping):
        mappings.from_json(content)


def test_a_mapping_is_found_by_name_or_by_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("mappings") / "ours.json"
    file.write_text(
        '{"columns": {"a": "number", "b": "issued_on", "c": "total", "d": "buyer_name"}, "currency": "EUR"}'
    )
    ours = mappings.find_mapping(str(file))
    assert document(b"a,b,c,d\nF1,2026-03-02,12.50,Marchal\n", ours).total_minor == 1250
    assert mappings.find_mapping("generic") == built_in("generic")
    for unknown in ("nothing", "../generic", str(file.with_name("other.json"))):
        with pytest.raises(mappings.UnknownMapping):
            mappings.find_mapping(unknown)


@settings(max_examples=150)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=80), max_size=8))
def test_any_rows_are_read_or_refused_each(rows: list[str]) -> None:
    for row in read(("\n".join([HEADER, ROW, *rows])).encode()):
        assert isinstance(row.outcome, Document | Refusal)


@settings(max_examples=100)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for row in read(content):
        assert isinstance(row.outcome, Document | Refusal)
