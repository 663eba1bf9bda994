"""Write-offs, charges, partial reversals, the debtor's word, and balances of any day, over HTTP."""

from typing import Any

import pytest
from httpx import AsyncClient

from kernel import ids

Json = dict[str, Any]  # Any: a body


class World:
    """One creditor and one debtor, and what can be asked about them."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.parties: Json = {}

    async def post(self, path: str, status: int = 201, **body: Any) -> Json:  # Any: fields of a body
        answer = await self.client.post(path, json=body, headers={"Idempotency-Key": str(ids.new_id())})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path: str, **params: str) -> Json:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def invoice(self, number: str, total_minor: int, **more: Any) -> Json:  # Any: fields of a body
        body: Json = {"number": number, "issued_on": "2026-02-01", "due_on": "2026-03-03", "currency": "EUR"}
        return await self.post("/v1/invoices", **{**self.parties, **body, "total_minor": total_minor, **more})

    async def receipt(self, amount_minor: int, **more: Any) -> Json:  # Any: fields of a body
        body: Json = {**self.parties, "currency": "EUR", "amount_minor": amount_minor}
        return await self.post("/v1/receipts", **{**body, **more})


@pytest.fixture
async def world(alice: AsyncClient) -> World:
    world = World(alice)
    creditor = await world.post("/v1/creditors", name="Atelier Nord")
    debtor = await world.post("/v1/debtors", name="Boulangerie Petit")
    world.parties = {"creditor_id": creditor["id"], "debtor_id": debtor["id"]}
    return world


async def test_an_invoice_is_written_off_once_and_asked_for_again(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    await world.receipt(4_000, allocations="auto")
    loss = await world.post("/v1/write_offs", invoice_id=bill["id"], reason="insolvency")
    shown = await world.get(f"/v1/invoices/{bill['id']}")
    assert (loss["amount_minor"], shown["document"], shown["balance_minor"]) == (6_000, "written_off", 0)
    again = await world.post("/v1/write_offs", 409, invoice_id=bill["id"], reason="insolvency")
    assert again["code"] == "invoice_not_open"
    await world.post(f"/v1/write_offs/{loss['id']}/reverse", 200)
    twice = await world.post(f"/v1/write_offs/{loss['id']}/reverse", 409)
    shown = await world.get(f"/v1/invoices/{bill['id']}")
    assert (twice["code"], shown["document"], shown["balance_minor"]) == ("write_off_not_standing", "open", 6_000)
    kinds = [each["event"] for each in (await world.get(f"/v1/invoices/{bill['id']}/versions"))["data"]]
    assert kinds == ["invoice.reopened", "invoice.written_off", "invoice.payment_updated", "invoice.opened"]


async def test_money_that_bounces_opens_a_lost_invoice_again(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    paid = await world.receipt(4_000, allocations="auto")
    await world.post("/v1/write_offs", invoice_id=bill["id"], reason="bad_debt")
    await world.post(f"/v1/receipts/{paid['id']}/reverse", 200, reason="AC04", kind="bounce")
    shown = await world.get(f"/v1/invoices/{bill['id']}")
    assert (shown["document"], shown["balance_minor"]) == ("open", 4_000)


async def test_a_small_difference_settles_and_a_batch_has_its_own_answers(world: World) -> None:
    one, two = await world.invoice("F-1", 10_000), await world.invoice("F-2", 500)
    await world.receipt(9_998, allocations=[{"invoice_id": one["id"], "amount_minor": 9_998}])
    items = [
        {"invoice_id": one["id"], "reason": "small_difference"},
        {"invoice_id": one["id"], "reason": "small_difference"},
        {"invoice_id": two["id"], "reason": "goodwill", "amount_minor": 501},
        {"invoice_id": two["id"], "reason": "goodwill", "amount_minor": 100},
        {"invoice_id": ids.encode("inv", ids.new_id()), "reason": "other"},
    ]
    answers = (await world.post("/v1/write_offs/batch", 207, write_offs=items))["data"]
    assert [each["status"] for each in answers] == [201, 409, 409, 201, 404]
    assert [each["problem"]["code"] for each in answers if each["problem"]] == [
        "nothing_open", "exceeds_balance", "invoice_not_found",
    ]  # fmt: skip
    shown = await world.get(f"/v1/invoices/{one['id']}")
    assert (shown["document"], shown["balance_minor"]) == ("open", 0)
    assert (await world.get(f"/v1/invoices/{two['id']}"))["balance_minor"] == 400
    listed = await world.get("/v1/write_offs", reason="goodwill", debtor=world.parties["debtor_id"])
    assert [each["amount_minor"] for each in listed["data"]] == [100]


async def test_a_void_invoice_takes_its_write_off_with_it(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    part = await world.post("/v1/write_offs", invoice_id=bill["id"], reason="goodwill", amount_minor=1_000)
    await world.post(f"/v1/invoices/{bill['id']}/void", 200, reason="error")
    assert (await world.get(f"/v1/write_offs/{part['id']}"))["state"] == "reversed"
    account = (await world.get(f"/v1/debtors/{world.parties['debtor_id']}/balance"))["accounts"]
    assert [each["balance_minor"] for each in account] == [0]


async def test_a_charge_is_paid_waived_and_never_part_of_the_invoice(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    fee = await world.post("/v1/charges", kind="fee", invoice_id=bill["id"], amount_minor=1_500, external_id="fee-1")
    same = await world.post("/v1/charges", kind="fee", invoice_id=bill["id"], amount_minor=1_500, external_id="fee-1")
    other = await world.post("/v1/charges", 409, kind="fee", invoice_id=bill["id"], amount_minor=1, external_id="fee-1")
    assert (same["id"], other["code"]) == (fee["id"], "external_id_taken")
    lone = await world.post("/v1/charges", kind="cost", **world.parties, currency="EUR", amount_minor=300)
    paid = await world.receipt(1_000, allocations=[{"charge_id": fee["id"], "amount_minor": 1_000}])
    assert paid["unapplied_minor"] == 0
    waived = await world.post(f"/v1/charges/{fee['id']}/waive", 200, reason="goodwill")
    assert (waived["waived_minor"], waived["balance_minor"]) == (500, 0)
    assert (await world.post(f"/v1/charges/{fee['id']}/waive", 409, reason="again"))["code"] == "nothing_open"
    assert (await world.get(f"/v1/invoices/{bill['id']}"))["balance_minor"] == 10_000
    rows = (await world.get("/v1/allocations", charge=fee["id"]))["data"]
    assert [(each["invoice_id"], each["amount_minor"], each["currency"]) for each in rows] == [(None, 1_000, "EUR")]
    open_charges = (await world.get("/v1/charges", settled="false"))["data"]
    assert [each["id"] for each in open_charges] == [lone["id"]]
    await world.post(f"/v1/receipts/{paid['id']}/reverse", 200, reason="AM04")
    assert (await world.get(f"/v1/charges/{fee['id']}"))["balance_minor"] == 1_000


async def test_a_charge_names_whose_it_is(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    missing = await world.post("/v1/charges", 422, kind="fee", amount_minor=1)
    assert {each["pointer"] for each in missing["errors"]} == {"/body/creditor_id", "/body/debtor_id", "/body/currency"}
    other = await world.post("/v1/charges", 409, kind="fee", amount_minor=1, invoice_id=bill["id"], currency="USD")
    assert other["code"] == "allocation_mismatch"


async def test_money_goes_back_in_parts_the_latest_first(world: World) -> None:
    one, two = await world.invoice("F-1", 1_000), await world.invoice("F-2", 1_000, due_on="2026-04-01")
    paid = await world.receipt(2_300, allocations="auto")
    back = await world.post(
        f"/v1/receipts/{paid['id']}/reverse", 200, reason="too much", kind="refund", amount_minor=700, external_id="r-1"
    )
    assert (back["reversed_minor"], back["unapplied_minor"], back["state"]) == (700, 0, "final")
    balances = [(await world.get(f"/v1/invoices/{each['id']}"))["balance_minor"] for each in (one, two)]
    assert balances == [0, 400]
    path = f"/v1/receipts/{paid['id']}/reverse"
    same = await world.post(path, 200, reason="too much", kind="refund", amount_minor=700, external_id="r-1")
    assert same["reversed_minor"] == 700
    much = await world.post(path, 409, reason="all of it", amount_minor=1_601)
    taken = await world.post(path, 409, reason="other", amount_minor=5, external_id="r-1")
    assert (much["code"], taken["code"]) == ("exceeds_receipt", "external_id_taken")
    rest = await world.post(path, 200, reason="the rest", kind="chargeback")
    assert (rest["state"], rest["reversed_minor"]) == ("reversed", 2_300)
    listed = (await world.get(f"/v1/receipts/{paid['id']}/reversals"))["data"]
    assert [(each["kind"], each["amount_minor"]) for each in listed] == [("chargeback", 1_600), ("refund", 700)]


@pytest.mark.parametrize(("day", "left"), [("2026-02-20", 0), ("2026-02-21", 200)])
async def test_a_discount_is_earned_by_its_last_day(world: World, day: str, left: int) -> None:
    line = {"amount_minor": 10_000, "due_on": "2026-03-03", "discount_minor": 200, "discount_until": "2026-02-20"}
    bill = await world.invoice("F-1", 10_000, due_on=None, instalments=[line])
    paid = await world.receipt(9_800, effective_on=day, allocations="auto")
    assert (await world.get(f"/v1/invoices/{bill['id']}"))["balance_minor"] == left
    await world.post(f"/v1/receipts/{paid['id']}/unallocate", 200)
    assert (await world.get(f"/v1/invoices/{bill['id']}"))["balance_minor"] == 10_000


async def test_what_the_debtor_names_is_paid_first_and_must_be_its_own(world: World) -> None:
    await world.invoice("F-1", 1_000)
    named = await world.invoice("F-2", 1_000, due_on="2026-06-01")
    paid = await world.receipt(1_000, allocations="auto", named_invoice_ids=[named["id"]])
    assert paid["named_invoice_ids"] == [named["id"]]
    assert (await world.get(f"/v1/invoices/{named['id']}"))["balance_minor"] == 0
    stranger = await world.post("/v1/debtors", name="Somebody else")
    body = {**world.parties, "debtor_id": stranger["id"], "currency": "EUR", "amount_minor": 5}
    refused = await world.post("/v1/receipts", 409, **body, named_invoice_ids=[named["id"]])
    assert refused["code"] == "allocation_mismatch"


async def test_a_past_report_comes_out_again_as_it_was(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    path = f"/v1/debtors/{world.parties['debtor_id']}/balance"
    before = await world.get(path)
    await world.receipt(4_000, effective_on="2026-02-15", allocations="auto")
    assert (await world.get(path, as_of="2026-02-14"))["accounts"][0]["open_minor"] == 10_000
    assert (await world.get(path, as_of="2026-02-15"))["accounts"][0]["open_minor"] == 6_000
    assert (await world.get(path, as_of="2026-01-31"))["accounts"][0]["open_minor"] == 0
    known = before["as_known_at"]  # the test clock stands: what was known then is what was known at that instant
    assert (await world.get(f"/v1/invoices/{bill['id']}/balance", as_known_at=known))["as_known_at"] == known


async def test_versions_page_from_the_newest(world: World) -> None:
    bill = await world.invoice("F-1", 10_000)
    for amount in (1, 2, 3):
        await world.receipt(amount, allocations="auto")
    path = f"/v1/invoices/{bill['id']}/versions"
    first = await world.get(path, limit="3")
    rest = await world.get(path, limit="3", cursor=first["next_cursor"])
    found = [(each["version"], each["invoice"]["balance_minor"]) for each in (*first["data"], *rest["data"])]
    assert found == [(4, 9_994), (3, 9_997), (2, 9_999), (1, 10_000)]


@pytest.mark.parametrize(
    "known", ["2026-03-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday"]
)
async def test_an_instant_has_an_offset_and_is_of_our_time(world: World, known: str) -> None:
    bill = await world.invoice("F-1", 10_000)
    answer = await world.client.get(f"/v1/invoices/{bill['id']}/balance", params={"as_known_at": known})
    assert answer.status_code in {400, 422}, answer.text
    far = await world.get(f"/v1/invoices/{bill['id']}/balance", as_of="9999-12-31", as_known_at="9998-12-31T23:59:59Z")
    assert far["balance_minor"] == 10_000
