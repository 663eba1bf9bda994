"""Receivables over HTTP: made, found, corrected, paid, and like nothing to another tenant."""

from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient

from kernel import ids
from storage.database import Database
from support.counting import statements

Json = dict[str, Any]  # Any: a body


async def made(client: AsyncClient, path: str, **body: Any) -> Json:  # Any: fields of a body
    answer = await client.post(path, json=body, headers={"Idempotency-Key": str(ids.new_id())})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def done(client: AsyncClient, path: str, **body: Any) -> Json:  # Any: fields of a body
    answer = await client.post(path, json=body, headers={"Idempotency-Key": str(ids.new_id())})
    assert answer.status_code == 200, answer.text
    return answer.json()


class World:
    """A creditor, a debtor and what can be written of them."""

    def __init__(self, client: AsyncClient, creditor: Json, debtor: Json) -> None:
        self.client = client
        self.parties = {"creditor_id": creditor["id"], "debtor_id": debtor["id"]}
        self.creditor, self.debtor = creditor, debtor

    def bill(self, number: str = "F-1", total_minor: int = 10_000, **more: Any) -> Json:  # Any: fields of a body
        body = {"number": number, "issued_on": "2026-02-01", "due_on": "2026-03-03", "currency": "EUR"}
        return {**self.parties, **body, "total_minor": total_minor, **more}

    async def invoice(self, number: str = "F-1", total_minor: int = 10_000, **more: Any) -> Json:  # Any: as above
        return await made(self.client, "/v1/invoices", **self.bill(number, total_minor, **more))

    async def receipt(self, amount_minor: int, **more: Any) -> Json:  # Any: as above
        body = {**self.parties, "currency": "EUR", "amount_minor": amount_minor, **more}
        return await made(self.client, "/v1/receipts", **body)


async def world_of(client: AsyncClient) -> World:
    creditor = await made(client, "/v1/creditors", name="Atelier Nord")
    return World(client, creditor, await made(client, "/v1/debtors", name="Boulangerie Petit"))


@pytest.fixture
async def world(alice: AsyncClient) -> World:
    return await world_of(alice)


async def test_an_invoice_is_opened_read_and_corrected(world: World) -> None:
    client = world.client
    opened = await client.post("/v1/invoices", json=world.bill(external_id="erp-1"))
    view = opened.json()
    assert (opened.status_code, opened.headers["ETag"]) == (201, '"1"')
    assert opened.headers["Location"] == f"/v1/invoices/{view['id']}"
    assert view["instalments"][0]["balance_minor"] == view["balance_minor"] == 10_000
    read = await client.get(f"/v1/invoices/{view['id']}?expand=debtor,creditor")
    assert read.json()["expanded"] == {world.debtor["id"]: world.debtor, world.creditor["id"]: world.creditor}
    stale = await client.patch(f"/v1/invoices/{view['id']}", json={"due_on": None}, headers={"If-Match": '"9"'})
    fresh = await client.patch(f"/v1/invoices/{view['id']}", json={"due_on": None}, headers={"If-Match": '"1"'})
    assert (stale.status_code, fresh.status_code, fresh.headers["ETag"]) == (412, 200, '"2"')
    assert fresh.json()["due_on"] is None
    found = await client.get("/v1/invoices", params={"external_id": "erp-1", "settled": "false"})
    assert [each["id"] for each in found.json()["data"]] == [view["id"]]


async def test_what_does_not_hold_together_is_named_where_it_was_sent(world: World) -> None:
    lines = [{"amount_minor": 1}, {"amount_minor": 2}]
    body = world.bill(currency="EUX", due_on=None, instalments=lines)
    answer = await world.client.post("/v1/invoices", json=body)
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {"/body/currency", "/body/instalments"}
    again = [await world.client.post("/v1/invoices", json=world.bill()) for _ in range(2)]
    assert [each.status_code for each in again] == [201, 409]
    assert (again[1].json()["code"], again[1].json()["detail"]) == ("invoice_number_taken", again[0].json()["id"])


