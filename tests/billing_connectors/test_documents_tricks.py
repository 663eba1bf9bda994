"""Files that are not what they seem: names, polyglots, scripts, crowds, locks; documents written in both syntaxes."""

import io
import resource
import time
import zipfile
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from billing_connectors.documents.canonical import Refusal
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.documents.reading import read_document
from support.documents import cii_term, make_cii, make_pdf, make_ubl, refusal_of
from support.importing import Importer

MEGABYTE = 1024 * 1024


def make_scripted(*files: tuple[str, bytes]) -> bytes:
    """A PDF that would run a script, open a page and start a program, were it shown."""
    writer = PdfWriter()
    writer.add_blank_page(width=100, height=100)
    script = DictionaryObject(
        {
            NameObject("/S"): NameObject("/JavaScript"),
            NameObject("/JS"): TextStringObject("app.launchURL('http://127.0.0.1:9/', true); while (true) {}"),
        }
    )
    writer.root_object[NameObject("/OpenAction")] = script
    for name, content in files:
        writer.add_attachment(name, content)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def make_zip(*files: tuple[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("invoice.pdf", make_cii(), "imported"),  # XML that calls itself a PDF
        ("invoice.xml", make_pdf(("factur-x.xml", make_cii())), "imported"),
        ("invoice.csv", make_ubl(), "imported"),
        ("invoice.exe", make_cii(), "imported"),
        ("macro.xml", b"MZ\x90\x00", "rejected"),
        ("table.xlsm", make_zip(("[Content_Types].xml", b"x"), ("xl/vbaProject.bin", b"macro")), "rejected"),
        ("../../etc/passwd\x1b[2J.xml", make_cii(), "imported"),
        ("script.pdf", make_scripted(("factur-x.xml", make_cii())), "imported"),  # a script is never run
        ("script.pdf", make_scripted(), "rejected"),
        ("both.pdf", make_pdf(("factur-x.xml", make_cii())) + make_zip(("a.xml", make_cii(number="X"))), "imported"),
    ],
)
async def test_what_a_file_is_decides_its_content(importer: Importer, name: str, content: bytes, status: str) -> None:
    await importer.creditor()
    (one,) = await importer.content(content, name)
    assert one.verdict.status == status, one
    numbers = await importer.rows("select number from app.invoice")
    assert numbers == ([("FA-2026-0107",)] if status == "imported" else [])


def test_a_crowd_of_files_in_a_pdf_ends_in_time(reader: ConfinedReader) -> None:
    crowd = make_pdf(*((f"annex-{place}.xml", b"<a/>") for place in range(3_000)))
    begun = time.perf_counter()
    found = reader.read(crowd)
    assert time.perf_counter() - begun < 10
    assert isinstance(found, Refusal)


def test_two_invoices_in_one_pdf() -> None:
    ours, annex = make_cii(number="F-1"), make_cii(number="F-2")
    both = (("annex.xml", annex), ("factur-x.xml", ours))
    for files in (both, both[::-1]):
        assert read_document(make_pdf(*files)).number == "F-1"  # the name that the standard gives


def test_a_locked_pdf_says_so() -> None:
    assert refusal_of(make_pdf(("factur-x.xml", make_cii()), password="secret")).reason == "encrypted"
    assert read_document(make_pdf(("factur-x.xml", make_cii()), password="")).number == "FA-2026-0107"


