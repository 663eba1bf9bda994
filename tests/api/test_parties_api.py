"""Creditors, debtors and contacts over HTTP: accounts, logos, merges, twins, erasure."""

import base64
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import text

from kernel import ids
from storage.database import Database
from support.api import app_of, client_of, make_key
from support.pictures import make_png
from support.stories import open_engine
from support.tenants import CAUSE
from workers.draining import drain

Json = dict[str, Any]  # Any: a body
IBAN, OTHER_IBAN = "FR7630006000011234567890189", "DE89370400440532013000"


async def post(client: AsyncClient, path: str, status: int = 200, **body: Any) -> Json:  # Any: fields of a body
    answer = await client.post(path, json=body, headers={"Idempotency-Key": str(ids.new_id())})
    assert answer.status_code == status, answer.text
    return answer.json()


async def read(client: AsyncClient, path: str) -> Any:  # Any: a body
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows(database: Database, tenant_id: UUID, sql: str) -> list[tuple[Any, ...]]:  # Any: columns asked for
    async with database.tenant(tenant_id, CAUSE) as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def test_a_creditor_has_accounts_and_one_default_of_each_currency(alice: AsyncClient) -> None:
    creditor = await post(alice, "/v1/creditors", 201, name="Atelier", iban=IBAN, eom_reading="net_eom")
    path = f"/v1/creditors/{creditor['id']}"
    (first,) = creditor["bank_accounts"]
    assert (first["iban"], first["currency"], first["is_default"]) == (IBAN, "EUR", True)
    second = await post(alice, f"{path}/bank_accounts", 201, iban=OTHER_IBAN, label="Berlin")
    assert second["is_default"] is False
    await post(alice, f"{path}/bank_accounts", 409, iban=OTHER_IBAN)
    dollars = await post(alice, f"{path}/bank_accounts", 201, iban=OTHER_IBAN, currency="USD")
    assert dollars["is_default"] is True
    answer = await alice.patch(f"{path}/bank_accounts/{second['id']}", json={"is_default": True})
    assert (answer.status_code, answer.json()["is_default"]) == (200, True)
    now = await read(alice, path)
    assert (now["iban"], [each["is_default"] for each in now["bank_accounts"]]) == (OTHER_IBAN, [False, True, True])
    assert (await alice.patch(path, json={"currency": "USD"})).json()["iban"] == OTHER_IBAN
    assert (await alice.patch(path, json={"currency": "GBP"})).json()["iban"] is None
    gone = await post(alice, f"{path}/bank_accounts/{second['id']}/archive")
    assert gone["archived_at"] is not None
    assert (await alice.patch(f"{path}/bank_accounts/{second['id']}", json={"label": "x"})).status_code == 409
    again = (await alice.patch(path, json={"currency": "EUR", "iban": IBAN})).json()
    assert (again["iban"], len(again["bank_accounts"])) == (IBAN, 2)


@pytest.mark.parametrize("iban", ["FR7630006000011234567890188", "XX00", "FR76"])
async def test_an_iban_that_is_none_is_refused(alice: AsyncClient, iban: str) -> None:
    creditor = await post(alice, "/v1/creditors", 201, name="Atelier")
    await post(alice, f"/v1/creditors/{creditor['id']}/bank_accounts", 422, iban=iban.ljust(15, "0"))


async def test_a_logo_is_kept_without_what_hides_in_it(alice: AsyncClient) -> None:
    creditor = await post(alice, "/v1/creditors", 201, name="Atelier")
    path = f"/v1/creditors/{creditor['id']}/logo"
    assert (await alice.get(path)).status_code == 404
    sent = base64.b64encode(make_png(4, 3, tail=b"<script>")).decode()
    kept = await alice.put(path, json={"content": sent})
    assert kept.status_code == 200, kept.text
    assert kept.json()["logo_id"].startswith("blb_")
    shown = await read(alice, path)
    assert (shown["media_type"], shown["width"], shown["height"]) == ("image/png", 4, 3)
    assert base64.b64decode(shown["content"]) == make_png(4, 3)
    for refused in ("%%%", base64.b64encode(b"<svg/>").decode()):
        assert (await alice.put(path, json={"content": refused})).json()["code"] == "logo_refused"
    assert (await alice.delete(path)).json()["logo_id"] is None


