"""Files that mean harm: refused with a reason, within the seconds and the memory that are stated."""

import io
import time
import zlib
from collections.abc import Callable, Generator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from billing_connectors.documents import confined, markup
from billing_connectors.documents.canonical import Document, Refusal, Rejected
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.documents.reading import read_document
from support.documents import make_cii, make_pdf, make_ubl, refusal_of

LAUGHS = b"".join(b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(9))
NAMES = b"<</Type/Catalog/Names<</EmbeddedFiles<</Names[(factur-x.xml) 2 0 R]>>>>>>"
FILE = b"<</Type/Filespec/F(factur-x.xml)/EF<</F 3 0 R>>>>"


@pytest.fixture(scope="module")
def reader() -> Generator[ConfinedReader]:
    with ConfinedReader() as made:
        yield made


def make_raw_pdf(*objects: bytes) -> bytes:
    written = io.BytesIO()
    written.write(b"%PDF-1.7\n")
    places: list[int] = []
    for number, body in enumerate(objects, 1):
        places.append(written.tell())
        written.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = written.tell()
    written.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
    written.writelines(b"%010d 00000 n \n" % place for place in places)
    written.write(b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, table))
    return written.getvalue()


def make_stream(body: bytes, filters: bytes = b"/FlateDecode") -> bytes:
    return b"<</Length %d/Filter %s>>\nstream\n%s\nendstream" % (len(body), filters, body)


def make_bomb(layers: int) -> bytes:
    body = b" " * 60_000_000
    for _ in range(layers):
        body = zlib.compress(body, 9)
    return body


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE l [<!ENTITY a "lol">' + LAUGHS + b"]>",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
        b"<!DOCTYPE a>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_document_type_declaration_is_refused_before_it_is_parsed(doctype: bytes, encoding: str) -> None:
    body = make_cii().decode().split("?>\n", 1)[1].replace("FA-2026-0107", "&x;&j;")
    text = f'\ufeff<?xml version="1.0" encoding="{encoding[:6].rstrip("-")}"?>' + doctype.decode() + body
    assert refusal_of(text.encode(encoding)).reason == "forbidden_dtd"
    assert refusal_of(make_pdf(("factur-x.xml", text.encode(encoding)))).reason == "forbidden_dtd"


def test_an_undeclared_entity_is_refused() -> None:
    assert refusal_of(make_cii(number="&x;")).reason == "malformed_xml"


def test_nothing_is_fetched_for_a_document() -> None:
    pointed = make_cii().replace(
        b"<rsm:CrossIndustryInvoice",
        b'<rsm:CrossIndustryInvoice xmlns:xi="http://www.w3.org/2001/XInclude"'
        b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x http://127.0.0.1:9/x.xsd"',
    )
    included = pointed.replace(b"FA-2026-0107", b'<xi:include href="file:///etc/passwd" parse="text"/>')
    assert read_document(pointed).number == "FA-2026-0107"
    assert refusal_of(included).reason == "missing_number"


def _terms(text: str) -> str:
    described = f"<ram:Description>{text}</ram:Description>"
    return f"<ram:SpecifiedTradePaymentTerms>{described}</ram:SpecifiedTradePaymentTerms>"


NOTE = "<cac:PaymentTerms><cbc:Note>x</cbc:Note></cac:PaymentTerms>"
LARGE: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "elements": (lambda: b"<a>" + b"<b/>x" * 1_300_000 + b"</a>", "too_large"),
    "attributes": (lambda: b"<a " + b" ".join(b'b%d=""' % at for at in range(1_300_000)) + b"/>", "too_large"),
    "bytes": (lambda: b"<a>" + b" " * markup.MAX_BYTES + b"</a>", "too_large"),
    "text": (lambda: b"<a>" + b"x" * 15_000_000 + b"</a>", "too_large"),
    "depth": (lambda: b"<a>" * 100_000, "too_large"),
    "repeated ids": (lambda: make_cii(seller_ids="<ram:ID>1</ram:ID>" * 300_000), None),
    "repeated terms": (lambda: make_ubl(terms=NOTE * 90_000), None),
    "breaches of the schema": (lambda: make_cii(settlement="<ram:X/>" * 400_000), None),
    "long text": (lambda: make_cii(terms=_terms("\n a" * 3_000_000)), None),
}


@pytest.mark.parametrize("name", LARGE)
def test_xml_that_is_large_in_any_way_takes_little(name: str, reader: ConfinedReader) -> None:
    make, reason = LARGE[name]
    outcome = reader.read(make())
    if reason is None:
        assert isinstance(outcome, Document)
        assert outcome.number == "FA-2026-0107"
        assert len(outcome.seller.legal_ids) <= 50
    else:
        assert isinstance(outcome, Refusal)
        assert outcome.reason == reason


def _pdf_with(body: bytes, filters: bytes) -> bytes:
    return make_raw_pdf(NAMES, FILE, make_stream(body, filters))


