"""One number, two stories: the original stays as it is, and a person is asked; never a second debt."""

import itertools
from datetime import date
from typing import Any
from uuid import UUID

from billing_connectors.documents.confined import ConfinedReader
from kernel import ids
from receivables.corrections import update_invoice, void_invoice
from receivables.drafts import InvoiceChange, NewInvoice, NewReceipt
from receivables.invoices import open_invoice
from receivables.models import VoidReason
from receivables.receipts import record_receipt
from storage.database import Database
from support.documents import cii_term, make_cii, make_pdf, make_ubl
from support.importing import Importer, statuses
from support.receivables import at_work, make_debtor
from support.tenants import NOW, make_tenant

BALANCE = "select balance_minor from app.invoice where number = 'FA-2026-0107'"
HEADER = "Numéro de facture;Date facture;Échéance;Client;Montant TTC;Reste dû;Devise;N° commande\n"


def row(number: str = "FA-2026-0107", total: str = "120,00", left: str = "120,00", **cells: str) -> str:
    values = {"day": "02/03/2026", "due": "", "name": "Boulangerie Marchal", "currency": "EUR", "order": ""} | cells
    return (
        f"{number};{values['day']};{values['due']};{values['name']};{total};{left};"
        f"{values['currency']};{values['order']}\n"
    )


def minimum(**changes: str) -> bytes:
    return make_pdf(("factur-x.xml", make_cii(guideline="urn:factur-x.eu:1p0:minimum", **changes)))


async def pay(importer: Importer, creditor_id: UUID, debtor_id: UUID, amount_minor: int) -> None:
    """A receipt that settles the oldest due first."""
    async with at_work(importer.database, importer.tenant_id) as session:
        new = NewReceipt(
            creditor_id=creditor_id, debtor_id=debtor_id, currency="EUR", amount_minor=amount_minor, allocations="auto"
        )
        await record_receipt(session, new, NOW)


async def invoice(importer: Importer) -> tuple[Any, ...]:  # Any: values of each column's type
    (found,) = await importer.rows("""
        select number, due_on::text, total_minor, prepaid_minor, balance_minor, purchase_order, source, version
        from app.invoice""")
    return found


async def test_another_total_waits_for_a_person(importer: Importer) -> None:
    await importer.creditor()
    assert (await importer.one(make_cii())).status == "imported"
    before = await importer.state()
    (verdict,) = await importer.table(HEADER + row(total="130,00", left="130,00"))
    assert (verdict.status, verdict.reason, verdict.total_minor) == ("quarantined", "conflicting_total", 13_000)
    after = await importer.state()
    assert {name: rows for name, rows in after.items() if name not in {"tasks", "links"}} == {
        name: rows for name, rows in before.items() if name not in {"tasks", "links"}
    }
    assert after["tasks"] == [("document_conflicting_total", "Invoice FA-2026-0107 was read twice, with two totals")]
    assert await importer.rows("select t.invoice_id = v.id from app.task t, app.invoice v") == [(True,)]
    (again,) = await importer.table(HEADER + row(total="130,00", left="130,00"))
    assert again.status == "quarantined"
    assert len(await importer.rows("select 1 from app.task")) == 1
    assert await importer.rows("select status, reason from app.imported_document where place <> ''") == [
        ("quarantined", "conflicting_total")
    ]


