"""The samples of others read as the table beside them says, and as the factur-x package reads them."""

import csv
from pathlib import Path
from typing import Any, cast

import facturx
import pytest
from lxml import etree
from pypdf import PdfReader

from billing_connectors.documents.canonical import Rejected
from billing_connectors.documents.reading import read_document
from support.documents import reference_folder, seller_ids

FILES = (
    "cii_corrected_384.xml",
    "cii_sepa_prenotification.xml",
    "facturx_fr_avoir381_basic.pdf",
    "facturx_fr_en16931_failset.pdf",
    "facturx_fr_minimum.pdf",
    "pdf_without_xml.pdf",
    "peppol_bis3_base.xml",
    "peppol_bis3_negative_invoice.xml",
    "ubl_creditnote_381.xml",
    "ubl_multicurrency_example5.xml",
    "zugferd10_comfort.pdf",
    "zugferd_en16931_duedate.pdf",
)

UNREADABLE = {"pdf_without_xml.pdf", "zugferd10_comfort.pdf"}


def _expected(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "expected.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_every_sample_is_listed() -> None:
    assert set(_expected(reference_folder("einvoices"))) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_sample_reads_as_its_table_says(name: str) -> None:
    folder = reference_folder("einvoices")
    row = _expected(folder)[name]
    content = (folder / name).read_bytes()
    if row["readable"] == "no":
        with pytest.raises(Rejected) as caught:
            read_document(content)
        assert (caught.value.refusal.reason, caught.value.refusal.format) == (row["reason"], row["format"])
        return
    document = read_document(content)
    read = {
        "format": document.format,
        "kind": document.kind,
        "number": document.number,
        "issued_on": document.issued_on.isoformat(),
        "due_on": document.due_on.isoformat() if document.due_on else "",
        "currency": document.currency,
        "total_minor": str(document.total_minor),
        "amount_due_minor": str(document.amount_due_minor),
        "type_code": document.type_code,
        "buyer_name": document.buyer.name,
    }
    assert read == {key: row[key] for key in read}
    assert seller_ids(document) == set(row["seller_ids"].split())
    assert document.due_on_source == ("document" if row["due_on"] else "none")


def test_what_the_table_does_not_say_is_read_too() -> None:
    folder = reference_folder("einvoices")
    debit = read_document((folder / "cii_sepa_prenotification.xml").read_bytes())
    assert (debit.direct_debit, debit.mandate_reference) == (True, "REF A-123")
    assert debit.direct_debit_creditor_id == "DE98ZZZ09999999999"
    assert debit.payment_terms_text is not None
    assert "20.03.2018" in debit.payment_terms_text
    assert {"direct_debit_announced", "due_date_missing", "terms_in_text_only"} <= set(debit.warnings)
    paid = read_document((folder / "ubl_multicurrency_example5.xml").read_bytes())
    assert (paid.prepaid_minor, paid.tax_minor, paid.mandate_reference) == (233750, 67500, "123456")
    assert [(one.number, str(one.issued_on)) for one in paid.preceding] == [("TOSL109", "2013-03-10")]
    assert paid.payee is not None
    assert paid.payee.name == "Dagobert Duck"
    assert (paid.buyer.email, paid.buyer.country) == ("john.hansen@buyercompany.dk", "DK")
    french = read_document((folder / "facturx_fr_en16931_failset.pdf").read_bytes())
    assert (french.buyer.email, french.prepaid_minor) == ("alexandre.payet@majolieboutique.net", 20100)
    assert (french.purchase_order, french.iban) == ("PO445", "FR2012421242124212421242124")


@pytest.mark.parametrize(
    "name", [name for name in FILES if name not in {"pdf_without_xml.pdf", "zugferd10_comfort.pdf"}]
)
def test_the_factur_x_package_reads_the_same(name: str) -> None:
    content = (reference_folder("einvoices") / name).read_bytes()
    if name.endswith(".pdf"):
        content = next(iter(PdfReader(reference_folder("einvoices") / name).attachment_list)).content
    parse = cast("Any", facturx).parse_ubl_cii_xml  # Any: the package has no types
    theirs: dict[str, Any] = parse(etree.fromstring(content), check_xsd=False)  # Any: as above
    ours = read_document((reference_folder("einvoices") / name).read_bytes())
    sign = -1 if float(theirs["BT-112"]) < 0 else 1
    assert ours.number == theirs["BT-1"]
    assert ours.issued_on == theirs["BT-2"]
    assert ours.currency == theirs["BT-5"]
    assert ours.due_on == theirs.get("BT-9")
    assert ours.total_minor == round(sign * float(theirs["BT-112"]) * 100)
    assert ours.amount_due_minor == round(sign * float(theirs["BT-115"]) * 100)
    assert ours.buyer.name == theirs["BG-7"]["name"]
    assert ours.seller.name == theirs["BG-4"]["name"]
    assert ours.purchase_order == theirs.get("BT-13")
