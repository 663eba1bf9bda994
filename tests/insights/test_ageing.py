"""Aged receivables over the API: the choices, pages, filters, files and refusals."""

import csv
import io
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import update

from casework.models import HoldReason
from kernel import ids
from receivables.models import Debtor
from storage.database import Database
from support.casework import make_hold
from support.counting import statements
from support.receivables import (
    Parties,
    at_work,
    lines,
    make_credit_note,
    make_creditor,
    make_debtor,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW

URL = "/v1/aged_receivables"
TODAY = NOW.date()


def due(days_late: int) -> date:
    return TODAY - timedelta(days=days_late)


async def age(client: AsyncClient, path: str = "", **query: object) -> dict[str, Any]:
    answer = await client.get(URL + path, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def periods(report: dict[str, Any], currency: str = "EUR") -> list[int]:
    return next(row["periods_minor"] for row in report["totals"] if row["currency"] == currency)


@pytest.fixture
async def parties(database: Database, tenant_id: UUID) -> Parties:
    """Six invoices of 100 to 600, each in a period of its own; 50 of money and 30 of credit notes settle nothing."""
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        days = (-10, 0, 1, 30, 31, 91)
        for place, late in enumerate(days, start=1):
            issued_on = due(late) - timedelta(days=30)
            await make_invoice(
                session, parties, f"F-{place}", place * 100_00, issued_on=min(issued_on, TODAY), due_on=due(late)
            )
        await make_receipt(session, parties, 50_00, effective_on=TODAY)
        await make_credit_note(session, parties, "A-1", 30_00, issued_on=TODAY)
    return parties


async def test_amounts_fall_into_periods_by_their_due_date(alice: AsyncClient, parties: Parties) -> None:
    report = await age(alice)
    assert [each["code"] for each in report["terms"]["periods"]] == ["current", "1-30", "31-60", "61-90", "over_90"]
    (row,) = report["data"]
    assert (row["debtor_id"], row["name"], row["creditor_id"]) == (parties.debtor.id, parties.debtor.name, None)
    (figures,) = row["currencies"]
    assert figures == report["totals"][0]
    assert figures["periods_minor"] == [300_00, 700_00, 500_00, 0, 600_00]
    assert (figures["open_minor"], figures["overdue_minor"], figures["not_due_minor"]) == (2100_00, 1800_00, 300_00)
    assert (figures["unapplied_minor"], figures["credit_minor"], figures["balance_minor"]) == (50_00, 30_00, 2020_00)
    assert report["terms"]["as_of"] == TODAY.isoformat()


async def test_credits_are_netted_as_asked(alice: AsyncClient, parties: Parties) -> None:
    assert periods(await age(alice, credits="current")) == [220_00, 700_00, 500_00, 0, 600_00]
    oldest = await age(alice, credits="oldest")
    assert periods(oldest) == [300_00, 700_00, 500_00, 0, 520_00]
    (figures,) = oldest["totals"]
    assert (figures["unapplied_minor"], figures["credit_minor"], figures["balance_minor"]) == (0, 0, 2020_00)


async def test_credits_of_one_creditor_net_no_debt_to_another(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        other = Parties(await make_creditor(session, name="Atelier Sud"), parties.debtor)
        await make_invoice(session, other, "S-1", 10_00, issued_on=due(200), due_on=due(150))
        await make_receipt(session, other, 25_00, effective_on=TODAY)
    assert periods(await age(alice, credits="oldest")) == [285_00, 700_00, 500_00, 0, 520_00]
    by_creditor = await age(alice, credits="oldest", group_by="creditor")
    assert [row["name"] for row in by_creditor["data"]] == ["Atelier Nord", "Atelier Sud"]
    assert [row["currencies"][0]["periods_minor"][0] for row in by_creditor["data"]] == [300_00, -15_00]
    assert periods(await age(alice, creditor=other.creditor.id)) == [0, 0, 0, 0, 10_00]


async def test_periods_are_the_callers_choice(alice: AsyncClient, parties: Parties) -> None:
    assert periods(await age(alice, period_length_days=10, period_count=1)) == [300_00, 300_00, 1500_00]
    assert periods(await age(alice, bounds="1,30,100")) == [300_00, 300_00, 400_00, 1100_00, 0]
    by_invoice = await age(alice, basis="invoice_date")
    assert [each["code"] for each in by_invoice["terms"]["periods"]] == ["up_to_30", "31-60", "61-90", "over_90"]
    assert periods(by_invoice) == [300_00, 700_00, 500_00, 600_00]
    assert by_invoice["totals"][0]["overdue_minor"] == 1800_00


async def test_a_past_day_is_as_it_was(alice: AsyncClient, parties: Parties) -> None:
    past = await age(alice, as_of=due(31))
    assert periods(past) == [1200_00, 0, 600_00, 0, 0]
    assert past["totals"][0]["unapplied_minor"] == 0
    assert (await age(alice, as_known_at=(NOW - timedelta(days=1)).isoformat()))["totals"] == []


async def test_a_merged_debtor_is_one_with_its_root(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        other = Parties(parties.creditor, await make_debtor(session, name="Petit et fils"))
        await make_invoice(session, other, "M-1", 7_00, issued_on=due(90), due_on=due(60))
    assert len((await age(alice))["data"]) == 2
    async with at_work(database, tenant_id) as session:
        await session.execute(
            update(Debtor).where(Debtor.id == other.debtor_id).values(merged_into_id=parties.debtor_id)
        )
    (row,) = (await age(alice))["data"]
    assert (row["debtor_id"], row["currencies"][0]["open_minor"]) == (parties.debtor.id, 2107_00)
    for asked in (parties.debtor.id, other.debtor.id):
        assert (await age(alice, f"/{asked}"))["debtor_id"] == parties.debtor.id
        assert (await age(alice, debtor=asked))["totals"][0]["open_minor"] == 2107_00


async def test_pages_hold_each_debtor_once_and_all_totals_and_see_one_picture(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session)
        everybody = [Parties(creditor, await make_debtor(session, name=f"Débiteur {n}")) for n in range(5)]
        for place, each in enumerate(everybody):
            await make_invoice(session, each, f"F-{place}", 10_00, due_on=due(5), issued_on=due(40))
    first = await age(alice, limit=2)
    assert first["has_more"]
    async with at_work(database, tenant_id) as session:  # paid between two pages
        await make_receipt(session, everybody[3], 10_00, allocations="auto", now=NOW + timedelta(seconds=1))
    seen = list(first["data"])
    page = first
    while page["has_more"]:
        page = await age(alice, limit=2, cursor=page["next_cursor"])
        assert page["totals"] == first["totals"]
        seen += page["data"]
    assert [row["debtor_id"] for row in seen] == [each.debtor.id for each in everybody]
    assert page["next_cursor"] is None


async def test_disputed_and_promised_amounts_stand_beside(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        split = lines((40_00, due(20)), (60_00, due(10)))
        view = await make_invoice(session, parties, "F-7", 100_00, due_on=None, instalments=split, issued_on=due(40))
        invoice_id = ids.decode("inv", view.id)
        other = await make_invoice(session, parties, "F-8", 9_00, issued_on=due(40), due_on=due(5))
        await make_hold(session, invoice_id=invoice_id, amount_minor=55_00, reason=HoldReason.DISPUTE)
        await make_hold(session, invoice_id=ids.decode("inv", other.id), reason=HoldReason.PROMISE)
        await make_hold(session, invoice_id=ids.decode("inv", other.id), reason=HoldReason.MANUAL)
    report = await age(alice)
    for figures in (report["totals"][0], report["data"][0]["currencies"][0]):
        assert (figures["disputed_minor"], figures["promised_minor"]) == (55_00, 9_00)
    items = {(each["number"], each["place"]): each for each in (await age(alice, f"/{parties.debtor.id}"))["data"]}
    assert [items["F-7", place]["disputed_minor"] for place in (1, 2)] == [40_00, 15_00]
    assert items["F-8", 1]["promised_minor"] == 9_00
    assert (await age(alice, as_of=due(1)))["totals"][0]["disputed_minor"] == 0
    async with at_work(database, tenant_id) as session:
        await make_hold(session, debtor_id=parties.debtor_id, reason=HoldReason.DISPUTE)
    (figures,) = (await age(alice, "/summary"))["totals"]
    assert figures["disputed_minor"] == figures["open_minor"]


async def test_the_detail_is_the_row_by_instalment(alice: AsyncClient, parties: Parties) -> None:
    whole = await age(alice, f"/{parties.debtor.id}")
    assert whole["totals"] == (await age(alice))["totals"]
    assert [each["number"] for each in whole["data"]] == ["F-6", "F-5", "F-4", "F-3", "F-2", "F-1"]
    assert sum(each["open_minor"] for each in whole["data"]) == whole["totals"][0]["open_minor"]
    assert [(each["days_late"], each["period"]) for each in whole["data"]] == [
        (91, "over_90"), (31, "31-60"), (30, "1-30"), (1, "1-30"), (0, "current"), (0, "current"),
    ]  # fmt: skip
    page = await age(alice, f"/{parties.debtor.id}", limit=4)
    rest = await age(alice, f"/{parties.debtor.id}", limit=4, cursor=page["next_cursor"])
    assert page["data"] + rest["data"] == whole["data"]


async def test_currencies_stay_apart_unless_a_rate_is_given(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        await make_invoice(session, parties, "U-1", 10_01, currency="USD", issued_on=due(9), due_on=due(3))
        await make_invoice(session, parties, "J-1", 333, currency="JPY", issued_on=due(9), due_on=due(3))
    report = await age(alice)
    assert [row["currency"] for row in report["totals"]] == ["EUR", "JPY", "USD"]
    assert report["converted"] is None
    terms = {"convert_to": "EUR", "rates": "USD:0.9,JPY:0.00611", "rates_on": "2026-02-27"}
    converted = (await age(alice, "/summary", **terms))["converted"]
    assert converted["open_minor"] == 2100_00 + 9_01 + 2_03  # 9.009 and 2.03463, each rounded half up
    assert converted["without_rate"] == []
    lacking = (await age(alice, **terms | {"rates": "USD:0.9"}))["data"][0]["converted"]
    assert (lacking["open_minor"], lacking["without_rate"]) == (None, ["JPY"])
    only = await age(alice, group_by="currency", currency="USD")
    assert [row["currencies"][0]["open_minor"] for row in only["data"]] == [10_01]


async def test_today_is_where_the_creditor_is(alice: AsyncClient, database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        debtor = await make_debtor(session)
        here = Parties(await make_creditor(session, zone="Europe/Paris"), debtor)
        east = Parties(await make_creditor(session, zone="Pacific/Kiritimati"), debtor)
        west = Parties(await make_creditor(session, zone="Pacific/Pago_Pago"), debtor)
        for place, each in enumerate((here, east, west)):
            await make_invoice(session, each, f"F-{place}", 100_00, issued_on=due(30), due_on=TODAY)
            await make_receipt(session, each, 10_00, effective_on=TODAY, allocations="auto")
    report = await age(alice)  # 9:00 UTC: 10:00 in Paris, 23:00 on Kiritimati, 22:00 of the day before on Pago Pago
    assert report["terms"]["as_of"] == "2026-03-01"
    assert {each["as_of"] for each in report["terms"]["creditor_days"]} == {"2026-03-02"}
    assert periods(report)[:2] == [280_00, 0]  # what arrives tomorrow has not arrived on Pago Pago
    assert periods(await age(alice, creditor=west.creditor.id)) == [100_00, 0, 0, 0, 0]


async def test_a_table_for_a_spreadsheet_in_french(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        other = Parties(parties.creditor, await make_debtor(session, name="=HYPERLINK(1)"))
        await make_invoice(session, other, "X-1", 1_23, issued_on=due(40), due_on=due(5))
    answer = await alice.get(URL, params={"language": "fr"}, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][3:10] == [
        "Non échu", "1-30 jours", "31-60 jours", "61-90 jours", "Plus de 90 jours", "Sans échéance", "Échu",
    ]  # fmt: skip
    assert rows[1][:8] == [
        parties.debtor.id,
        "Boulangerie Petit",
        "EUR",
        "300,00",
        "700,00",
        "500,00",
        "0,00",
        "600,00",
    ]
    assert rows[2][1] == "'=HYPERLINK(1)"
    english = await alice.get(URL, params={"format": "csv"})
    assert list(csv.reader(io.StringIO(english.content.decode("utf-8-sig"))))[1][3] == "300.00"
    assert (await alice.get(URL, headers={"Accept": "application/pdf"})).status_code == 406


@pytest.mark.parametrize(
    "query",
    [
        {"bounds": "30,20"}, {"bounds": "0,30"}, {"bounds": "5", "period_count": 2}, {"bounds": "99999"},
        {"convert_to": "EUR"}, {"convert_to": "EUR", "rates": "USD:-1", "rates_on": "2026-03-01"},
        {"convert_to": "EUR", "rates": "USD:0", "rates_on": "2026-03-01"}, {"period_length_days": 0},
        {"as_known_at": "2026-03-01T00:00:00"}, {"as_of": "9999-12-31"}, {"as_of": "0001-01-01"},
        {"creditor": "dbt_00000000000000000000000000"},
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(alice: AsyncClient, query: dict[str, object]) -> None:
    for path in (URL, f"{URL}/summary"):
        answer = await alice.get(path, params={name: str(value) for name, value in query.items()})
        assert answer.status_code in {400, 422}, answer.text
        assert answer.json()["errors"][0]["pointer"].startswith("/query/")


async def test_the_number_of_statements_is_the_same_for_any_number_of_rows(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async def cost(path: str) -> int:
        await age(alice, path)  # the key is known afterwards
        with statements(database) as sent:
            await age(alice, path)
        return len(sent)

    paths = ("", f"/{parties.debtor.id}", "/summary")
    few = [await cost(path) for path in paths]
    async with at_work(database, tenant_id) as session:
        for place in range(9):
            other = Parties(parties.creditor, await make_debtor(session, name=f"D {place}"))
            await make_invoice(session, other, f"N-{place}", 1_00)
            await make_invoice(session, parties, f"P-{place}", 1_00)
    assert [await cost(path) for path in paths] == few


async def test_nothing_is_nothing(alice: AsyncClient) -> None:
    report = await age(alice)
    assert (report["data"], report["totals"], report["has_more"]) == ([], [], False)
    absent = ids.encode("dbt", ids.new_id())
    assert (await alice.get(f"{URL}/{absent}")).json()["code"] == "debtor_not_found"
    assert (await age(alice, debtor=absent))["data"] == []
