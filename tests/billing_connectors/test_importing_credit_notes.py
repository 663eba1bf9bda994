"""Credit notes: what they name they settle, whichever comes first; the rest stays to be used."""

import itertools
from typing import Any

import pytest

from billing_connectors.documents.confined import ConfinedReader
from receivables.allocations import unallocate_credit_note
from storage.database import Database
from support.documents import make_cii, make_ubl
from support.importing import Importer, statuses
from support.receivables import at_work
from support.tenants import NOW, make_tenant

REFERENCE = """<ram:InvoiceReferencedDocument><ram:IssuerAssignedID>{}</ram:IssuerAssignedID>
<ram:FormattedIssueDateTime><qdt:DateTimeString format="102">{}</qdt:DateTimeString></ram:FormattedIssueDateTime>
</ram:InvoiceReferencedDocument>"""
HEADER = "Type;Numéro de facture;Date facture;Client;Montant TTC;Reste dû;Devise;Facture d'origine\n"


def credit_note(amount: str = "20.00", names: str = "FA-2026-0107", on: str = "20260302", **changes: str) -> bytes:
    settlement = REFERENCE.format(names, on) if names else ""
    values = {"number": "AV-1", "type_code": "381", "issued_on": "20260310", "terms": "", "settlement": settlement}
    return make_cii(total=amount, due=amount, **values | changes)


TAKEN = {"imported", "updated", "unchanged"}


async def money(importer: Importer) -> tuple[Any, ...]:  # Any: values of each column's type
    """Balance of the invoice, what is left of the credit note, allocated."""
    (found,) = await importer.rows("""
        select (select sum(balance_minor)::int from app.invoice),
               (select sum(remaining_minor)::int from app.credit_note),
               (select coalesce(sum(amount_minor), 0)::int from app.allocation)""")
    return found


async def every_order(database: Database, reader: ConfinedReader, files: dict[str, bytes]) -> list[Any]:
    """Import the files in each order, each time into a fresh tenant; what they come to."""
    ends: list[Any] = []  # Any: sums
    for order in itertools.permutations(files):
        importer = Importer(database, await make_tenant(database), reader)
        await importer.creditor()
        for name in order:
            assert {one.verdict.status for one in await importer.content(files[name], name)} <= TAKEN
        ends.append(await money(importer))
    return ends


async def test_it_settles_the_invoice_that_it_names_whichever_comes_first(
    database: Database, reader: ConfinedReader
) -> None:
    files = {"invoice.xml": make_cii(), "credit.xml": credit_note()}
    assert await every_order(database, reader, files) == [(10_000, 0, 2_000)] * 2


async def test_what_is_more_than_the_invoice_stays_to_be_used(database: Database, reader: ConfinedReader) -> None:
    files = {"invoice.xml": make_cii(), "credit.xml": credit_note("150.00")}
    assert await every_order(database, reader, files) == [(0, 3_000, 12_000)] * 2


@pytest.mark.parametrize(
    "changes",
    [{"names": ""}, {"names": "FA-9"}, {"currency": "USD"}, {"on": "20250302"}, {"buyer_contact": "someone else"}],
)
async def test_only_a_reference_within_one_debtor_and_currency_settles(
    importer: Importer, changes: dict[str, str]
) -> None:
    await importer.creditor()
    buyer = changes.pop("buyer_contact", "Boulangerie Marchal")
    await importer.one(make_cii())
    verdict = await importer.one(credit_note(**changes).replace(b"Boulangerie Marchal", buyer.encode()))
    assert (verdict.status, await money(importer)) == ("imported", (12_000, 2_000, 0))


async def test_a_reference_without_a_day_means_the_number(importer: Importer) -> None:
    await importer.creditor()
    reference = (
        "<cac:BillingReference><cac:InvoiceDocumentReference><cbc:ID>FA-1</cbc:ID></cac:InvoiceDocumentReference>"
        "</cac:BillingReference>"
    )
    await importer.one(make_ubl(root="CreditNote", type_code=None, number="AV-1", total="20.00", terms=reference))
    assert await money(importer) == (None, 2_000, 0)
    await importer.one(make_cii(number="FA-1"))
    assert await money(importer) == (10_000, 0, 2_000)


