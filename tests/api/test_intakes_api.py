"""Documents over the API: sent as they are, kept, read by a job, reported; import addresses and their life."""

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from httpx import AsyncClient

from cli.composition import build_registry
from kernel import ids
from storage.database import Database
from storage.registry import Registry
from support.documents import make_cii
from support.receivables import at_work, make_creditor
from support.stories import open_engine
from workers.engine import Engine
from workers.jobs import jobs


@pytest.fixture
def registry() -> Registry:
    return build_registry()


@pytest.fixture
async def engine(database: Database) -> AsyncGenerator[Engine]:
    async with open_engine(database) as engine:
        yield engine


async def test_a_document_sent_is_read_and_reported(
    alice: AsyncClient, bob: AsyncClient, engine: Engine, tenant_id: UUID
) -> None:
    async with at_work(engine.database, tenant_id) as session:
        creditor = await make_creditor(session)
    sent = await alice.post(
        "/v1/documents", content=make_cii(number="F-1"), headers={"content-type": "application/xml"},
        params={"name": "F-1.xml", "creditor": creditor.id},
    )  # fmt: skip
    assert sent.status_code == 202, sent.text
    intake = sent.json()
    assert (intake["state"], intake["channel"]) == ("received", "api")
    early = await alice.get(f"/v1/intakes/{intake['id']}/report")
    assert (early.status_code, early.json()["code"]) == (409, "intake_not_read")
    assert await jobs(engine) == 1
    read = (await alice.get(f"/v1/intakes/{intake['id']}")).json()
    assert (read["state"], read["imported"], read["version"]) == ("read", 1, 2)
    (line,) = (await alice.get(f"/v1/intakes/{intake['id']}/report")).json()["documents"]
    assert (line["verdict"]["file"], line["verdict"]["number"], line["verdict"]["status"]) == (
        "F-1.xml",
        "F-1",
        "imported",
    )
    assert [one["id"] for one in (await alice.get("/v1/intakes", params={"state": "read"})).json()["data"]] == [
        intake["id"]
    ]
    for path in (f"/v1/intakes/{intake['id']}", f"/v1/intakes/{intake['id']}/report"):
        foreign, absent = (
            await bob.get(path),
            await bob.get(path.replace(intake["id"], ids.encode("itk", ids.new_id()))),
        )
        assert (foreign.status_code, foreign.content) == (404, absent.content)


async def test_what_is_no_file_is_refused(alice: AsyncClient) -> None:
    empty = await alice.post("/v1/documents", content=b"", headers={"content-type": "application/pdf"})
    assert (empty.status_code, empty.json()["code"]) == (422, "no_content")
    other = await alice.post("/v1/documents", json={"file": "x"})
    assert other.status_code == 415
    stranger = await alice.post(
        "/v1/documents", content=b"x", headers={"content-type": "application/octet-stream"},
        params={"creditor": ids.encode("crd", ids.new_id())},
    )  # fmt: skip
    assert (stranger.status_code, stranger.json()["code"]) == (404, "creditor_not_found")
    large = await alice.post(
        "/v1/documents", content=b"x",
        headers={"content-type": "application/octet-stream", "content-length": str(51 * 1024 * 1024)},
    )  # fmt: skip
    assert large.status_code == 413


async def test_an_import_address_opens_changes_and_closes(alice: AsyncClient, bob: AsyncClient) -> None:
    opened = await alice.post(
        "/v1/inboxes", json={"senders": ["Compta@Atelier.example", "@tool.example", "tool.example"]}
    )
    assert opened.status_code == 201, opened.text
    inbox = opened.json()
    assert inbox["senders"] == ["compta@atelier.example", "tool.example"]
    wrong = await alice.patch(f"/v1/inboxes/{inbox['id']}", json={"senders": ["nobody"]})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/body/senders/0")
    changed = await alice.patch(f"/v1/inboxes/{inbox['id']}", json={"senders": []}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"], changed.json()["senders"]) == (200, 2, [])
    stale = await alice.patch(f"/v1/inboxes/{inbox['id']}", json={"senders": []}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await bob.post(f"/v1/inboxes/{inbox['id']}/close")).status_code == 404
    first, again = [await alice.post(f"/v1/inboxes/{inbox['id']}/close") for _ in range(2)]
    assert (first.status_code, again.status_code, again.json()["code"]) == (200, 409, "inbox_closed")
    assert [one["id"] for one in (await alice.get("/v1/inboxes")).json()["data"]] == [inbox["id"]]
