"""Files and folders in, verdicts out, and the bytes kept."""

import os
from pathlib import Path

import pytest
from msgspec import structs

from billing_connectors import files
from billing_connectors.csv_files.mapping import UnknownMapping, built_in
from billing_connectors.files import TooManyFiles, files_of, read_bounded
from billing_connectors.importing import import_paths
from storage.blobs import PostgresBlobs
from support.documents import EXAMPLES, make_cii, make_pdf
from support.importing import Importer, statuses
from support.receivables import at_work
from support.tenants import CAUSE

HEADER = "Numéro de facture;Date facture;Échéance;Client;Montant TTC;Devise\n"


def row(number: str, total: str = "120,00") -> str:
    return f"{number};02/03/2026;01/04/2026;Marchal;{total};EUR\n"


def test_folders_are_walked_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.xml", "b/1.xml", "a.pdf", ".hidden", ".git/config", "c/.x", "z.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.xml").symlink_to(tmp_path / "a.pdf")
    found = [str(path.relative_to(tmp_path)) for path in files_of([tmp_path])]
    assert found == ["a.pdf", "b/1.xml", "b/2.xml", "link.xml", "z.csv"]
    assert files_of([tmp_path / ".hidden", tmp_path / "a.pdf"]) == [tmp_path / ".hidden", tmp_path / "a.pdf"]


def test_a_folder_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 3)
    for place in range(4):
        (tmp_path / f"{place}.xml").write_text("x")
    assert len(files_of([tmp_path / f"{place}.xml" for place in range(3)])) == 3
    with pytest.raises(TooManyFiles):
        files_of([tmp_path])


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    assert read_bounded(tmp_path / "file", 3) == b"1234"
    with pytest.raises(OSError, match="not a plain file"):
        read_bounded(tmp_path / "pipe", 3)