async def test_a_batch_answers_for_each_item(world: World) -> None:
    first = await world.invoice("F-0")
    items = [world.bill("F-1"), world.bill("F-0"), world.bill("F-2", prepaid_minor=99_999)]
    answer = await world.client.post("/v1/invoices/batch", json={"invoices": items})
    assert answer.status_code == 207
    data = answer.json()["data"]
    assert [item["status"] for item in data] == [201, 409, 422]
    assert data[1]["problem"]["detail"] == first["id"]
    body = {"invoices": [world.bill("F-1"), world.bill("F-0", 12_000), world.bill("F-3")], "known": "correct"}
    put = (await world.client.post("/v1/invoices/batch", json=body)).json()["data"]
    assert [(item["status"], item["invoice"]["version"]) for item in put] == [(200, 1), (200, 2), (201, 1)]
    assert put[1]["invoice"]["balance_minor"] == 12_000


async def test_a_payment_and_its_return(world: World) -> None:
    client = world.client
    bill = await world.invoice(total_minor=10_000)
    paid = await world.receipt(12_000, allocations="auto", state="provisional")
    assert (paid["unapplied_minor"], paid["version"]) == (2_000, 2)
    await done(client, f"/v1/receipts/{paid['id']}/finalise")
    free = await done(client, f"/v1/receipts/{paid['id']}/unallocate")
    share = [{"invoice_id": bill["id"], "amount_minor": 4_000}]
    part = await done(client, f"/v1/receipts/{paid['id']}/allocate", allocations=share)
    assert (free["unapplied_minor"], part["unapplied_minor"]) == (12_000, 8_000)
    rows = (await client.get("/v1/allocations", params={"receipt": paid["id"]})).json()["data"]
    assert [row["amount_minor"] for row in rows] == [4_000, -10_000, 10_000]
    back = await done(client, f"/v1/receipts/{paid['id']}/reverse", reason="AC04")
    assert (back["state"], back["reversed_minor"]) == ("reversed", 12_000)
    went = (await client.get(f"/v1/receipts/{paid['id']}/reversals")).json()["data"]
    assert [(each["kind"], each["reason"], each["amount_minor"]) for each in went] == [("bounce", "AC04", 12_000)]
    read = await client.get(f"/v1/invoices/{bill['id']}")
    assert read.json()["balance_minor"] == 10_000
    without_key = await client.post(f"/v1/receipts/{paid['id']}/reverse", json={"reason": "again"})
    again = await client.post(
        f"/v1/receipts/{paid['id']}/reverse", json={"reason": "again"}, headers={"Idempotency-Key": "k-1"}
    )
    assert (without_key.status_code, again.status_code, again.json()["code"]) == (400, 409, "receipt_reversed")


