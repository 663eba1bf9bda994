"""Zip archives: what is in them is imported as if it had come by itself; bombs and tricks are bounded."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import pytest

from billing_connectors import archives
from billing_connectors.archives import entries, shown
from support.books import NAME, books
from support.documents import make_cii, make_pdf, make_ubl
from support.importing import Importer, statuses

MEGABYTE = 1024 * 1024


def make_zip(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return written.getvalue()


def reasons(content: bytes) -> list[tuple[str, str | None]]:
    return [(each.name, each.refusal.reason if each.refusal else None) for each in entries(content)]


async def test_an_archive_is_its_files(importer: Importer) -> None:
    await importer.creditor()
    inner = make_zip(("c/d.xml", make_ubl(number="F-3")))
    written = books()
    written.sale("C1", "F-4", "20260105", 1200)
    content = make_zip(
        ("factures/a.xml", make_cii(number="F-1")), ("b.pdf", make_pdf(("factur-x.xml", make_cii(number="F-2")))),
        ("encore.zip", inner), (NAME, written.content()), ("lisez-moi.docx", b"hello"), ("__MACOSX/._a.xml", b"x"),
    )  # fmt: skip
    judged = [one.verdict for one in await importer.content(content, "mars.zip")]
    assert [(one.file, one.status, one.number) for one in judged] == [
        ("mars.zip/a.xml", "imported", "F-1"),
        ("mars.zip/b.pdf", "imported", "F-2"),
        ("mars.zip/encore.zip/d.xml", "imported", "F-3"),
        (f"mars.zip/{NAME}", "imported", "F-4"),
        ("mars.zip/lisez-moi.docx", "rejected", None),
    ]
    events = await importer.events()
    again = [one.verdict for one in await importer.content(content, "avril.zip")]
    assert statuses(again)[:4] == [("unchanged", None)] * 4
    assert await importer.events() == events


async def test_an_empty_archive_says_so(importer: Importer) -> None:
    await importer.creditor()
    (one,) = await importer.content(make_zip(), "vide.zip")
    assert (one.verdict.status, one.verdict.reason) == ("rejected", "empty_file")


def test_archives_are_read_one_level_deep() -> None:
    deep = make_zip(("a.xml", b"<a/>"))
    for _ in range(3):
        deep = make_zip(("inner.zip", deep))
    assert reasons(deep) == [("inner.zip/inner.zip", "too_complex")]


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "C:\\Windows\\system.ini", "a/../../b.xml", "..", "x\r\nX: y.xml",
     "\x1b[2Jx.xml", "\u202efdp.xml", "n" * 5000],
)  # fmt: skip
def test_names_are_shown_and_never_paths(name: str) -> None:
    told = shown(name)
    assert told.isprintable()
    assert "/" not in told
    assert told not in {"", ".", ".."}
    assert len(told) <= 200
    assert [each.content for each in entries(make_zip((name, b"<a/>")))] in ([b"<a/>"], [])


def test_what_an_entry_inflates_to_is_bounded() -> None:
    bomb = make_zip(*((f"{place}.xml", bytes(archives.MAX_BYTES + MEGABYTE)) for place in range(5)))
    assert len(bomb) < MEGABYTE
    tracemalloc.start()
    begun = time.perf_counter()
    found = reasons(bomb)
    assert time.perf_counter() - begun < 10
    assert tracemalloc.get_traced_memory()[1] < 200 * MEGABYTE
    tracemalloc.stop()
    assert {reason for _, reason in found} == {"too_large"}
    assert len(found) <= 6


def test_an_entry_that_lies_about_its_size_is_not_believed() -> None:
    honest = make_zip(("a.xml", bytes(archives.MAX_BYTES + 10)))
    size = struct.pack("<L", archives.MAX_BYTES + 10)
    lying = honest.replace(size, struct.pack("<L", 5))
    ((_, reason),) = reasons(lying)
    assert reason in {"unreadable", "too_large"}


def test_too_many_entries_end_the_archive() -> None:
    found = reasons(make_zip(*((f"{place}.xml", b"<a/>") for place in range(archives.MAX_ENTRIES + 50))))
    assert len(found) == archives.MAX_ENTRIES + 1
    assert found[-1][1] == "too_large"


def test_overlapping_entries_are_bounded_too() -> None:
    """Many entries of the directory that share one compressed block, each inflating to as much as is allowed."""
    kernel = make_zip(("a.xml", bytes(20 * MEGABYTE)))
    start = kernel.rindex(b"PK\x01\x02")
    end = kernel.rindex(b"PK\x05\x06")
    directory = kernel[start:end]
    count = 900
    tail = kernel[end : end + 8] + struct.pack("<HHLL", count, count, len(directory) * count, start) + b"\0\0"
    begun = time.perf_counter()
    found = reasons(kernel[:start] + directory * count + tail)
    assert time.perf_counter() - begun < 10
    assert found[-1][1] == "too_large"
    assert len(found) < 20


def test_what_is_broken_or_locked_says_so_and_the_rest_is_read() -> None:
    content = make_zip(("a.xml", b"<first/>" * 50), ("b.xml", b"<second/>"), method=zipfile.ZIP_STORED)
    broken = content.replace(b"<first/>", b"<fIrst/>", 1)
    assert reasons(broken) == [("a.xml", "unreadable"), ("b.xml", None)]
    locked = bytearray(make_zip(("a.xml", b"<a/>")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + offset] |= 1
    assert reasons(bytes(locked)) == [("a.xml", "encrypted")]
    assert reasons(content[:60])[0][1] == "unreadable"
    assert reasons(b"PK\x03\x04" + zlib.compress(b"x"))[0][1] == "unreadable"


def test_office_documents_and_programs_are_no_archives_of_invoices() -> None:
    for name in ("[Content_Types].xml", "META-INF/MANIFEST.MF", "mimetype"):
        assert reasons(make_zip((name, b"x"), ("vbaProject.bin", b"macro"))) == [("", "unsupported_format")]