async def test_another_currency_waits_for_a_person(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(make_cii())
    (verdict,) = await importer.table(HEADER + row(currency="USD"))
    assert (verdict.status, verdict.reason) == ("quarantined", "conflicting_currency")


async def test_another_debtor_waits_for_a_person(importer: Importer) -> None:
    await importer.creditor()
    organisation = (
        '<ram:SpecifiedLegalOrganization><ram:ID schemeID="0002">{}</ram:ID></ram:SpecifiedLegalOrganization>'
    )
    await importer.one(make_cii(buyer_contact=organisation.format("552100554")))
    verdict = await importer.one(make_cii(buyer_contact=organisation.format("542065479")))
    assert (verdict.status, verdict.reason) == ("quarantined", "conflicting_debtor")
    (same,) = await importer.table(HEADER + row(name="BOUL. MARCHAL"))  # the invoice itself says who that is
    assert same.status == "unchanged"
    assert len(await importer.rows("select 1 from app.debtor")) == 1


async def test_a_settled_conflict_lets_the_document_in(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row(total="100,00", left="100,00"))
    wrong = make_cii()
    assert (await importer.one(wrong)).reason == "conflicting_total"
    ((invoice_id,),) = await importer.rows("select id from app.invoice")
    async with at_work(importer.database, importer.tenant_id) as session:
        await update_invoice(session, invoice_id, InvoiceChange(total_minor=12_000), NOW)
    assert (await importer.one(wrong)).status == "updated"
    assert (await invoice(importer))[:3] == ("FA-2026-0107", "2026-04-02", 12_000)


async def test_the_same_number_in_another_year_or_kind_is_another_document(importer: Importer) -> None:
    await importer.creditor()
    verdicts = [
        await importer.one(make_cii()),
        await importer.one(make_cii(issued_on="20250302", total="70.00", due="70.00")),
        await importer.one(make_cii(type_code="381", total="50.00", due="50.00")),
    ]
    assert statuses(verdicts) == [("imported", None)] * 3
    assert len(await importer.rows("select 1 from app.invoice")) == 2
    assert len(await importer.rows("select 1 from app.credit_note")) == 1


async def test_sources_complete_each_other_in_every_order(database: Database, reader: ConfinedReader) -> None:
    files = {
        "a.xml": make_cii(due="80.00", prepaid="40.00", terms=""),
        "b.pdf": minimum(terms="", due="80.00"),
        "c.xml": make_ubl(),
        "d.csv": (HEADER + row(due="15/04/2026", left="80,00", order="PO-7")).encode(),
    }
    states: list[dict[str, list[tuple[Any, ...]]]] = []  # Any: rows of each table
    for order in itertools.permutations(files):
        importer = Importer(database, await make_tenant(database), reader)
        await importer.creditor()
        for name in order:
            (one,) = await importer.content(files[name], name)
            assert one.verdict.status in {"imported", "updated", "unchanged"}
        states.append(await importer.state())
        assert states[-1] == states[0], order
    assert states[0]["instalments"] == [("FA-2026-0107", 1, date(2026, 4, 2), 8_000, 8_000)]
    assert states[0]["invoices"][0][9] == "PO-7"


async def test_a_poorer_document_takes_nothing_back(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(make_cii(due="80.00", prepaid="40.00"))
    rich = await invoice(importer)
    (verdict,) = await importer.table(HEADER + row(due="15/04/2026"))
    assert (verdict.status, await invoice(importer)) == ("unchanged", rich)
    assert {"amount_due_differs", "due_date_differs"} <= set(verdict.warnings or ())


async def test_an_export_without_amounts_left_says_nothing_about_them(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(make_cii(due="80.00", prepaid="40.00"))
    table = (
        "Numéro de facture;Date facture;Client;Montant TTC;Devise\nFA-2026-0107;02/03/2026;Boulangerie Marchal;120;EUR"
    )
    (verdict,) = await importer.table(table)
    assert (verdict.status, "amount_due_differs" in (verdict.warnings or ())) == ("unchanged", False)
    assert (await invoice(importer))[3:5] == (4_000, 8_000)


async def test_an_export_follows_payments_that_we_do_not_know(importer: Importer) -> None:
    await importer.creditor()
    balances: list[int] = []
    for day, left in enumerate(("120,00", "50,00", "0,00", "120,00")):
        await importer.table(HEADER + row(left=left) + row(f"F-{day}"))  # each day's export has other rows too
        balances += [balance for (balance,) in await importer.rows(BALANCE)]
    assert balances == [12_000, 5_000, 0, 12_000]
    types = await importer.rows("""
        select e.type from app.event e join app.invoice v on v.id = e.object_id and v.number = 'FA-2026-0107'
        order by e.sequence""")
    assert [kind for (kind,) in types] == [
        "invoice.opened", "invoice.updated", "invoice.updated", "invoice.settled", "invoice.updated",
        "invoice.reopened",
    ]  # fmt: skip


async def test_an_export_of_the_past_takes_nothing_back(importer: Importer) -> None:
    await importer.creditor()
    first, second = HEADER + row(), HEADER + row(left="50,00")
    await importer.table(first)
    assert statuses(await importer.table(second)) == [("updated", None)]
    before = await importer.events()
    for again in (first, second, second + "\n", first, second):
        assert statuses(await importer.table(again)) == [("unchanged", None)]
    assert (await importer.events(), (await invoice(importer))[4]) == (before, 5_000)
    third = HEADER + row(left="20,00")
    assert statuses(await importer.table(third)) == [("updated", None)]
    assert statuses(await importer.table(second + "\n")) == [
        ("unchanged", None)
    ]  # it had nothing new in its day either
    assert (await invoice(importer))[4] == 2_000


async def test_a_conflict_within_one_source_stays_a_conflict(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row())
    other = HEADER + row("F-2") + row(total="130,00", left="130,00")
    for _ in range(2):
        verdicts = await importer.table(other)
        assert [one.reason for one in verdicts] == [None, "conflicting_total"]
    assert len(await importer.rows("select 1 from app.blob")) == 2


async def test_a_payment_that_both_know_is_counted_once(importer: Importer) -> None:
    creditor_id = await importer.creditor()
    await importer.table(HEADER + row())
    ((debtor_id,),) = await importer.rows("select id from app.debtor")
    await pay(importer, creditor_id, debtor_id, 7_000)
    (verdict,) = await importer.table(HEADER + row(left="50,00"))
    assert (verdict.status, (await invoice(importer))[3:5]) == ("unchanged", (0, 5_000))
    (ahead,) = await importer.table(HEADER + row(left="60,00"))
    assert (ahead.status, (await invoice(importer))[4]) == ("unchanged", 5_000)
    assert "amount_due_differs" in (ahead.warnings or ())
    (more,) = await importer.table(HEADER + row(left="20,00"))
    assert (more.status, (await invoice(importer))[3:5]) == ("updated", (3_000, 2_000))


async def test_a_document_never_takes_back_what_is_paid(importer: Importer) -> None:
    creditor_id = await importer.creditor()
    await importer.one(make_cii(terms=""))
    ((debtor_id,),) = await importer.rows("select id from app.debtor")
    await pay(importer, creditor_id, debtor_id, 10_000)
    verdict = await importer.one(minimum(due="80.00"))
    assert (verdict.status, "amount_due_differs" in (verdict.warnings or ())) == ("updated", True)
    assert (await invoice(importer))[1:5] == ("2026-04-02", 12_000, 0, 2_000)


async def test_an_invoice_that_a_program_has_opened_keeps_its_word(importer: Importer) -> None:
    creditor_id = await importer.creditor()
    async with at_work(importer.database, importer.tenant_id) as session:
        debtor = await make_debtor(session, name="Boulangerie Marchal")
        new = NewInvoice(
            creditor_id=creditor_id, debtor_id=ids.decode("dbt", debtor.id), number="FA-2026-0107",
            issued_on=date(2026, 3, 2), currency="EUR", total_minor=12_000,
        )  # fmt: skip
        await open_invoice(session, new, NOW)
    (poor,) = await importer.table(HEADER + row(left="10,00", due="15/04/2026", order="PO-7"))
    assert (poor.status, "amount_due_differs" in (poor.warnings or ())) == ("updated", True)
    assert await invoice(importer) == ("FA-2026-0107", "2026-04-15", 12_000, 0, 12_000, "PO-7", "api", 2)
    rich = await importer.one(make_cii())
    assert (rich.status, (await invoice(importer))[1]) == ("updated", "2026-04-02")


async def test_a_void_invoice_stays_void(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(make_cii())
    ((invoice_id,),) = await importer.rows("select id from app.invoice")
    async with at_work(importer.database, importer.tenant_id) as session:
        await void_invoice(session, invoice_id, VoidReason.ERROR, NOW)
    (verdict,) = await importer.table(HEADER + row(left="10,00"))
    assert (verdict.status, verdict.reason) == ("unchanged", None)
    assert "document_not_open" in (verdict.warnings or ())


async def test_a_total_known_only_from_what_was_left_is_no_conflict(importer: Importer) -> None:
    await importer.creditor()
    only_left = "Numéro de facture;Date facture;Client;Reste dû;Devise\nFA-2026-0107;02/03/2026;Marchal;{};EUR"
    assert statuses(await importer.table(only_left.format("90,00"))) == [("imported", None)]
    assert statuses(await importer.table(only_left.format("50,00"))) == [("updated", None)]
    assert (await invoice(importer))[2:5] == (9_000, 4_000, 5_000)
    xml = make_cii().replace(b"Boulangerie Marchal", b"Marchal")
    assert (await importer.one(xml)).status == "updated"
    assert (await invoice(importer))[2:5] == (12_000, 7_000, 5_000)
    assert statuses(await importer.table(only_left.format("40,00"))) == [("updated", None)]
    assert (await invoice(importer))[2:5] == (12_000, 8_000, 4_000)


async def test_instalments_are_taken_over_and_replaced_by_richer_ones(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row(due="15/04/2026"))
    terms = cii_term("20260402", amount="50.00") + cii_term("20260502", amount="70.00")
    assert (await importer.one(make_cii(terms=terms))).status == "updated"
    assert await importer.rows("select place, due_on::text, amount_minor from app.instalment order by 1") == [
        (1, "2026-04-02", 5_000),
        (2, "2026-05-02", 7_000),
    ]
    assert (await invoice(importer))[1] == "2026-04-02"
