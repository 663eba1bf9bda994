"""Imports of files from upload to verdicts: run, run again, tried, cancelled, repeated rows."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from storage.database import Urls
from storage.retention import expire
from support.file_imports import Files, invoices, line, table


async def test_a_file_is_uploaded_laid_out_and_run(files: Files) -> None:
    await files.creditor()
    done = await files.run(invoices(3))
    assert (done["state"], done["error"]) == ("done", None)
    assert done["rows"] == {
        "read": 3, "created": 3, "updated": 0, "unchanged": 0, "refused": 0, "quarantined": 0, "voided": 0, "kept": 0,
        "reasons": {},
    }  # fmt: skip
    assert await files.verdicts(done["id"]) == [(2, "created", None), (3, "created", None), (4, "created", None)]
    assert [row[:3] for row in await files.state()] == [
        ("F-1", 10150, 10150),
        ("F-2", 10250, 10250),
        ("F-3", 10350, 10350),
    ]
    assert await files.events("upload", "import") == [
        "upload.received", "import.created", "import.started", "import.finished",
    ]  # fmt: skip


async def test_the_same_file_again_changes_nothing_and_tells_nothing(files: Files) -> None:
    await files.creditor()
    await files.run(invoices(5))
    before, told = await files.state(), await files.events("invoice", "debtor", "contact")
    again = await files.run(invoices(5))
    assert (again["rows"]["unchanged"], again["rows"]["created"]) == (5, 0)
    assert await files.state() == before
    assert await files.events("invoice", "debtor", "contact") == told


async def test_rows_that_cannot_be_taken_are_listed_and_sent_again_corrected(files: Files) -> None:
    await files.creditor()
    content = table(
        line(1),
        "F-2;31/02/2026;;Petit;;10,00;10,00",
        "F-3;02/03/2026;;Petit;;dix;10,00",
        ";02/03/2026;;Petit;;10,00;10,00",
        line(5),
        "F-5;02/03/2026;01/04/2026;Client 5;;999,00;999,00",
    )
    done = await files.run(content)
    assert await files.verdicts(done["id"]) == [
        (2, "created", None), (3, "refused", "bad_date"), (4, "refused", "bad_amount"),
        (5, "refused", "missing_number"), (6, "created", None), (7, "quarantined", "number_repeated"),
    ]  # fmt: skip
    assert done["rows"]["reasons"] == {"bad_amount": 1, "bad_date": 1, "missing_number": 1, "number_repeated": 1}
    assert await files.verdicts(done["id"], status="refused") == [
        (3, "refused", "bad_date"), (4, "refused", "bad_amount"), (5, "refused", "missing_number"),
    ]  # fmt: skip
    answer = await files.client.get(f"/v1/imports/{done['id']}/not_taken", headers={"accept": "text/csv"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    given = answer.text.replace("31/02/2026", "28/02/2026").replace(";dix;", ";10,00;").replace("\r\n", "\n")
    again = await files.run(given)
    assert [row[1:] for row in await files.verdicts(again["id"])] == [
        ("created", None), ("created", None), ("refused", "missing_number"), ("quarantined", "conflicting_total"),
    ]  # fmt: skip


async def test_a_dry_run_judges_every_row_and_brings_nothing_in(files: Files) -> None:
    await files.creditor()
    tried = await files.run(table(line(1), line(2), line(2, due="7,00"), "F-9;x;;;;;"), dry_run=True)
    assert tried["state"] == "done"
    assert await files.verdicts(tried["id"]) == [
        (2, "created", None), (3, "created", None), (4, "quarantined", "number_repeated"), (5, "refused", "bad_date"),
    ]  # fmt: skip
    assert await files.state() == []
    assert await files.count("select count(*) from app.debtor") == 0
    assert await files.events("invoice", "debtor") == []
    undo = await files.client.post(f"/v1/imports/{tried['id']}/undo")
    assert (undo.status_code, undo.json()["code"]) == (409, "import_not_undoable")


async def test_a_preview_shows_what_would_become_of_the_first_rows(files: Files) -> None:
    await files.creditor()
    await files.run(table(line(1)))
    import_id = await files.lay_out(table(line(1), line(2), "F-9;02/03/2026;;Petit;;dix;"))
    preview = await files.ok("post", f"/v1/imports/{import_id}/preview")
    assert (preview["rows_tried"], preview["is_whole"]) == (3, True)
    assert preview["counts"] == {"unchanged": 1, "created": 1, "refused": 1}
    assert preview["rows"][1]["document"]["total_minor"] == 10250
    (refused,) = preview["not_taken"]
    assert (refused["line"], refused["reason"], refused["column"]) == (4, "bad_amount", "Montant TTC")
    assert [row[0] for row in await files.state()] == ["F-1"]
    assert (await files.ok("get", f"/v1/imports/{import_id}"))["state"] == "ready"


async def test_an_import_is_run_once_and_cancelled_once(files: Files) -> None:
    await files.creditor()
    import_id = await files.lay_out(invoices(3))
    await files.ok("post", f"/v1/imports/{import_id}/run")
    second = await files.client.post(f"/v1/imports/{import_id}/run")
    assert (second.status_code, second.json()["code"]) == (409, "import_not_ready")
    assert (await files.ok("post", f"/v1/imports/{import_id}/cancel"))["state"] == "cancelling"
    assert (await files.ok("post", f"/v1/imports/{import_id}/cancel"))["state"] == "cancelling"
    done = await files.worked(import_id)
    assert (done["state"], done["rows"]["read"]) == ("cancelled", 0)
    assert await files.state() == []
    assert (await files.events("import"))[-1] == "import.cancelled"
    never = await files.lay_out(invoices(3))
    assert (await files.ok("post", f"/v1/imports/{never}/cancel"))["state"] == "cancelled"
    third = await files.client.post(f"/v1/imports/{never}/run")
    assert (third.status_code, third.json()["code"]) == (409, "import_not_ready")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "upload_empty"),
        (b"%PDF-1.7 ...", 422, "upload_unsupported"),
        (b"<?xml version='1.0'?><a/>", 422, "upload_unsupported"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 422, "upload_unsupported"),
    ],
)
async def test_what_is_no_table_is_refused_when_it_is_sent(
    files: Files, content: bytes, status: int, code: str
) -> None:
    headers = {"content-type": "application/octet-stream"}
    answer = await files.client.post("/v1/uploads", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_gigabyte_is_refused_before_it_is_read(files: Files) -> None:
    read = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal read
        for _ in range(1024):
            read += 1
            yield b"x" * 1024 * 1024

    headers = {"content-type": "text/csv", "content-length": str(1024**3)}
    answer = await files.client.post("/v1/uploads", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "media", ["multipart/form-data; boundary=x", "application/json", "application/x-www-form-urlencoded"]
)
async def test_only_the_bytes_of_a_file_are_an_upload(files: Files, media: str) -> None:
    answer = await files.client.post("/v1/uploads", content=b"a;b\n", headers={"content-type": media})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_an_upload_that_is_sent_twice_with_one_key_is_one(files: Files) -> None:
    headers = {"content-type": "text/csv", "idempotency-key": "once"}
    first = await files.client.post("/v1/uploads", content=invoices(1).encode(), headers=headers)
    again = await files.client.post("/v1/uploads", content=invoices(1).encode(), headers=headers)
    other = await files.client.post("/v1/uploads", content=invoices(2).encode(), headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await files.count("select count(*) from app.upload") == 1


async def test_a_removed_upload_is_unreadable_and_what_was_imported_stays(files: Files) -> None:
    await files.creditor()
    done = await files.run(table(line(1), "F-2;x;;Petit;;1,00;"))
    await files.ok("delete", f"/v1/uploads/{done['upload_id']}")
    again = await files.client.post("/v1/imports", json={"upload_id": done["upload_id"]})
    assert (again.status_code, again.json()["code"]) == (409, "upload_removed")
    answer = await files.client.get(f"/v1/imports/{done['id']}/not_taken")
    assert "Petit" not in answer.text
    assert "bad_date" in answer.text
    assert [row[0] for row in await files.state()] == ["F-1"]


async def test_an_upload_whose_retention_has_ended_is_gone_and_what_was_imported_stays(
    files: Files, database_urls: Urls
) -> None:
    await files.creditor()
    done = await files.run(table(line(1)))
    assert database_urls.owner is not None
    engine = create_async_engine(database_urls.owner)
    async with engine.begin() as connection:
        gone = await connection.run_sync(expire, datetime.now(UTC) + timedelta(days=91))
    await engine.dispose()
    assert gone["upload"] == 1
    again = await files.client.post("/v1/imports", json={"upload_id": done["upload_id"]})
    assert (again.status_code, again.json()["code"]) == (409, "upload_removed")
    assert [row[0] for row in await files.state()] == ["F-1"]
