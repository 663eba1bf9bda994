"""Statements of account over the API: movements with running balances, what is open, files in two languages."""

import asyncio
import csv
import io
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from PIL import Image
from pypdf import PdfReader

from kernel import ids
from receivables import corrections, receipts
from receivables.creditors import set_logo
from receivables.drafts import NewReversal
from receivables.models import VoidReason
from receivables.statements import pressing
from receivables.statements.errors import DocumentNotMade
from receivables.statements.reading import MAX_LINES, StatementOf, statement
from storage.blobs import PostgresBlobs
from storage.database import Database
from support.counting import statements
from support.receivables import (
    Parties,
    at_work,
    lines,
    make_contact,
    make_credit_note,
    make_creditor,
    make_debtor,
    make_invoice,
    make_receipt,
)
from support.tenants import NOW

TODAY = NOW.date()
HOSTILE = '#eval("1/0") $x$ \\ *b* _i_ `c` <script> #import "@preview/x:1.0.0" = [' + "W" * 150


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


async def ask(client: AsyncClient, debtor_id: str, **query: object) -> dict[str, Any]:
    answer = await client.get(
        f"/v1/debtors/{debtor_id}/statement", params={name: str(value) for name, value in query.items()}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def words_of(content: bytes) -> str:
    reader = PdfReader(io.BytesIO(content))
    return "\n".join(page.extract_text() for page in reader.pages).replace("\u200b", "")


@pytest.fixture
async def parties(database: Database, tenant_id: UUID) -> Parties:
    """An invoice in two parts, paid in part, a payment that bounced, a credit note, one that was voided."""
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(
            session, name="Atelier Nord", address="12 rue des Forges\n59000 Lille",
            iban="FR7630006000011234567890189", bic="AGRIFRPP",
        )  # fmt: skip
        debtor = await make_debtor(session, address="3 place du Marché\n62000 Arras")
        parties = Parties(creditor, debtor)
        split = lines((400_00, day(20)), (600_00, day(-10)))
        await make_invoice(session, parties, "F-1", 1000_00, issued_on=day(50), due_on=None, instalments=split)
        await make_receipt(
            session, parties, 300_00, effective_on=day(15), reference="VIR 77", allocations="auto", now=NOW
        )
        bounced = await make_receipt(session, parties, 50_00, effective_on=day(12))
        why = NewReversal(reason="no funds", effective_on=day(9))
        await receipts.reverse(session, ids.decode("rcp", bounced.id), why, NOW)
        await make_credit_note(session, parties, "A-1", 80_00, issued_on=day(8))
        twice = await make_invoice(session, parties, "F-2", 10_00, issued_on=day(7), due_on=day(1))
        await corrections.void_invoice(session, ids.decode("inv", twice.id), VoidReason.DUPLICATE, NOW)
    return parties


async def test_every_movement_with_the_balance_after_it(alice: AsyncClient, parties: Parties) -> None:
    view = await ask(alice, parties.debtor.id)
    (account,) = view["accounts"]
    assert (view["from_on"], view["to_on"]) == (day(90).isoformat(), TODAY.isoformat())
    names = ("kind", "number", "amount_minor", "balance_minor")
    assert [tuple(each[name] for name in names) for each in account["movements"]] == [
        ("invoice_opened", "F-1", 1000_00, 1000_00),
        ("receipt_recorded", None, -300_00, 700_00),
        ("receipt_recorded", None, -50_00, 650_00),
        ("receipt_reversed", None, 50_00, 700_00),
        ("credit_note_recorded", "A-1", -80_00, 620_00),
        ("invoice_opened", "F-2", 10_00, 630_00),
        ("invoice_voided", "F-2", -10_00, 620_00),
    ]  # fmt: skip
    assert (account["opening_minor"], account["closing_minor"]) == (0, 620_00)
    assert (account["debit_minor"], account["credit_minor"]) == (1060_00, 440_00)
    assert (account["open_minor"], account["overdue_minor"], account["unused_minor"]) == (700_00, 100_00, 80_00)
    assert [(each["number"], each["place"], each["open_minor"]) for each in account["open_items"]] == [
        ("F-1", 1, 100_00), ("F-1", 2, 600_00),
    ]  # fmt: skip
    assert account["periods_minor"] == [600_00, 100_00, 0, 0, 0]
    assert [(each["number"], each["left_minor"]) for each in account["unused"]] == [("A-1", 80_00)]


async def test_a_period_opens_with_what_the_one_before_it_closed(alice: AsyncClient, parties: Parties) -> None:
    days = [day(60), day(20), day(13), day(12), day(8), TODAY]
    closings = [0]
    for first, last in pairwise(days):
        view = await ask(alice, parties.debtor.id, **{"from": first + timedelta(days=1), "to": last})
        accounts = view["accounts"]
        assert accounts[0]["opening_minor"] == closings[-1]
        closings.append(accounts[0]["closing_minor"])
        balance = await alice.get(f"/v1/debtors/{parties.debtor.id}/balance", params={"as_of": last.isoformat()})
        (account,) = balance.json()["accounts"]
        assert account["balance_minor"] == closings[-1]
        assert account["open_minor"] == accounts[0]["open_minor"]
        assert account["overdue_minor"] == accounts[0]["overdue_minor"]
    assert closings == [0, 1000_00, 700_00, 650_00, 620_00, 620_00]


async def test_accounts_of_creditors_and_currencies_stay_apart(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        other = Parties(await make_creditor(session, name="Atelier Sud"), parties.debtor)
        await make_invoice(session, other, "S-1", 5_00, issued_on=day(5), due_on=day(1))
        await make_invoice(session, parties, "U-1", 7_00, currency="USD", issued_on=day(5), due_on=day(1))
    names = [(each["creditor_name"], each["currency"]) for each in (await ask(alice, parties.debtor.id))["accounts"]]
    assert names == [("Atelier Nord", "EUR"), ("Atelier Nord", "USD"), ("Atelier Sud", "EUR")]
    for query, count in (({"creditor": other.creditor.id}, 1), ({"currency": "EUR"}, 2), ({"to": day(30)}, 0)):
        assert len((await ask(alice, parties.debtor.id, **query))["accounts"]) == max(count, 1)
    pdf = await alice.get(f"/v1/debtors/{parties.debtor.id}/statement?format=pdf")
    assert len(PdfReader(io.BytesIO(pdf.content)).pages) == 3


async def test_paper_in_the_debtors_language(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    url = f"/v1/debtors/{parties.debtor.id}/statement"
    french = await alice.get(url, headers={"Accept": "application/pdf"})
    assert (french.status_code, french.headers["content-type"]) == (200, "application/pdf")
    said = words_of(french.content)
    for part in (
        "Relevé de compte", "Boulangerie Petit", "62000 Arras", "Solde à votre charge", "620,00\u00a0€", "02/03/2026",
        "FR76\u00a03000", "Facture F-1", "Avoir A-1", "Règlement reçu VIR 77", "F-1, échéance 2", "20 jours",
        "Page 1 / 1",
    ):  # fmt: skip
        assert part in said, said
    async with at_work(database, tenant_id) as session:
        await make_contact(session, parties.debtor_id, language="en")
    said = words_of((await alice.get(url, headers={"Accept": "application/pdf"})).content)
    for part in (
        "Statement of account",
        "Balance due",
        "€620.00",
        "Invoice F-1",
        "From 2 December 2025 to 2 March 2026",
    ):
        assert part in said, said
    assert "Relevé" in words_of((await alice.get(f"{url}?format=pdf&language=fr")).content)


async def test_paper_bears_the_creditors_logo_and_the_account_of_its_currency(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    url = f"/v1/creditors/{parties.creditor.id}"
    made = await alice.post(
        f"{url}/bank_accounts", json={"iban": "DE89370400440532013000", "currency": "USD", "is_default": True}
    )
    assert made.status_code == 201, made.text
    picture = io.BytesIO()
    Image.new("RGB", (60, 20), "navy").save(picture, "PNG")
    async with at_work(database, tenant_id) as session:
        await make_invoice(session, parties, "U-1", 7_00, currency="USD", issued_on=day(5), due_on=day(1))
        blobs = PostgresBlobs(database.keys)
        await set_logo(session, blobs, parties.creditor_id, picture.getvalue(), NOW)
    pdf = await alice.get(f"/v1/debtors/{parties.debtor.id}/statement?format=pdf")
    euros, dollars = PdfReader(io.BytesIO(pdf.content)).pages
    assert "FR76" in euros.extract_text()
    assert "DE89" in dollars.extract_text()
    assert (len(euros.images), len(dollars.images)) == (1, 1)


async def test_the_same_data_is_the_same_paper_to_the_byte(alice: AsyncClient, parties: Parties) -> None:
    url = f"/v1/debtors/{parties.debtor.id}/statement?format=pdf"
    first, again = [(await alice.get(url)).content for _ in range(2)]
    assert first == again


async def test_nothing_that_anybody_is_called_is_run(alice: AsyncClient, database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session, name=HOSTILE[:200], address="#panic()\n" * 3)
        parties = Parties(creditor, await make_debtor(session, name=f"{HOSTILE[:150]}\u202e\u0007"))
        await make_invoice(session, parties, '#read("/etc/passwd")', 10_00, issued_on=day(9), due_on=day(2))
        await make_receipt(session, parties, 1_00, reference='=cmd|" /C calc"!A0', effective_on=day(1))
    url = f"/v1/debtors/{parties.debtor.id}/statement"
    said = words_of((await alice.get(f"{url}?format=pdf&language=en")).content)
    assert '#read("/etc/passwd")' in said
    assert '#eval("1/0")' in said
    table = (await alice.get(f"{url}?format=csv&language=en")).content.decode("utf-8-sig")
    for row in csv.reader(io.StringIO(table)):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


async def test_letters_that_no_font_has_and_a_broken_logo_leave_paper_all_the_same(
    database: Database, tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        parties = Parties(await make_creditor(session), await make_debtor(session, name="株式会社 🥖 شركة"))
        await make_invoice(session, parties, "F-1", 10_00, issued_on=day(9), due_on=day(2))
        found = await statement(session, StatementOf(debtor_id=parties.debtor_id, now=NOW))
    for logos in ({}, {parties.creditor_id: b"no picture"}):
        assert "F-1" in words_of(await pressing.pdf(found, "fr", logos=logos))


async def test_a_table_ends_with_the_balance(alice: AsyncClient, parties: Parties) -> None:
    answer = await alice.get(f"/v1/debtors/{parties.debtor.id}/statement?language=fr", headers={"Accept": "text/csv"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][3:] == ["Date", "Libellé", "Échéance", "Débit", "Crédit", "Solde"]
    assert rows[2] == ["Mouvements", "Atelier Nord", "EUR", day(50).isoformat(), "Facture F-1", day(20).isoformat(),
                       "1000,00", "", "1000,00"]  # fmt: skip
    assert [row[-1] for row in rows if row[0].startswith("Solde au")] == ["620,00"]
    assert "attachment" in answer.headers["content-disposition"]


async def test_a_long_statement_fills_pages_that_are_numbered(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async with at_work(database, tenant_id) as session:
        for place in range(120):
            await make_invoice(session, parties, f"L-{place:03}", 1_00, issued_on=day(30), due_on=day(1))
    url = f"/v1/debtors/{parties.debtor.id}/statement"
    pages = PdfReader(io.BytesIO((await alice.get(f"{url}?format=pdf")).content)).pages
    assert len(pages) > 4
    for place, page in enumerate(pages, start=1):
        assert f"Page {place} / {len(pages)}" in page.extract_text()
    assert "Libellé" in pages[1].extract_text()  # the table's head stands on each page


async def test_the_number_of_statements_is_constant(
    alice: AsyncClient, database: Database, tenant_id: UUID, parties: Parties
) -> None:
    async def cost() -> int:
        with statements(database) as sent:
            await ask(alice, parties.debtor.id)
        return len(sent)

    await cost()
    few = await cost()
    async with at_work(database, tenant_id) as session:
        for place in range(20):
            await make_invoice(session, parties, f"N-{place}", 1_00, issued_on=day(3), due_on=day(1))
    assert await cost() == few


async def test_what_cannot_be_told_is_refused(
    alice: AsyncClient, parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/v1/debtors/{parties.debtor.id}/statement"
    backwards = await alice.get(url, params={"from": TODAY.isoformat(), "to": day(1).isoformat()})
    assert (backwards.status_code, backwards.json()["errors"][0]["pointer"]) == (422, "/query/from")
    nobody = await alice.get(f"/v1/debtors/{ids.encode('dbt', ids.new_id())}/statement")
    assert nobody.json()["code"] == "debtor_not_found"
    for query in ({"to": "9999-12-31"}, {"from": "0001-01-01"}, {"to": "0001-01-01"}):
        assert (await alice.get(url, params=query)).status_code == 422
    assert (await alice.get(url, headers={"Accept": "image/png"})).status_code == 406
    monkeypatch.setattr("receivables.statements.reading.MAX_LINES", 3)
    long = await alice.get(url)
    assert (long.status_code, long.json()["code"]) == (422, "statement_too_long")
    assert MAX_LINES == 5_000


async def test_paper_that_takes_too_long_is_given_up(database: Database, tenant_id: UUID, parties: Parties) -> None:
    async with at_work(database, tenant_id) as session:
        found = await statement(session, StatementOf(debtor_id=parties.debtor_id, now=NOW))
    with pytest.raises(DocumentNotMade):
        await pressing.pdf(found, "fr", time_limit_s=0.001)
    both = await asyncio.gather(*(pressing.pdf(found, "fr") for _ in range(3)))
    assert len(set(both)) == 1


async def test_a_debtor_without_movements_has_an_empty_statement(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        debtor = await make_debtor(session, language="fr")
    assert (await ask(alice, debtor.id))["accounts"] == []
    assert "Aucun mouvement" in words_of((await alice.get(f"/v1/debtors/{debtor.id}/statement?format=pdf")).content)
