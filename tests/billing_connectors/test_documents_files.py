"""What a file is: decided by its content, through PDFs, encodings and other formats."""

import pytest

from billing_connectors.documents.reading import read_document
from support.documents import make_cii, make_pdf, make_ubl, refusal_of


def test_a_pdf_is_read_by_the_invoice_that_it_carries() -> None:
    document = read_document(make_pdf(("factur-x.xml", make_cii(guideline="urn:factur-x.eu:1p0:minimum"))))
    assert (document.format, document.number) == ("facturx-minimum", "FA-2026-0107")
    assert read_document(b"\n\n junk \n" + make_pdf(("factur-x.xml", make_cii()))).number == "FA-2026-0107"


@pytest.mark.parametrize(
    ("guideline", "form"),
    [
        ("urn:factur-x.eu:1p0:basicwl", "facturx-basicwl"),
        ("urn:cen.eu:en16931:2017#compliant#urn:factur-x.eu:1p0:basic", "facturx-basic"),
        ("urn:cen.eu:en16931:2017", "facturx-en16931"),
        ("urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended", "facturx-extended"),
        ("urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0", "facturx-en16931"),
        ("urn:example", "facturx"),
    ],
)
def test_the_guideline_gives_the_profile(guideline: str, form: str) -> None:
    document = read_document(make_pdf(("factur-x.xml", make_cii(guideline=guideline))))
    assert document.format == form
    assert ("profile_unknown" in document.warnings) == (form == "facturx")


def test_the_invoice_s_own_file_counts_and_not_an_annex() -> None:
    annex = ("annex.xml", b"<order/>")
    other = ("other.xml", make_cii(number="OTHER"))
    own = ("Factur-X.XML", make_cii())
    assert read_document(make_pdf(annex, other, own)).number == "FA-2026-0107"
    assert read_document(make_pdf(annex, other)).number == "OTHER"
    assert refusal_of(make_pdf(("factur-x.xml", b"<broken"), other)).reason == "malformed_xml"


def test_a_pdf_without_an_invoice_has_no_structured_data() -> None:
    assert refusal_of(make_pdf()).reason == "no_structured_data"
    assert refusal_of(make_pdf(("annex.xml", b"<order/>"))).reason == "no_structured_data"
    assert refusal_of(make_pdf(("factur-x.txt", make_cii()))).reason == "no_structured_data"


def test_a_pdf_that_is_only_locked_for_printing_is_read() -> None:
    assert read_document(make_pdf(("factur-x.xml", make_cii()), password="")).number == "FA-2026-0107"
    assert refusal_of(make_pdf(("factur-x.xml", make_cii()), password="secret")).reason == "encrypted"


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ('<CrossIndustryDocument xmlns="urn:ferd:CrossIndustryDocument:invoice:1p0"/>', "unsupported_format"),
        ('<x:SCRDMCCBDACIOMessageStructure xmlns:x="urn:un:unece:uncefact:data:y:100"/>', "not_an_invoice"),
        ('<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>', "not_an_invoice"),
        ('<Reminder xmlns="urn:oasis:names:specification:ubl:schema:xsd:Reminder-2"/>', "not_an_invoice"),
        ('<DebitNote xmlns="urn:oasis:names:specification:ubl:schema:xsd:DebitNote-2"/>', "unsupported_format"),
        ("<Invoice/>", "unsupported_format"),
        ('<Invoice xmlns="urn:example"/>', "unsupported_format"),
        ('<p:FatturaElettronica xmlns:p="urn:fattura"/>', "unsupported_format"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_format"),
    ],
)  # fmt: skip
def test_other_xml_is_refused_for_what_it_is(root: str, reason: str) -> None:
    assert refusal_of(root.encode()).reason == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"\x00" * 100, "unsupported_format"),
        (b"PK\x03\x04 an archive", "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n", "unsupported_format"),
        (b"invoice;total\n1;2\n", "unsupported_format"),
        (bytes(range(256)) * 40, "unsupported_format"),
        (b"%PDF-1.7", "unreadable"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 40, "unreadable"),
        (b"<", "malformed_xml"),
        (b"<a></b>", "malformed_xml"),
        (b"   \n", "unsupported_format"),
    ],
)
def test_what_is_no_invoice_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    assert refusal_of(content).reason == reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_an_invoice_is_read_in_its_declared_encoding(encoding: str) -> None:
    text = make_cii().decode().replace("Marchal", "Hélène").replace("UTF-8", encoding.removesuffix("-sig"))
    assert read_document(text.encode(encoding)).buyer.name == "Boulangerie Hélène"


@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "utf-32", "no-such"])
def test_an_encoding_in_which_marks_could_hide_is_refused(encoding: str) -> None:
    text = make_cii().decode().replace("UTF-8", encoding)
    assert refusal_of(text.encode()).reason == "malformed_xml"


def test_a_document_that_breaks_its_schema_is_read_with_a_warning() -> None:
    assert "xsd_invalid" in read_document(make_cii()).warnings  # no lines, as EN 16931 asks
    assert "xsd_invalid" in read_document(make_ubl()).warnings
    copied = make_cii().replace(
        b"<ram:TypeCode>",
        b"<ram:CopyIndicator><udt:Indicator>true</udt:Indicator></ram:CopyIndicator><ram:TypeCode>",
        1,
    )
    assert "copy" in read_document(copied).warnings