async def test_every_file_gets_a_verdict(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    os.mkfifo(tmp_path / "0.pipe")
    (tmp_path / "1.empty").write_bytes(b"")
    (tmp_path / "2.json").write_text("{}")
    (tmp_path / "3.csv").write_text("a;b\n1;2\n")
    (tmp_path / "4.wrong").write_bytes(make_cii())
    (tmp_path / "5.csv").write_bytes(make_pdf(("factur-x.xml", make_cii(number="F-5"))))
    (tmp_path / "6.pdf").write_bytes(make_pdf())
    (tmp_path / "7.csv").write_text(HEADER + row("F-7") + row("F-8", "a lot"))
    verdicts = await importer.paths(tmp_path)
    assert [(Path(one.file).name, one.status, one.reason) for one in verdicts] == [
        ("1.empty", "rejected", "empty_file"),
        ("2.json", "rejected", "unsupported_format"),
        ("3.csv", "rejected", "header_not_found"),
        ("4.wrong", "imported", None),
        ("5.csv", "imported", None),
        ("6.pdf", "rejected", "no_structured_data"),
        ("7.csv", "imported", None),
        ("7.csv", "rejected", "bad_amount"),
    ]
    (pipe, gone) = await importer.paths(tmp_path / "0.pipe", tmp_path / "nothing.xml")
    assert statuses([pipe, gone]) == [("rejected", "unreadable")] * 2
    assert (gone.number, gone.warnings) == (None, None)


async def test_the_bytes_are_kept_sealed_and_only_of_what_was_not_refused(importer: Importer) -> None:
    await importer.creditor()
    content, other = make_cii(), make_cii(total="130.00", due="130.00")
    verdicts = [await importer.one(each) for each in (content, content, other, other, b"<nothing/>")]
    assert [one.status for one in verdicts] == ["imported", "unchanged", "quarantined", "quarantined", "rejected"]
    assert len(await importer.rows("select 1 from app.blob")) == 2
    kept = await importer.rows("""
        select d.status, b.id, b.kind, b.retention, b.subject_id = b.id
        from app.imported_document d join app.blob b on b.id = d.blob_id order by d.id""")
    assert [(status, *about) for status, _, *about in kept] == [
        ("imported", "e_invoice", "raw_document", True),
        ("quarantined", "e_invoice", "raw_document", True),
    ]
    blobs = PostgresBlobs(importer.database.keys)
    async with at_work(importer.database, importer.tenant_id) as session:
        assert [await blobs.get(session, blob_id) for _, blob_id, *_ in kept] == [content, other]
    sealed = await importer.rows("select sealed from app.blob")
    assert not any(b"CrossIndustryInvoice" in bytes(each) for (each,) in sealed)


async def test_what_a_document_says_of_a_person_is_kept_under_the_debtors_key(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(make_cii())
    rows = await importer.rows("""
        select s.body, s.key_version is not null, d.id is not null from app.source_statement s
        left join app.debtor d on d.id = s.object_id order by 3""")
    assert [(sealed, debtor) for _, sealed, debtor in rows] == [(False, False), (True, True)]
    assert not any(b"Marchal" in bytes(body) for body, *_ in rows)


async def test_a_number_in_two_rows_is_one_debt_or_a_question(importer: Importer) -> None:
    await importer.creditor()
    table = HEADER + row("F-1") + row("F-1") + row("F-1", "30,00") + row("F-2")
    expected = [
        ("imported", None), ("unchanged", None), ("quarantined", "number_repeated"), ("imported", None),
    ]  # fmt: skip
    assert statuses(await importer.table(table)) == expected
    assert await importer.rows("select number, total_minor from app.invoice order by 1") == [
        ("F-1", 12_000),
        ("F-2", 12_000),
    ]
    assert await importer.rows("select kind from app.task") == [("document_number_repeated",)]
    before = await importer.events()
    assert statuses(await importer.table(table)) == [
        ("unchanged", None), ("unchanged", None), ("quarantined", "number_repeated"), ("unchanged", None),
    ]  # fmt: skip
    assert await importer.events() == before


async def test_a_file_under_another_mapping_says_something_else(importer: Importer) -> None:
    await importer.creditor()
    table = "Numéro de facture;Date facture;Client;Montant TTC;Net;Devise\nF-1;02/03/2026;Marchal;120,00;90,00;EUR\n"
    assert statuses(await importer.table(table)) == [("imported", None)]
    generic = built_in("generic")
    other = structs.replace(generic, columns={**generic.columns, "Net": "amount_due"})
    assert statuses(await importer.table(table, mapping=other)) == [("updated", None)]
    assert await importer.rows("select balance_minor from app.invoice") == [(9_000,)]
    with pytest.raises(UnknownMapping):
        await importer.table(table, mapping="no-such-mapping")


async def test_a_bulk_import_says_so_on_its_events(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    (tmp_path / "a.csv").write_text(HEADER + row("F-1"))
    cause = structs.replace(CAUSE, backfill=True)
    told: list[str] = []
    verdicts = await import_paths(
        importer.database, importer.tenant_id, [tmp_path], cause=cause, each=lambda one: told.append(one.status)
    )
    assert ([one.status for one in verdicts], told) == (["imported"], ["imported"])
    rows = await importer.rows("select type, backfill from app.event where type like 'invoice.%'")
    assert rows == [("invoice.opened", True)]


@pytest.mark.parametrize("company", ["atelier-belleville", "menuiserie-roux"])
async def test_the_documents_of_the_examples(importer: Importer, company: str) -> None:
    sirens = {"atelier-belleville": "siret:99990101000010", "menuiserie-roux": None}
    folder = EXAMPLES / company
    legal_id = sirens[company]
    await importer.creditor("Ours", *([legal_id] if legal_id else []))
    paths = [path for path in (folder / "einvoices", folder / "invoices.csv") if path.exists()]
    options = {"mapping": str(folder / "mapping.json")}
    first = await importer.paths(*paths, **options)
    by_status = {status: sum(one.status == status for one in first) for status in {one.status for one in first}}
    assert by_status["imported"] >= 90
    assert set(by_status) <= {"imported", "updated", "unchanged", "rejected"}
    before = await importer.events()
    again = await importer.paths(*paths, **options)
    assert {one.status for one in again} <= {"unchanged", "rejected"}
    assert [one.reason for one in again if one.status == "rejected"] == [
        one.reason for one in first if one.status == "rejected"
    ]
    assert await importer.events() == before
