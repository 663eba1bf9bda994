"""The project's own examples: they read as their README says, and their maker makes them again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from stdnum import iban
from stdnum.fr import siren, siret

from billing_connectors.csv_files.mapping import built_in, find_mapping
from billing_connectors.csv_files.reading import Row, read_csv
from billing_connectors.documents.canonical import Document, Party, Refusal, Rejected
from billing_connectors.documents.reading import read_document
from support.documents import EXAMPLES, seller_ids

COMPANIES = ("atelier-belleville", "menuiserie-roux")
EXPORTED_ON = date(2026, 3, 1)
MIB = 1024 * 1024


def rows_of(company: str) -> list[Row]:
    folder = EXAMPLES / company
    return list(read_csv((folder / "invoices.csv").read_bytes(), find_mapping(str(folder / "mapping.json"))))


def documents_of(company: str) -> list[Document]:
    return [row.outcome for row in rows_of(company) if isinstance(row.outcome, Document)]


def outcome_of(content: bytes) -> Document | Refusal:
    try:
        return read_document(content)
    except Rejected as rejected:
        return rejected.refusal


def einvoices_of(folder: Path) -> dict[str, Document | Refusal]:
    return {file.name: outcome_of(file.read_bytes()) for file in sorted((folder / "einvoices").iterdir())}


def parties() -> Iterator[Party]:
    for company in COMPANIES:
        for document in documents_of(company):
            yield document.buyer
        for outcome in einvoices_of(EXAMPLES / company).values():
            if isinstance(outcome, Document):
                yield outcome.buyer
                yield outcome.seller


@pytest.mark.parametrize(
    ("company", "count", "refused"),
    [
        ("atelier-belleville", 228, {42: "bad_date", 92: "bad_amount", 152: "not_an_invoice"}),
        ("menuiserie-roux", 92, {35: "missing_number", 98: "missing_number"}),
    ],
)
def test_an_export_has_open_invoices_and_a_few_bad_lines(company: str, count: int, refused: dict[int, str]) -> None:
    rows = rows_of(company)
    assert {row.line: row.outcome.reason for row in rows if isinstance(row.outcome, Refusal)} == refused
    documents = documents_of(company)
    assert len(documents) == len({one.number for one in documents}) == count
    assert all(one.amount_due_minor > 0 and one.issued_on < EXPORTED_ON and not one.warnings for one in documents)


def test_sixty_days_from_the_second_of_march_have_plenty_to_do() -> None:
    days = [one.due_on for one in documents_of("atelier-belleville") if one.kind == "invoice" and one.due_on]
    assert sum(day < date(2026, 1, 1) for day in days) >= 5
    assert sum(date(2026, 1, 1) <= day < EXPORTED_ON for day in days) >= 20
    assert sum(date(2026, 3, 5) <= day <= date(2026, 4, 27) for day in days) >= 120


@pytest.mark.parametrize("company", COMPANIES)
def test_an_e_invoice_is_readable_unless_it_is_spoilt_on_purpose(company: str) -> None:
    facts = json.loads((EXAMPLES / company / "company.json").read_text(encoding="utf-8"))
    outcomes = einvoices_of(EXAMPLES / company)
    for name, outcome in outcomes.items():
        if name.startswith("scan-"):
            assert isinstance(outcome, Refusal)
            assert outcome.reason == "no_structured_data"
            continue
        assert isinstance(outcome, Document), (name, outcome)
        assert not {"xsd_invalid", "profile_unknown", "xsd_unchecked"} & set(outcome.warnings)
        ours = {f"0002:{facts['siren']}", f"vat:{facts['vat']}"} <= seller_ids(outcome)
        assert ours == (not name.startswith("fournisseur-"))
    forms = {outcome.format for outcome in outcomes.values() if isinstance(outcome, Document)}
    assert {"facturx-en16931", "facturx-basic", "cii", "ubl-invoice", "ubl-creditnote"} <= forms


@pytest.mark.parametrize(
    ("company", "name"),
    [("atelier-belleville", "FA-2026-0195.en16931.pdf"), ("menuiserie-roux", "F-2026-0081.en16931.pdf")],
)
def test_one_e_invoice_is_a_row_of_the_export_too(company: str, name: str) -> None:
    told = outcome_of((EXAMPLES / company / "einvoices" / name).read_bytes())
    assert isinstance(told, Document)
    (row,) = [one for one in documents_of(company) if one.number == told.number]
    facts = ("kind", "issued_on", "due_on", "currency", "total_minor", "amount_due_minor")
    assert [getattr(row, fact) for fact in facts] == [getattr(told, fact) for fact in facts]
    assert (row.buyer.name, row.buyer.email) == (told.buyer.name, told.buyer.email)
    others = [one.number for one in einvoices_of(EXAMPLES / company).values() if isinstance(one, Document)]
    assert [number for number in others if number in {one.number for one in documents_of(company)}] == [told.number]


def test_a_credit_note_refers_to_an_invoice_that_it_does_not_exceed() -> None:
    for company in COMPANIES:
        export = {one.number: one for one in documents_of(company)}
        read = [one for one in einvoices_of(EXAMPLES / company).values() if isinstance(one, Document)]
        for note in (one for one in read if one.kind == "credit_note"):
            (earlier,) = note.preceding
            assert export[earlier.number].issued_on == earlier.issued_on
            assert note.issued_on >= export[earlier.number].issued_on
            assert note.amount_due_minor < export[earlier.number].amount_due_minor
            assert note.buyer.name == export[earlier.number].buyer.name


def test_the_built_in_mappings_read_the_exports_too() -> None:
    journal = (EXAMPLES / "atelier-belleville" / "invoices.csv").read_bytes()
    assert list(read_csv(journal, built_in("journal-des-ventes"))) == rows_of("atelier-belleville")
    for company in COMPANIES:
        content = (EXAMPLES / company / "invoices.csv").read_bytes()
        read = [row.outcome for row in read_csv(content, built_in("generic")) if isinstance(row.outcome, Document)]
        assert [one.number for one in read] == [one.number for one in documents_of(company)]
        assert [one.amount_due_minor for one in read] == [one.amount_due_minor for one in documents_of(company)]


def test_everybody_is_invented() -> None:
    for one in parties():
        assert one.email is None or one.email.endswith(".example")
        for legal in one.legal_ids:
            assert "9999" in legal.value
            assert legal.scheme != "0002" or siren.is_valid(legal.value)
            assert legal.scheme != "0009" or siret.is_valid(legal.value)
    for company in COMPANIES:
        facts = json.loads((EXAMPLES / company / "company.json").read_text(encoding="utf-8"))
        assert siren.is_valid(facts["siren"])
        assert siret.is_valid(facts["siret"])
        assert iban.is_valid(facts["iban"])
        assert facts["iban"][4:9] == "99999"


def test_the_maker_makes_the_same_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    again = tmp_path_factory.mktemp("examples")
    subprocess.run([sys.executable, str(EXAMPLES / "make.py"), str(again)], check=True, timeout=120)
    for company in COMPANIES:
        for name in ("invoices.csv", "company.json"):
            assert (again / company / name).read_bytes() == (EXAMPLES / company / name).read_bytes()
        assert einvoices_of(again / company) == einvoices_of(EXAMPLES / company)
        for file in (again / company / "einvoices").glob("*.xml"):
            assert file.read_bytes() == (EXAMPLES / company / "einvoices" / file.name).read_bytes()


def test_the_examples_stay_small() -> None:
    files = [file for file in EXAMPLES.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files) < 2 * MIB