LOOP = (b"<</Type/Catalog/Names<</EmbeddedFiles 2 0 R>>>>", b"<</Kids[" + b"2 0 R " * 500 + b"]>>")
END = b"\nendobj\ntrailer <</Root 1 0 R>>\nstartxref\n9\n%%EOF"
PDFS: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb": (lambda: _pdf_with(make_bomb(1), b"/FlateDecode"), "too_large"),
    "bomb in a bomb": (lambda: _pdf_with(make_bomb(2), b"[/FlateDecode/FlateDecode]"), "too_large"),
    "many filters": (lambda: _pdf_with(b"x", b"[" + b"/FlateDecode" * 100 + b"]"), "too_large"),
    "text filter": (lambda: _pdf_with(b"z" * 9_000_000 + b"~>", b"/ASCII85Decode"), "unreadable"),
    "names that loop": (lambda: make_raw_pdf(*LOOP), "no_structured_data"),
    "a file that is itself": (lambda: make_raw_pdf(NAMES, b"2 0 R"), "unreadable"),
    "zeros": (lambda: b"%PDF-1.7\n" + b"\0" * 5_000_000, "unreadable"),
    "brackets": (lambda: b"%PDF-1.7\n1 0 obj\n" + b"[" * 1_000_000 + END, "unreadable"),
}


@pytest.mark.parametrize("name", PDFS)
def test_a_pdf_that_inflates_or_loops_is_refused(name: str, reader: ConfinedReader) -> None:
    make, reason = PDFS[name]
    outcome = reader.read(make())
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason


def test_many_files_that_are_each_within_the_limit_are_refused_together() -> None:
    body = make_stream(zlib.compress(b" " * 15_000_000, 9))
    count = 10
    names = b"".join(b"(a.xml) %d 0 R " % (2 + at) for at in range(count))
    files = [b"<</F(a%d.xml)/EF<</F %d 0 R>>>>" % (at, 2 + count + at) for at in range(count)]
    catalog = b"<</Type/Catalog/Names<</EmbeddedFiles<</Names[" + names + b"]>>>>>>"
    assert refusal_of(make_raw_pdf(catalog, *files, *[body] * count)).reason == "too_large"


def test_a_reading_beyond_its_seconds_is_ended_and_the_next_one_works() -> None:
    slow = b"%PDF-1.7\n1 0 obj<<>>endobj\n" + b"trailer <</Root 1 0 R>>\n" * 400_000 + b"startxref\n5\n%%EOF"
    with ConfinedReader(read_s=1.0) as reader:
        assert isinstance(reader.read(make_cii()), Document)
        began = time.monotonic()
        refused = reader.read(slow)
        assert time.monotonic() - began < 5
        assert isinstance(refused, Refusal)
        assert refused.reason == "too_complex"
        again = reader.read(make_cii())
        assert isinstance(again, Document)
        assert again.number == "FA-2026-0107"


def test_a_reading_beyond_its_memory_is_ended() -> None:
    assert confined.MEMORY_BYTES <= 500 * 1024 * 1024
    catalog = b"<</Type/Catalog/Names<</EmbeddedFiles 2 0 R>>>>"
    # An object stream is not an attachment: its filter is pypdf's affair, and costs a hundred times its size.
    body = b"z" * 8_000_000 + b"~>"
    stream = b"<</Type/ObjStm/N 1/First 4/Length %d/Filter/ASCII85Decode>>\nstream\n%s\nendstream" % (len(body), body)
    head = b"%PDF-1.7\n"
    first = b"1 0 obj\n%s\nendobj\n" % catalog
    third = b"3 0 obj\n%s\nendobj\n" % stream
    rows = b"".join(
        bytes([kind]) + place.to_bytes(4, "big") + b"\0"
        for kind, place in ((0, 0), (1, len(head)), (2, 3), (1, len(head) + len(first)))
    )
    table = len(head) + len(first) + len(third)
    xref = b"4 0 obj\n<</Type/XRef/Size 4/W[1 4 1]/Root 1 0 R/Length %d>>\nstream\n%s\nendstream\nendobj\n" % (
        len(rows),
        rows,
    )
    content = head + first + third + xref + b"startxref\n%d\n%%%%EOF" % table
    with ConfinedReader() as reader:
        outcome = reader.read(content)
        assert isinstance(outcome, Refusal)
        assert outcome.reason == "too_complex"
        assert isinstance(reader.read(make_cii()), Document)


def test_a_file_beyond_every_limit_is_not_even_handed_over() -> None:
    with ConfinedReader() as reader:
        outcome = reader.read(bytes(confined.MAX_CONTENT + 1))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "too_large"


def test_the_confined_process_ends_with_its_reader() -> None:
    reader = ConfinedReader()
    assert isinstance(reader.read(b""), Refusal)
    process = reader._process  # noqa: SLF001 -- whether it ended is the question
    assert process is not None
    assert process.poll() is None
    reader.close()
    assert process.poll() is not None


PIECES = st.sampled_from([make_cii(), make_ubl(), make_pdf(("factur-x.xml", make_cii()))])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(content=PIECES, at=st.integers(0, 4000), length=st.integers(0, 400), patch=st.binary(max_size=60))
@example(content=make_cii(), at=0, length=0, patch=b"\xef\xbb\xbf")
def test_a_damaged_document_is_read_or_refused(content: bytes, at: int, length: int, patch: bytes) -> None:
    damaged = content[:at] + patch + content[at + length :]
    try:
        document = read_document(damaged)
    except Rejected as rejected:
        assert rejected.refusal.reason.isidentifier()  # noqa: PT017 -- either outcome is right
    else:
        assert document.total_minor >= 0
        assert document.amount_due_minor >= 0


@settings(max_examples=100)
@given(st.binary(max_size=2000))
def test_random_bytes_are_refused(content: bytes) -> None:
    assert refusal_of(content).reason in {"empty_file", "unsupported_format", "malformed_xml", "unreadable"}