async def test_a_file_of_200_megabytes_is_refused_without_being_read(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    paths = [tmp_path / name for name in ("huge.xml", "huge.pdf", "huge.csv")]
    for path, head in zip(paths, (b"<a>", b"%PDF-1.7", b"numero,date\n"), strict=True):
        with path.open("wb") as file:
            file.write(head)
            file.truncate(200 * MEGABYTE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    verdicts = await importer.paths(*paths)
    assert time.perf_counter() - begun < 10
    assert {(one.status, one.reason) for one in verdicts} == {("rejected", "too_large")}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # kilobytes


def test_documents_cut_short_are_refused() -> None:
    for whole in (make_cii(), make_ubl(), make_pdf(("factur-x.xml", make_cii()))):
        for end in (1, 10, len(whole) // 2, len(whole) - 30):
            assert refusal_of(whole[:end]).reason in {
                "malformed_xml", "unreadable", "unsupported_format", "no_structured_data",
            }  # fmt: skip


DAYS = st.dates(date(2001, 1, 1), date(2098, 12, 31))
NUMBERS = st.text("ABCDEFGHIJ0123456789-/ .&<é漢", min_size=1, max_size=40).map(lambda text: " ".join(text.split()))
ESCAPED = {"&": "&amp;", "<": "&lt;"}


def escaped(text: str) -> str:
    return "".join(ESCAPED.get(character, character) for character in text)


@settings(max_examples=150, deadline=None)
@given(
    number=NUMBERS.filter(bool), issued_on=DAYS, after=st.integers(0, 300),
    minor=st.integers(-10**12, 10**12).filter(bool),
    code=st.sampled_from(["380", "381", "384", "386", "389"]),
)  # fmt: skip
def test_what_is_written_in_either_syntax_is_read_back_the_same(
    number: str, issued_on: date, after: int, minor: int, code: str
) -> None:
    due_on = issued_on + timedelta(days=after)
    amount = f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"
    cii = read_document(
        make_cii(
            number=escaped(number), issued_on=f"{issued_on:%Y%m%d}", type_code=code, total=amount, due=amount,
            terms=cii_term(f"{due_on:%Y%m%d}"),
        )
    )  # fmt: skip
    root = "CreditNote" if code == "381" else "Invoice"
    ubl = read_document(
        make_ubl(
            root=root, number=escaped(number), issued_on=issued_on.isoformat(), type_code=code, total=amount,
            dates=f"<cbc:DueDate>{due_on}</cbc:DueDate>" if root == "Invoice" else "",
            means=f"<cac:PaymentMeans><cbc:PaymentMeansCode>30</cbc:PaymentMeansCode><cbc:PaymentDueDate>{due_on}"
            "</cbc:PaymentDueDate></cac:PaymentMeans>" if root == "CreditNote" else "",
        )
    )  # fmt: skip
    kind = "credit_note" if (code == "381") == (minor > 0) else "invoice"
    for read in (cii, ubl):
        assert (read.kind, read.number, read.issued_on, read.due_on) == (kind, number, issued_on, due_on)
        assert (read.total_minor, read.amount_due_minor, read.type_code) == (abs(minor), abs(minor), code)
    in_pdf = read_document(make_pdf(("factur-x.xml", make_cii(number=escaped(number), total=amount, due=amount))))
    assert (in_pdf.number, in_pdf.total_minor) == (number, abs(minor))


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.integers(1, 10**9), min_size=2, max_size=6),
    days=st.lists(st.integers(0, 300), min_size=6, max_size=6, unique=True),
)
def test_instalments_are_read_where_they_add_up(parts: list[int], days: list[int]) -> None:
    issued_on = date(2026, 3, 2)
    lines = [(issued_on + timedelta(days=after), minor) for after, minor in zip(days, parts, strict=False)]
    terms = "".join(cii_term(f"{day:%Y%m%d}", amount=f"{minor // 100}.{minor % 100:02}") for day, minor in lines)
    total = f"{sum(parts) // 100}.{sum(parts) % 100:02}"
    read = read_document(make_cii(terms=terms, total=total, due=total))
    assert [(one.due_on, one.amount_minor) for one in read.instalments] == sorted(lines)
    more = f"{(sum(parts) + 1) // 100}.{(sum(parts) + 1) % 100:02}"
    differing = read_document(make_cii(terms=terms, total=more, due=more))
    assert (differing.instalments, differing.due_on) == ((), max(day for day, _ in lines))