async def test_a_legal_id_with_wrong_check_digits_is_refused(alice: AsyncClient) -> None:
    wrong = [
        {"scheme": "siren", "value": "552100555"},
        {"scheme": "siret", "value": "55210055400014"},
        {"scheme": "vat", "value": "FR27552100554"},
        {"scheme": "vat", "value": "BE0123456789"},
        {"scheme": "0088", "value": "4333741000006"},
    ]
    answer = await alice.post("/v1/debtors", json={"name": "A", "identifiers": wrong})
    assert answer.status_code == 422
    assert {fault["code"] for fault in answer.json()["errors"]} == {"check_digits"}
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [
        f"/body/identifiers/{place}/value" for place in range(len(wrong))
    ]
    right = [{"scheme": "9925", "value": "BE 123.456.749"}, {"scheme": "0002", "value": "552 100 554"}]
    made = await post(alice, "/v1/debtors", 201, name="A", identifiers=right)
    assert made["identifiers"] == [
        {"scheme": "siren", "value": "552100554"},
        {"scheme": "vat", "value": "BE0123456749"},
    ]
    found = await read(alice, "/v1/debtors?identifier=siren:552100554")
    assert [each["id"] for each in found["data"]] == [made["id"]]


async def test_debtors_are_listed_by_parent_label_and_archive(alice: AsyncClient) -> None:
    group = await post(alice, "/v1/debtors", 201, name="Holding", labels={"region": "nord"})
    child = await post(
        alice, "/v1/debtors", 201, name="Filiale", parent_id=group["id"], labels={"region": "nord", "tier": "a"},
        addresses=[{"kind": "billing", "street": "1 rue Haute", "postcode": "75011", "city": "Paris"}],
    )  # fmt: skip
    assert child["addresses"][0]["postcode"] == "75011"
    for query, wanted in (
        (f"parent={group['id']}", [child]),
        ("label=region:nord", [child, group]),
        ("label=region:nord,tier:a", [child]),
        ("label=region:sud", []),
    ):
        assert (await read(alice, f"/v1/debtors?{query}"))["data"] == wanted, query
    assert (await alice.patch(f"/v1/debtors/{group['id']}", json={"parent_id": child["id"]})).status_code == 422
    await post(alice, f"/v1/debtors/{child['id']}/archive")
    assert [each["name"] for each in (await read(alice, "/v1/debtors?archived=true"))["data"]] == ["Filiale"]
    assert (await post(alice, f"/v1/debtors/{child['id']}/restore"))["archived_at"] is None


async def test_contacts_have_roles_and_those_for_billing_are_written_to(alice: AsyncClient) -> None:
    debtor = await post(alice, "/v1/debtors", 201, name="Marchal")
    boss = await post(
        alice, "/v1/contacts", 201, debtor_id=debtor["id"], name="Claire", email="c@m.example",
        roles=["manager", "escalation"], phone="+33 1 42 34 56 78",
    )  # fmt: skip
    assert (boss["roles"], boss["billing"], boss["primary"]) == (["manager", "escalation"], False, False)
    path = f"/v1/contacts/{boss['id']}"
    assert (await alice.patch(path, json={"billing": True})).json()["roles"] == ["billing", "manager", "escalation"]
    both = await alice.patch(path, json={"billing": False, "roles": ["billing"]})
    assert both.status_code == 422
    plain = await post(alice, "/v1/contacts", 201, debtor_id=debtor["id"], email="d@m.example", primary=True)
    assert (plain["roles"], plain["primary"]) == (["billing"], True)
    found = await read(alice, f"/v1/contacts?debtor={debtor['id']}&role=manager")
    assert [each["id"] for each in found["data"]] == [boss["id"]]