async def test_a_row_names_its_invoice_too(importer: Importer) -> None:
    await importer.creditor()
    table = (
        f"{HEADER}Avoir;AV-1;10/03/2026;Marchal;-20,00;-20,00;EUR;FA-1\n"
        "Avoir;AV-2;11/03/2026;Marchal;-20,00;-15,00;EUR;\nFacture;FA-1;02/03/2026;Marchal;120,00;120,00;EUR;\n"
    )
    verdicts = await importer.table(table)
    assert [(one.status, one.kind, one.amount_due_minor) for one in verdicts] == [
        ("imported", "credit_note", 2_000),
        ("imported", "credit_note", 1_500),
        ("imported", "invoice", 12_000),
    ]
    assert await money(importer) == (10_000, 1_500, 2_000)
    assert await importer.rows("select used_minor from app.credit_note order by number") == [(0,), (500,)]
    before = await importer.events()
    assert statuses(await importer.table(table)) == [("unchanged", None)] * 3
    assert await importer.events() == before


async def test_a_credit_that_the_ledger_has_counted_is_not_counted_twice(
    database: Database, reader: ConfinedReader
) -> None:
    table = f"{HEADER}Facture;FA-2026-0107;02/03/2026;Boulangerie Marchal;120,00;{{}};EUR;\n"
    counted = {"export.csv": table.format("100,00").encode(), "credit.xml": credit_note()}
    assert [end[:2] for end in await every_order(database, reader, counted)] == [(10_000, 0)] * 2
    all_settled = {"export.csv": table.format("0,00").encode(), "credit.xml": credit_note()}
    assert [end[:2] for end in await every_order(database, reader, all_settled)] == [(0, 0)] * 2
    not_counted = {"export.csv": table.format("120,00").encode(), "credit.xml": credit_note()}
    assert [end[:2] for end in await every_order(database, reader, not_counted)] == [(10_000, 0)] * 2


async def test_three_sources_in_every_order(database: Database, reader: ConfinedReader) -> None:
    table = f"{HEADER}Facture;FA-2026-0107;02/03/2026;Boulangerie Marchal;120,00;100,00;EUR;\n"
    files = {"export.csv": table.encode(), "credit.xml": credit_note(), "invoice.xml": make_cii()}
    assert [end[:2] for end in await every_order(database, reader, files)] == [(10_000, 0)] * 6


async def test_what_somebody_has_taken_back_stays_taken_back(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(make_cii())
    await importer.one(credit_note())
    ((note_id,),) = await importer.rows("select id from app.credit_note")
    async with at_work(importer.database, importer.tenant_id) as session:
        await unallocate_credit_note(session, note_id, None, NOW)
    richer = credit_note(guideline="urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended")
    assert (await importer.one(richer)).status == "unchanged"
    assert await importer.rows("select remaining_minor from app.credit_note") == [(2_000,)]


async def test_a_negative_invoice_is_a_credit_and_never_a_debt(importer: Importer) -> None:
    await importer.creditor()
    verdict = await importer.one(make_cii(number="FA-9", total="-20.00", due="-20.00"))
    assert (verdict.status, verdict.kind, verdict.total_minor) == ("imported", "credit_note", 2_000)
    assert await money(importer) == (None, 2_000, 0)


async def test_another_total_of_a_credit_note_waits_for_a_person(importer: Importer) -> None:
    await importer.creditor()
    await importer.one(credit_note())
    verdict = await importer.one(credit_note("25.00"))
    assert (verdict.status, verdict.reason) == ("quarantined", "conflicting_total")
    assert await importer.rows("select title from app.task") == [("Credit note AV-1 was read twice, with two totals",)]
