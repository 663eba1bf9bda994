"""Push: the same again changes nothing, one that is refused does not stop the others, names are the caller's own."""

from typing import Any

import pytest
from httpx import AsyncClient

from storage.database import Database
from support.api import number_events

DEBTOR = {"external_id": "C-1", "name": "Boulangerie Petit", "email": "compta@petit.example",
          "identifiers": [{"scheme": "siren", "value": "552100554"}]}  # fmt: skip
INVOICE = {"external_id": "INV-1", "debtor_external_id": "C-1", "number": "F-1", "issued_on": "2026-03-01",
           "due_on": "2026-03-31", "currency": "EUR", "total_minor": 12000}  # fmt: skip
NOTE = {"external_id": "CN-1", "debtor_external_id": "C-1", "number": "A-1", "issued_on": "2026-03-02",
        "currency": "EUR", "total_minor": 2000, "preceding_number": "F-1"}  # fmt: skip
RECEIPT = {"external_id": "RC-1", "debtor_external_id": "C-1", "currency": "EUR", "amount_minor": 5000,
           "effective_on": "2026-03-02"}  # fmt: skip


@pytest.fixture(autouse=True)
async def creditor(alice: AsyncClient) -> None:
    assert (await alice.post("/v1/creditors", json={"name": "Atelier Nord"})).status_code == 201


async def put(alice: AsyncClient, resource: str, **body: Any) -> tuple[str, Any]:  # Any: JSON
    answer = await alice.post(f"/v1/{resource}/upsert", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["status"], answer.json()["object"]


async def events(alice: AsyncClient, database: Database) -> int:
    await number_events(database)
    return len((await alice.get("/v1/events", params={"limit": 100})).json()["data"])


async def test_each_kind_is_made_changed_and_left_alone(alice: AsyncClient, database: Database) -> None:
    contact = {"debtor_external_id": "C-1", "email": "direction@petit.example", "name": "Mme Petit"}
    kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # Any: JSON
        ("debtors", DEBTOR, {"name": "Boulangerie Petit et fils"}),
        ("contacts", contact, {"name": "M. Petit"}),
        ("invoices", INVOICE, {"due_on": "2026-04-15"}),
        ("credit_notes", NOTE, {"total_minor": 2500}),
    ]
    for resource, body, change in kinds:
        assert (await put(alice, resource, **body))[0] == "created", resource
        told = await events(alice, database)
        assert (await put(alice, resource, **body))[0] == "unchanged", resource
        assert await events(alice, database) == told, resource
        status, made = await put(alice, resource, **body | change)
        assert status == "updated", resource
        assert {name: made[name] for name in change} == change


async def test_a_receipt_is_recorded_once_and_never_changed(alice: AsyncClient) -> None:
    await put(alice, "debtors", **DEBTOR)
    await put(alice, "invoices", **INVOICE)
    assert (await put(alice, "receipts", **RECEIPT))[0] == "created"
    assert (await put(alice, "receipts", **RECEIPT))[0] == "unchanged"
    other = await alice.post("/v1/receipts/upsert", json=RECEIPT | {"amount_minor": 6000})
    assert other.status_code == 409
    auto = await put(alice, "receipts", **RECEIPT | {"external_id": "RC-2", "allocate": "auto"})
    assert auto[1]["unapplied_minor"] == 0


async def test_a_batch_answers_each_item_on_its_own_account(alice: AsyncClient) -> None:
    taken = DEBTOR | {"external_id": "C-9"}  # the same SIREN
    items = [DEBTOR, taken, {"external_id": "C-2", "name": "Durand"}, DEBTOR | {"name": "Petit SARL"}]
    answer = await alice.post("/v1/debtors/upsert/batch", json={"items": items})
    assert answer.status_code == 207
    data = answer.json()["data"]
    assert [each["status"] for each in data] == ["created", "refused", "created", "updated"]
    assert data[1]["problem"]["code"] == "identifier_taken"
    assert data[3]["object"]["name"] == "Petit SARL"
    invoices = [
        INVOICE,
        INVOICE | {"external_id": "INV-2", "number": "F-2", "prepaid_minor": 99_999},
        INVOICE | {"external_id": "INV-3", "number": "F-3", "debtor_external_id": "nobody"},
        INVOICE | {"external_id": "INV-4", "number": "F-4", "debtor_id": data[2]["object"]["id"]},
        INVOICE | {"total_minor": 13000},
    ]
    answer = await alice.post("/v1/invoices/upsert/batch", json={"items": invoices})
    data = answer.json()["data"]
    assert [each["status"] for each in data] == ["created", "refused", "refused", "refused", "updated"]
    assert data[1]["problem"]["errors"][0]["pointer"] == "/body/items/1/prepaid_minor"
    assert data[2]["problem"]["code"] == "debtor_not_found"
    assert data[3]["problem"]["errors"][0]["pointer"] == "/body/items/3/debtor_id"
    again = await alice.post("/v1/invoices/upsert/batch", json={"items": [invoices[4]]})
    assert again.json()["data"][0]["status"] == "unchanged"


async def test_a_hundred_are_taken_and_no_more(alice: AsyncClient) -> None:
    items = [{"external_id": f"C-{n}", "name": f"Client {n}"} for n in range(101)]
    assert (await alice.post("/v1/debtors/upsert/batch", json={"items": items})).status_code == 422
    answer = await alice.post("/v1/debtors/upsert/batch", json={"items": items[:100]})
    assert {each["status"] for each in answer.json()["data"]} == {"created"}


async def test_what_is_not_sent_stays_and_null_empties(alice: AsyncClient) -> None:
    await put(alice, "debtors", **DEBTOR)
    assert (await put(alice, "debtors", external_id="C-1", name="Boulangerie Petit"))[0] == "unchanged"
    status, made = await put(alice, "debtors", external_id="C-1", name="Boulangerie Petit", email=None)
    assert (status, made["email"]) == ("updated", None)
    assert made["identifiers"] == [{"scheme": "siren", "value": "552100554"}]


async def test_without_a_creditor_it_is_the_only_one_and_never_a_guess(alice: AsyncClient) -> None:
    await put(alice, "debtors", **DEBTOR)
    second = {"name": "Atelier Sud", "external_id": "SUD"}
    assert (await alice.post("/v1/creditors", json=second)).status_code == 201
    unsaid = await alice.post("/v1/invoices/upsert", json=INVOICE)
    assert (unsaid.status_code, unsaid.json()["errors"][0]["pointer"]) == (422, "/body/creditor_id")
    assert (await put(alice, "invoices", **INVOICE, creditor_external_id="SUD"))[0] == "created"


async def test_another_tenants_names_lead_nowhere(alice: AsyncClient, bob: AsyncClient) -> None:
    await put(alice, "debtors", **DEBTOR)
    await bob.post("/v1/creditors", json={"name": "Autre"})
    theirs = await bob.post("/v1/invoices/upsert", json=INVOICE)
    nobodys = await bob.post("/v1/invoices/upsert", json=INVOICE | {"debtor_external_id": "nobody"})
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