async def test_a_merge_is_previewed_made_and_taken_back(alice: AsyncClient) -> None:
    creditor = await post(alice, "/v1/creditors", 201, name="Atelier")
    one, two = [await post(alice, "/v1/debtors", 201, name=name) for name in ("Marchal", "Marchal bis")]
    body = {
        "creditor_id": creditor["id"], "number": "F-1", "issued_on": "2026-02-01", "currency": "EUR",
        "total_minor": 5_000,
    }  # fmt: skip
    await post(alice, "/v1/invoices", 201, debtor_id=two["id"], **body)
    preview = await read(alice, f"/v1/debtors/{two['id']}/merge_preview?into={one['id']}")
    assert (preview["root_id"], preview["members"], preview["moved"]["open_minor"]) == (
        one["id"], [two["id"]], {"EUR": 5_000},
    )  # fmt: skip
    merged = await post(alice, f"/v1/debtors/{two['id']}/merge", into_id=one["id"])
    assert merged["merged_into_id"] == one["id"]
    listed = await read(alice, f"/v1/invoices?debtor={one['id']}")
    assert [(each["number"], each["debtor_id"]) for each in listed["data"]] == [("F-1", two["id"])]
    assert (await read(alice, "/v1/debtors?merged=true"))["data"] == [merged]
    back = await post(alice, f"/v1/debtors/{two['id']}/unmerge")
    assert (back["merged_into_id"], back["version"]) == (None, 3)
    assert (await read(alice, f"/v1/invoices?debtor={one['id']}"))["data"] == []
    await post(alice, f"/v1/debtors/{two['id']}/unmerge", 409)


async def twins(alice: AsyncClient, database: Database, tenant_id: UUID) -> tuple[Json, Json, Json]:
    """Two debtors who look alike, and the match that is suggested of them."""
    one = await post(alice, "/v1/debtors", 201, name="Garage Moreau SARL", country="FR", phone="01 42 34 56 78")
    two = await post(alice, "/v1/debtors", 201, name="GARAGE MOREAU", country="FR", phone="+33142345678")
    async with open_engine(database) as engine:
        await drain(engine, tenant_id)
    (match,) = (await read(alice, "/v1/debtor_matches?state=open"))["data"]
    return one, two, match