async def test_a_repeated_payment_is_one_payment(world: World) -> None:
    body = {**world.parties, "currency": "EUR", "amount_minor": 700}
    answers = [
        await world.client.post("/v1/receipts", json=body, headers={"Idempotency-Key": "payment-1"}) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len((await world.client.get("/v1/receipts")).json()["data"]) == 1


async def test_a_credit_note_is_used_corrected_and_voided(world: World) -> None:
    client = world.client
    await world.invoice(total_minor=3_000)
    body = {"number": "A-1", "issued_on": "2026-02-10", "currency": "EUR", "total_minor": 5_000}
    note = await made(client, "/v1/credit_notes", **world.parties, **body, preceding={"number": "F-1"})
    assert note["remaining_minor"] == 2_000
    path = f"/v1/credit_notes/{note['id']}"
    less = await client.patch(path, json={"total_minor": 2_999})
    more = await client.patch(path, json={"total_minor": 6_000})
    assert (less.status_code, less.json()["code"]) == (409, "amount_below_allocated")
    assert (more.status_code, more.json()["remaining_minor"]) == (200, 3_000)
    await done(client, f"{path}/void", reason="error")
    bills = (await client.get("/v1/invoices", params={"debtor": world.debtor["id"]})).json()["data"]
    assert [each["balance_minor"] for each in bills] == [3_000]


async def test_a_voided_invoice_stays_readable(world: World) -> None:
    bill = await world.invoice()
    gone = await done(world.client, f"/v1/invoices/{bill['id']}/void", reason="duplicate")
    again = await world.client.post(f"/v1/invoices/{bill['id']}/void", json={"reason": "duplicate"})
    assert (gone["document"], gone["void_reason"], gone["balance_minor"]) == ("void", "duplicate", 0)
    assert (again.status_code, again.json()["code"]) == (409, "invoice_not_open")


async def test_parties_are_found_and_changed(world: World) -> None:
    client = world.client
    siren = [{"scheme": "0002", "value": "552 100 554"}]
    debtor = await made(client, "/v1/debtors", name="Épicerie", email="a@b.example", identifiers=siren)
    assert debtor["identifiers"] == [{"scheme": "siren", "value": "552100554"}]
    for params in ({"name": "epi"}, {"identifier": "siren:552100554"}):
        found = (await client.get("/v1/debtors", params=params)).json()["data"]
        assert [each["id"] for each in found] == [debtor["id"]]
    taken = await client.post("/v1/debtors", json={"name": "Other", "identifiers": siren})
    assert (taken.status_code, taken.json()["code"]) == (409, "identifier_taken")
    (mailbox,) = (await client.get("/v1/contacts", params={"debtor": debtor["id"]})).json()["data"]
    named = await client.patch(f"/v1/contacts/{mailbox['id']}", json={"name": "Claire", "language": "en"})
    gone = await done(client, f"/v1/contacts/{mailbox['id']}/archive")
    assert (named.json()["name"], gone["version"]) == ("Claire", 3)
    moved = await client.patch(f"/v1/creditors/{world.creditor['id']}", json={"zone": "Mars"})
    assert (moved.status_code, moved.json()["errors"][0]["pointer"]) == (422, "/body/zone")


async def test_another_tenants_parties_are_like_none(world: World, bob: AsyncClient) -> None:
    theirs = await world_of(bob)
    foreign = await theirs.invoice("F-9")
    for field, prefix in (("creditor_id", "crd"), ("debtor_id", "dbt")):
        answers = [
            await world.client.post("/v1/invoices", json=world.bill() | {field: given})
            for given in (theirs.parties[field], ids.encode(prefix, ids.new_id()))
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
    share = {"allocations": [{"invoice_id": foreign["id"], "amount_minor": 1}]}
    absent = {"allocations": [{"invoice_id": ids.encode("inv", ids.new_id()), "amount_minor": 1}]}
    receipt = await world.receipt(500)
    answers = [
        await world.client.post(f"/v1/receipts/{receipt['id']}/allocate", json=body, headers={"Idempotency-Key": key})
        for key, body in (("a", share), ("b", absent))
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


async def test_a_page_of_any_size_costs_the_same(world: World, database: Database, tenant_id: UUID) -> None:
    for place in range(6):
        await world.invoice(f"F-{place}")
    counts: list[int] = []
    for limit in (1, 5):
        await world.client.get("/v1/invoices", params={"limit": limit})  # the key's last use is noted once a day
        with statements(database) as sent:
            page = await world.client.get("/v1/invoices", params={"limit": limit})
        assert len(page.json()["data"]) == limit
        counts.append(len(sent))
    assert counts[0] == counts[1]


async def test_opening_an_invoice_writes_it_in_one_statement(world: World, database: Database) -> None:
    with statements(database) as sent:
        await world.invoice()
    writes = [each for each in sent if "app.invoice" in each or "app.instalment" in each]
    assert len(writes) == 1
    assert len(sent) <= 7, sent
