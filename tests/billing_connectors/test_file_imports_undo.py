"""Undoing an import, and what a snapshot proposes to close."""

from typing import Any

from httpx import AsyncClient

from support.file_imports import Files, line, table


async def undone(files: Files, import_id: str) -> dict[str, Any]:  # Any: JSON
    await files.ok("post", f"/v1/imports/{import_id}/undo")
    return await files.worked(import_id)


async def test_what_an_import_created_is_taken_back_and_can_be_read_again(files: Files) -> None:
    await files.creditor()
    wrong = await files.run(table(line(1), line(2)))
    done = await undone(files, wrong["id"])
    assert (done["state"], done["rows"]["voided"], done["rows"]["kept"]) == ("undone", 2, 0)
    assert [row[4] for row in await files.state()] == ["void", "void"]
    assert (await files.events("import"))[-1] == "import.undone"
    right = await files.run(table(line(1), line(2)))
    assert right["rows"]["created"] == 2
    assert [row[:3] for row in await files.state() if row[4] == "open"] == [
        ("F-1", 10150, 10150),
        ("F-2", 10250, 10250),
    ]
    twice = await files.ok("post", f"/v1/imports/{wrong['id']}/undo")
    assert twice["state"] == "undone"


async def test_what_was_touched_since_is_kept_and_listed(files: Files, alice: AsyncClient) -> None:
    creditor_id = await files.creditor()
    done = await files.run(table(line(1), line(2), line(3)))
    found = (await files.ok("get", "/v1/invoices"))["data"]
    paid = next(each for each in found if each["number"] == "F-2")
    held = next(each for each in found if each["number"] == "F-3")
    receipt = {"creditor_id": creditor_id, "debtor_id": paid["debtor_id"], "currency": "EUR", "amount_minor": 100,
               "allocations": [{"invoice_id": paid["id"], "amount_minor": 100}]}  # fmt: skip
    await files.ok("post", "/v1/receipts", json=receipt, headers={"idempotency-key": "r"})
    await files.ok("post", "/v1/holds", json={"invoice_id": held["id"]})
    done = await undone(files, done["id"])
    assert (done["rows"]["voided"], done["rows"]["kept"]) == (1, 2)
    kept = await files.ok("get", f"/v1/imports/{done['id']}/rows", params={"undo": "kept"})
    assert [row["number"] for row in kept["data"]] == ["F-2", "F-3"]
    assert [row[4] for row in await files.state()] == ["void", "open", "open"]


async def test_a_second_import_does_not_own_what_the_first_created(files: Files) -> None:
    await files.creditor()
    await files.run(table(line(1)))
    second = await files.run(table(line(1), line(2)))
    done = await undone(files, second["id"])
    assert done["rows"]["voided"] == 1
    assert [row[4] for row in await files.state() if row[0] == "F-1"] == ["open"]


async def test_a_snapshot_proposes_to_close_what_it_no_longer_names(files: Files) -> None:
    creditor_id = await files.creditor()
    await files.run(table(line(1), line(2), line(3), line(4)), creditor_id=creditor_id)
    snapshot = table(line(1), line(2, due="50,00"), "F-4;02/03/2026;;Client 4;;dix;")
    done = await files.run(snapshot, creditor_id=creditor_id, mode="snapshot")
    proposed = (await files.ok("get", f"/v1/imports/{done['id']}/closings"))["data"]
    assert [(each["number"], each["open_minor"], each["state"]) for each in proposed] == [("F-3", 10350, "proposed")]
    assert [row[2] for row in await files.state()] == [10150, 5000, 10350, 10450]  # nothing is closed by itself
    decided = await files.ok("post", f"/v1/imports/{done['id']}/closings/decide", json={"accept": "all"})
    assert (decided["accepted"], decided["rejected"]) == (1, 0)
    await files.worked(done["id"])
    assert [row[2] for row in await files.state()] == [10150, 5000, 0, 10450]
    (closed,) = (await files.ok("get", f"/v1/imports/{done['id']}/closings"))["data"]
    assert closed["state"] == "closed"
    assert (await files.events("invoice"))[-1] == "invoice.settled"
    again = await files.ok("post", f"/v1/imports/{done['id']}/closings/decide", json={"accept": "all", "reject": "all"})
    assert (again["accepted"], again["rejected"], again["job_id"]) == (0, 0, None)


async def test_an_item_that_comes_back_is_open_again(files: Files) -> None:
    creditor_id = await files.creditor()
    await files.run(table(line(1), line(2)), creditor_id=creditor_id)
    done = await files.run(table(line(1)), creditor_id=creditor_id, mode="snapshot")
    (proposed,) = (await files.ok("get", f"/v1/imports/{done['id']}/closings"))["data"]
    await files.ok("post", f"/v1/imports/{done['id']}/closings/decide", json={"accept": [proposed["id"]]})
    await files.worked(done["id"])
    assert [row[2] for row in await files.state()] == [10150, 0]
    await files.run(table(line(1), line(2, due="20,00")), creditor_id=creditor_id, mode="snapshot")
    assert [row[2] for row in await files.state()] == [10150, 2000]


async def test_a_rejected_proposal_stays_open(files: Files) -> None:
    creditor_id = await files.creditor()
    await files.run(table(line(1), line(2)), creditor_id=creditor_id)
    done = await files.run(table(line(1)), creditor_id=creditor_id, mode="snapshot")
    decided = await files.ok("post", f"/v1/imports/{done['id']}/closings/decide", json={"reject": "all"})
    assert (decided["rejected"], decided["job_id"]) == (1, None)
    assert [row[2] for row in await files.state()] == [10150, 10250]


async def test_a_snapshot_names_its_creditor_and_closes_nothing_of_another(files: Files) -> None:
    north, south = await files.creditor("Nord"), await files.creditor("Sud")
    await files.run(table(line(1)), creditor_id=north)
    await files.run(table(line(2)), creditor_id=south)
    upload_id = await files.upload(table(line(3)))
    without = await files.client.post("/v1/imports", json={"upload_id": upload_id, "mode": "snapshot"})
    assert without.status_code == 422
    assert without.json()["errors"][0]["pointer"] == "/body/creditor_id"
    done = await files.run(table(line(3)), creditor_id=north, mode="snapshot")
    proposed = (await files.ok("get", f"/v1/imports/{done['id']}/closings"))["data"]
    assert [each["number"] for each in proposed] == ["F-1"]
    delta = await files.run(table(line(4)), creditor_id=north)
    refused = await files.client.post(f"/v1/imports/{delta['id']}/closings/decide", json={"accept": "all"})
    assert (refused.status_code, refused.json()["code"]) == (409, "import_not_ended")