async def test_twins_are_suggested_with_their_reasons_and_accepted(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    one, two, match = await twins(alice, database, tenant_id)
    assert (match["debtor_id"], match["candidate_id"]) == (two["id"], one["id"])
    assert {reason["code"]: reason["points"] for reason in match["reasons"]} == {"name": 60, "phone": 15}
    assert match["score"] == 75
    accepted = await post(alice, f"/v1/debtor_matches/{match['id']}/accept")
    assert accepted["state"] == "accepted"
    assert (await read(alice, f"/v1/debtors/{two['id']}"))["merged_into_id"] == one["id"]
    await post(alice, f"/v1/debtor_matches/{match['id']}/reject", 409)


async def test_a_rejected_pair_is_never_suggested_again(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    one, two, match = await twins(alice, database, tenant_id)
    await post(alice, f"/v1/debtor_matches/{match['id']}/reject")
    for debtor in (one, two):
        await alice.patch(f"/v1/debtors/{debtor['id']}", json={"email": "compta@moreau.example"})
    async with open_engine(database) as engine:
        await drain(engine, tenant_id)
    (only,) = (await read(alice, f"/v1/debtor_matches?debtor={one['id']}"))["data"]
    assert only["state"] == "rejected"


async def test_thresholds_are_the_tenants(alice: AsyncClient, bob: AsyncClient) -> None:
    assert await read(alice, "/v1/debtor_matching") == {"version": 0, "link_score": 90, "suggest_score": 60}
    wrong = await alice.patch("/v1/debtor_matching", json={"link_score": 50, "suggest_score": 60})
    assert wrong.status_code == 422
    changed = await alice.patch("/v1/debtor_matching", json={"link_score": 101, "suggest_score": 80})
    assert changed.json() == {"version": 1, "link_score": 101, "suggest_score": 80}
    stale = await alice.patch(
        "/v1/debtor_matching", json={"link_score": 95, "suggest_score": 80}, headers={"If-Match": '"0"'}
    )
    assert stale.status_code == 412
    assert (await read(bob, "/v1/debtor_matching"))["version"] == 0


SECRETS = ("Jeanne", "Dupont", "jeanne@dupont.example", "0142345678", "rue Haute")


async def test_an_erased_person_is_nowhere_and_the_accounts_stay(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    creditor = await post(alice, "/v1/creditors", 201, name="Atelier")
    person = await post(
        alice, "/v1/debtors", 201, name="Jeanne Dupont", kind="person", email="jeanne@dupont.example",
        phone="0142345678", address="1 rue Haute\n75011 Paris", external_id="jeanne", labels={"vip": "Jeanne"},
    )  # fmt: skip
    path = f"/v1/debtors/{person['id']}"
    invoice = await post(
        alice, "/v1/invoices", 201, creditor_id=creditor["id"], debtor_id=person["id"], number="F-1",
        issued_on="2026-02-01", currency="EUR", total_minor=5_000,
    )  # fmt: skip
    await post(alice, "/v1/holds", 201, debtor_id=person["id"], note="Jeanne pays on Friday")
    await post(alice, f"{path}/erase", 409, reason="asked to be forgotten")
    erased = await post(alice, f"{path}/erase", reason="asked to be forgotten", force=True)
    assert (erased["name"], erased["email"], erased["external_id"], erased["labels"]) == (None, None, None, {})
    assert erased["erased_at"] is not None
    again = await post(alice, f"{path}/erase", reason="twice", force=True)
    assert again == erased
    contact = (await read(alice, f"/v1/contacts?debtor={person['id']}"))["data"][0]
    assert (contact["name"], contact["email"], contact["archived_at"] is not None) == (None, None, True)
    kept = await read(alice, f"/v1/invoices/{invoice['id']}")
    assert (kept["number"], kept["balance_minor"], kept["debtor_id"]) == ("F-1", 5_000, person["id"])
    for table, columns in (
        ("debtor", "*"),
        ("contact", "*"),
        ("debtor_label", "*"),
        ("debtor_key", "*"),
        ("hold", "*"),
    ):
        said = str(await rows(database, tenant_id, f"select {columns} from app.{table}"))
        assert [word for word in SECRETS if word in said] == [], table
    events = await read(alice, "/v1/events?limit=100")
    assert [word for word in SECRETS if word in str(events)] == []
    assert await rows(database, tenant_id, "select action, outcome, detail from app.access_row") == [
        ("debtor.erase", "erased", "1 debtor(s): asked to be forgotten")
    ]
    refused = await alice.patch(path, json={"name": "Jeanne"})
    assert (refused.status_code, refused.json()["code"]) == (409, "debtor_erased")
    await post(alice, "/v1/contacts", 409, debtor_id=person["id"], email="jeanne@dupont.example")


async def test_of_an_erased_company_name_and_ids_stay(alice: AsyncClient) -> None:
    company = await post(
        alice, "/v1/debtors", 201, name="Marchal SARL", email="jeanne@marchal.example",
        identifiers=[{"scheme": "siren", "value": "552100554"}],
    )  # fmt: skip
    erased = await post(alice, f"/v1/debtors/{company['id']}/erase", reason="asked")
    assert (erased["name"], erased["email"], len(erased["identifiers"])) == ("Marchal SARL", None, 1)


async def test_erasing_needs_its_own_scope(
    alice: AsyncClient, database: Database, tenant_id: UUID, resources: Any
) -> None:  # Any: what the application stands on
    person = await post(alice, "/v1/debtors", 201, name="Jeanne", kind="person")
    secret = await make_key(database, tenant_id, "debtors:write", "debtors:read")
    async with client_of(app_of(resources), secret) as clerk:
        await post(clerk, f"/v1/debtors/{person['id']}/erase", 403, reason="asked")


async def test_one_erasure_takes_everybody_who_is_one(alice: AsyncClient) -> None:
    one, two = [await post(alice, "/v1/debtors", 201, name=name, kind="person") for name in ("Jeanne", "J. Dupont")]
    await post(alice, f"/v1/debtors/{two['id']}/merge", into_id=one["id"])
    await post(alice, f"/v1/debtors/{two['id']}/erase", reason="asked")
    for debtor in (one, two):
        assert (await read(alice, f"/v1/debtors/{debtor['id']}"))["name"] is None
    three = await post(alice, "/v1/debtors", 201, name="Paul", kind="person")
    await post(alice, f"/v1/debtors/{three['id']}/merge", 409, into_id=one["id"])
