"""Invoices are opened, one or many, each with its own outcome."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from kernel import ids
from kernel.errors import Invalid
from kernel.money import MAX_MINOR
from receivables import access, queries
from receivables.drafts import Line
from receivables.errors import CreditorNotFound, DebtorNotFound, ExternalIdTaken, InvoiceNotFound, InvoiceNumberTaken
from receivables.invoices import open_invoice, open_invoices
from receivables.models import DocumentState, DueOnSource
from receivables.queries import InvoiceFilter
from storage.database import Database
from support.receivables import DUE, ISSUED, Parties, at_work, invoice, lines, make_invoice, make_parties
from support.tenants import NOW

MINUS = lines((-1, DUE), (10_001, DUE))


async def test_an_invoice_is_one_instalment_unless_it_says_otherwise(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await open_invoice(session, invoice(parties, total_minor=10_000, prepaid_minor=2_500), NOW)
    async with at_work(database, tenant_id) as session:
        read = await access.invoice_view(session, ids.decode("inv", view.id))
    assert read == view
    assert (view.version, view.balance_minor, view.document) == (1, 7_500, DocumentState.OPEN)
    assert view.due_on_source is DueOnSource.DOCUMENT
    assert [(line.place, line.due_on, line.amount_minor, line.balance_minor) for line in view.instalments] == [
        (1, DUE, 7_500, 7_500)
    ]


async def test_instalments_keep_their_days(database: Database, tenant_id: UUID) -> None:
    split = lines((4_000, date(2026, 4, 1)), (6_000, date(2026, 3, 15)))
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_invoice(session, parties, due_on=None, instalments=split)
    assert view.due_on == date(2026, 3, 15)
    assert [(line.due_on, line.amount_minor) for line in view.instalments] == [
        (date(2026, 4, 1), 4_000),
        (date(2026, 3, 15), 6_000),
    ]


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"number": "  "}, "/number", "required"),
        ({"number": "9" * 101}, "/number", "too_long"),
        ({"currency": "EUX"}, "/currency", "unknown_currency"),
        ({"total_minor": -1}, "/total_minor", "amount_out_of_range"),
        ({"total_minor": MAX_MINOR + 1}, "/total_minor", "amount_out_of_range"),
        ({"prepaid_minor": 10_001}, "/prepaid_minor", "exceeds_total"),
        ({"due_on": date(1969, 12, 31)}, "/due_on", "day_out_of_range"),
        ({"due_on": date(2024, 1, 1)}, "/due_on", "before_issue"),
        ({"due_on": None, "instalments": (Line(amount_minor=9_999),)}, "/instalments", "sum"),
        ({"due_on": None, "instalments": MINUS}, "/instalments/0/amount_minor", "amount_out_of_range"),
        ({"due_on": ISSUED, "instalments": lines((10_000, DUE))}, "/due_on", "differs"),
    ],
)  # fmt: skip
async def test_what_does_not_hold_together_is_refused(
    database: Database,
    tenant_id: UUID,
    changes: dict[str, Any],
    pointer: str,
    code: str,  # Any: fields of a draft
) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        with pytest.raises(Invalid) as refused:
            await open_invoice(session, invoice(parties, **changes), NOW)
        assert (pointer, code) in {(fault.pointer, fault.code) for fault in refused.value.errors}
        assert await queries.invoices(session, InvoiceFilter(), now=NOW, limit=5) == []


async def test_every_fault_is_named_at_once(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        with pytest.raises(Invalid) as refused:
            await open_invoice(session, invoice(parties, number="", currency="?", total_minor=-5), NOW)
    assert {fault.pointer for fault in refused.value.errors} >= {"/number", "/currency", "/total_minor"}


async def test_a_number_is_taken_once_a_year_and_creditor(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties, others = await make_parties(session), await make_parties(session)
        first = await make_invoice(session, parties, "F-1")
        await make_invoice(session, parties, "F-1", issued_on=date(2025, 12, 31))
        await make_invoice(session, Parties(others.creditor, parties.debtor), "F-1")
        with pytest.raises(InvoiceNumberTaken) as taken:
            await make_invoice(session, parties, "F-1", issued_on=date(2026, 12, 31))
        assert taken.value.detail == first.id
        await make_invoice(session, parties, "F-2", external_id="erp-1")
        with pytest.raises(ExternalIdTaken):
            await make_invoice(session, parties, "F-3", external_id="erp-1")


async def test_a_batch_refuses_items_one_by_one(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await make_invoice(session, parties, "F-0", external_id="erp-0")
        news = [
            invoice(parties, "F-1"),
            invoice(parties, "F-1"),
            invoice(parties, "F-0"),
            invoice(parties, "F-2", total_minor=-1),
            invoice(parties, "F-4", external_id="erp-0"),
            structs.replace(invoice(parties, "F-3"), debtor_id=ids.new_id()),
            structs.replace(invoice(parties, "F-3"), creditor_id=ids.new_id()),
            invoice(parties, "F-5"),
        ]
        outcomes = await open_invoices(session, news, NOW)
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None), InvoiceNumberTaken, InvoiceNumberTaken, Invalid, ExternalIdTaken, DebtorNotFound, CreditorNotFound,
        type(None),
    ]  # fmt: skip
    async with at_work(database, tenant_id) as session:
        numbers = [view.number for view in await queries.invoices(session, InvoiceFilter(), now=NOW, limit=50)]
    assert sorted(numbers) == ["F-0", "F-1", "F-5"]


async def test_the_filters_find_what_they_name(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties, others = await make_parties(session), await make_parties(session)
        await make_invoice(session, parties, "A-1", due_on=date(2026, 3, 1), external_id="x")
        await make_invoice(session, parties, "A-2", due_on=date(2026, 3, 2))
        await make_invoice(session, parties, "B-1", 0, due_on=date(2026, 1, 1))
        await make_invoice(session, others, "C-1", issued_on=date(2026, 2, 20))

        async def found(wanted: InvoiceFilter) -> list[str]:
            return [view.number for view in await queries.invoices(session, wanted, now=NOW, limit=10)]

        assert await found(InvoiceFilter()) == ["C-1", "B-1", "A-2", "A-1"]
        assert await found(InvoiceFilter(debtor_id=others.debtor_id)) == ["C-1"]
        assert await found(InvoiceFilter(creditor_id=parties.creditor_id)) == ["B-1", "A-2", "A-1"]
        assert await found(InvoiceFilter(debtor_id=ids.new_id())) == []
        assert await found(InvoiceFilter(settled=True)) == ["B-1"]
        assert await found(InvoiceFilter(overdue=True)) == ["A-1"]
        assert await found(InvoiceFilter(overdue=False)) == ["C-1", "B-1", "A-2"]
        assert await found(InvoiceFilter(due_from=date(2026, 3, 2), due_to=date(2026, 3, 2))) == ["A-2"]
        assert await found(InvoiceFilter(issued_from=date(2026, 2, 20))) == ["C-1"]
        assert await found(InvoiceFilter(external_id="x")) == ["A-1"]
        assert await found(InvoiceFilter(number_prefix="A-")) == ["A-2", "A-1"]


async def test_a_page_begins_after_the_last_of_the_one_before(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        for place in range(5):
            await make_invoice(session, parties, f"F-{place}")
        first = await queries.invoices(session, InvoiceFilter(), now=NOW, limit=3)
        last = ids.decode("inv", first[-1].id)
        rest = await queries.invoices(session, InvoiceFilter(), now=NOW, after=last, limit=3)
    assert [view.number for view in (*first, *rest)] == ["F-4", "F-3", "F-2", "F-1", "F-0"]


async def test_another_tenants_invoice_does_not_exist(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_invoice(session, parties)
    async with at_work(database, other_tenant_id) as session:
        mine = await make_parties(session)
        with pytest.raises(InvoiceNotFound):
            await access.invoice(session, ids.decode("inv", view.id))
        for strangers in (Parties(parties.creditor, mine.debtor), Parties(mine.creditor, parties.debtor)):
            with pytest.raises((CreditorNotFound, DebtorNotFound)):
                await make_invoice(session, strangers)
        assert await queries.invoices(session, InvoiceFilter(debtor_id=parties.debtor_id), now=NOW, limit=5) == []
