"""Documents are corrected, put again, voided."""

from datetime import date
from uuid import UUID

import pytest

from kernel import ids
from kernel.errors import Invalid, PreconditionFailed
from receivables import access, queries
from receivables.corrections import MANY, correct_invoices, update_invoice, void_invoice
from receivables.drafts import InvoiceChange
from receivables.errors import AmountBelowAllocated, DocumentConflict, ExternalIdTaken, InvoiceNotFound, InvoiceNotOpen
from receivables.models import DocumentState, DueOnSource, VoidReason
from receivables.queries import AllocationFilter
from receivables.recompute import drift
from receivables.upserting import put_invoice, put_invoices
from receivables.views import InvoiceView
from storage.database import Database
from support.events import told
from support.receivables import (
    DUE,
    at_work,
    invoice,
    lines,
    make_debtor,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW

LATER = date(2026, 4, 10)


def inv(view: InvoiceView) -> UUID:
    return ids.decode("inv", view.id)


async def test_the_due_date_moves_with_its_instalment(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        view = await make_invoice(session, await make_parties(session))
        moved = await update_invoice(session, inv(view), InvoiceChange(due_on=LATER), NOW)
        again = await update_invoice(session, inv(view), InvoiceChange(due_on=LATER), NOW)
        none = await update_invoice(session, inv(view), InvoiceChange(due_on=None), NOW)
    assert (moved.version, moved.due_on, moved.instalments[0].due_on) == (2, LATER, LATER)
    assert again == moved
    assert (none.due_on, none.due_on_source, none.instalments[0].due_on) == (None, DueOnSource.NONE, None)
    assert [line.id for line in none.instalments] == [line.id for line in view.instalments]


async def test_of_several_instalments_a_correction_names_them_all(database: Database, tenant_id: UUID) -> None:
    split = lines((4_000, DUE), (6_000, LATER))
    async with at_work(database, tenant_id) as session:
        view = await make_invoice(session, await make_parties(session), due_on=None, instalments=split)
        for change in (InvoiceChange(due_on=LATER), InvoiceChange(total_minor=9_000)):
            with pytest.raises(Invalid):
                await update_invoice(session, inv(view), change, NOW)
        three = InvoiceChange(instalments=lines((4_000, DUE), (5_000, LATER), (1_000, LATER)))
        grown = await update_invoice(session, inv(view), three, NOW)
        one = InvoiceChange(total_minor=8_000, instalments=lines((8_000, LATER)))
        shrunk = await update_invoice(session, inv(view), one, NOW)
    async with at_work(database, tenant_id) as session:
        read = await access.invoice_view(session, inv(view))
    assert [line.amount_minor for line in grown.instalments] == [4_000, 5_000, 1_000]
    assert [(line.amount_minor, line.due_on) for line in shrunk.instalments] == [(8_000, LATER)]
    assert read == shrunk
    assert shrunk.instalments[0].id == view.instalments[0].id


async def test_a_total_never_falls_below_what_is_settled(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_invoice(session, parties, total_minor=10_000)
        await make_receipt(session, parties, 6_000, allocations="auto")
        with pytest.raises(AmountBelowAllocated):
            await update_invoice(session, inv(view), InvoiceChange(total_minor=5_999), NOW)
        exact = await update_invoice(session, inv(view), InvoiceChange(total_minor=6_000), NOW)
        more = await update_invoice(session, inv(view), InvoiceChange(total_minor=6_500), NOW)
        assert await drift(session, [parties.debtor_id]) == []
    assert (exact.balance_minor, more.balance_minor) == (0, 500)
    events = [event for event in await told(database, tenant_id) if event.object_id == inv(view)]
    assert [(event.sequence, event.type) for event in events] == [
        (1, "invoice.opened"),
        (2, "invoice.payment_updated"),
        (3, "invoice.updated"),
        (4, "invoice.settled"),
        (5, "invoice.updated"),
        (6, "invoice.reopened"),
    ]


async def test_the_version_that_was_read_is_the_one_that_changes(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        view = await make_invoice(session, await make_parties(session))
        change = InvoiceChange(due_on=LATER)
        with pytest.raises(PreconditionFailed):
            await update_invoice(session, inv(view), change, NOW, expected_version=2)
        assert (await update_invoice(session, inv(view), change, NOW, expected_version=1)).version == 2
        with pytest.raises(InvoiceNotFound):
            await update_invoice(session, ids.new_id(), change, NOW)


async def test_an_external_id_is_one_invoices(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await make_invoice(session, parties, "F-1", external_id="a")
        view = await make_invoice(session, parties, "F-2", external_id="b")
    with pytest.raises(ExternalIdTaken):
        async with at_work(database, tenant_id) as session:
            await update_invoice(session, inv(view), InvoiceChange(external_id="a"), NOW)


async def test_a_void_invoice_gives_back_what_settled_it(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_invoice(session, parties, total_minor=10_000)
        receipt = await make_receipt(session, parties, 6_000, allocations="auto")
        gone = await void_invoice(session, inv(view), VoidReason.DUPLICATE, NOW)
        with pytest.raises(InvoiceNotOpen):
            await void_invoice(session, inv(view), VoidReason.DUPLICATE, NOW)
        with pytest.raises(InvoiceNotOpen):
            await update_invoice(session, inv(view), InvoiceChange(due_on=LATER), NOW)
        assert await drift(session, [parties.debtor_id]) == []
        rows = await queries.allocations(session, AllocationFilter(invoice_id=inv(view)), limit=5)
    async with at_work(database, tenant_id) as session:
        free = await access.receipt_view(session, ids.decode("rcp", receipt.id))
        assert await access.invoice_view(session, inv(view)) == gone
    assert (gone.document, gone.void_reason, gone.balance_minor) == (DocumentState.VOID, VoidReason.DUPLICATE, 0)
    assert (receipt.unapplied_minor, free.unapplied_minor) == (0, 6_000)
    assert [row.amount_minor for row in rows] == [-6_000, 6_000]
    types = [event.type for event in await told(database, tenant_id)]
    assert types[-3:] == ["invoice.voided", "receipt.unallocated", "allocation.undone"]


async def test_putting_again_changes_nothing(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        split = lines((4_000, DUE), (6_000, LATER))
        news = [invoice(parties, "F-1"), invoice(parties, "F-2", due_on=None, instalments=split, external_id="x")]
        first = await put_invoices(session, news, NOW)
    before = await told(database, tenant_id)
    async with at_work(database, tenant_id) as session:
        second = await put_invoices(session, news, NOW)
    assert [outcome.status for outcome in first] == ["created", "created"]
    assert [outcome.status for outcome in second] == ["unchanged", "unchanged"]
    assert [outcome.view for outcome in first] == [outcome.view for outcome in second]
    assert len(await told(database, tenant_id)) == len(before)


async def test_what_a_source_corrects_is_corrected_and_nothing_is_erased(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await put_invoice(session, invoice(parties, purchase_order="PO-7"), NOW)
        richer = invoice(parties, total_minor=12_000, due_on=LATER, source="facturx", source_rank=200)
        updated = (await put_invoice(session, richer, NOW)).get()
        poorer = invoice(parties, total_minor=1, due_on=DUE, payment_terms="30 jours", source="csv", source_rank=10)
        filled = await put_invoice(session, poorer, NOW)
        silent = await put_invoice(session, invoice(parties, total_minor=1, due_on=None, source_rank=10), NOW)
    assert (updated.total_minor, updated.due_on, updated.purchase_order) == (12_000, LATER, "PO-7")
    assert updated.source == "facturx"
    assert filled.status == "updated"
    view = filled.get()
    assert (view.total_minor, view.due_on, view.payment_terms, view.source) == (12_000, LATER, "30 jours", "facturx")
    assert silent.status == "unchanged"


async def test_a_computed_day_never_replaces_the_documents(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await put_invoice(session, invoice(parties, due_on=None), NOW)
        terms = invoice(parties, due_on=DUE, due_on_source=DueOnSource.TERMS)
        computed = (await put_invoice(session, terms, NOW)).get()
        stated = (await put_invoice(session, invoice(parties, due_on=LATER), NOW)).get()
        kept = await put_invoice(session, terms, NOW)
    assert (computed.due_on, computed.due_on_source) == (DUE, DueOnSource.TERMS)
    assert (stated.due_on, stated.due_on_source) == (LATER, DueOnSource.DOCUMENT)
    assert kept.status == "unchanged"


async def test_less_due_was_paid_on_the_first_instalments(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        split = lines((4_000, DUE), (6_000, LATER))
        await put_invoice(session, invoice(parties, due_on=None, instalments=split), NOW)
        less = (await put_invoice(session, invoice(parties, prepaid_minor=5_000), NOW)).get()
        more = (await put_invoice(session, invoice(parties, total_minor=11_000, prepaid_minor=5_000), NOW)).get()
        assert await drift(session, [parties.debtor_id]) == []
    assert [line.amount_minor for line in less.instalments] == [0, 5_000]
    assert [line.amount_minor for line in more.instalments] == [0, 6_000]


async def test_two_identities_are_a_conflict_and_never_a_second_debt(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await make_invoice(session, parties, "F-1", external_id="a")
        await make_invoice(session, parties, "F-2", external_id="b")
        other = ids.decode("dbt", (await make_debtor(session, name="Other")).id)
        outcomes = await put_invoices(
            session,
            [
                invoice(parties, "F-1", external_id="b"),
                invoice(parties, "F-1", debtor_id=other),
                invoice(parties, "F-1", currency="USD"),
                invoice(parties, "F-1"),
                invoice(parties, "F-3"),
                invoice(parties, "F-3", due_on=LATER),
                invoice(parties, "F-3", due_on=LATER),
                invoice(parties, ""),
            ],
            NOW,
        )
        kinds = [type(outcome.error).__name__ for outcome in outcomes]
        assert kinds[:3] == [DocumentConflict.__name__] * 3
        assert [outcome.status for outcome in outcomes[3:]] == [
            "unchanged", "created", "updated", "unchanged", "refused",
        ]  # fmt: skip
        assert len(await queries.invoices(session, queries.InvoiceFilter(), now=NOW, limit=10)) == 3


async def test_many_are_corrected_as_one_is(database: Database, tenant_id: UUID) -> None:
    """From a certain number on they are written in two statements, whose outcome is the same."""
    count = MANY + 5
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        for place in range(count):
            await make_invoice(session, parties, f"F-{place}", 1_000, external_id=f"erp-{place}")
        news = [invoice(parties, f"F-{place}", 1_000 + place, payment_terms="30 jours") for place in range(count)]
        outcomes = await put_invoices(session, news, NOW)
        shown = [await access.invoice_view(session, ids.decode("inv", each.get().id)) for each in outcomes]
        assert [each.get() for each in outcomes] == shown
        assert [each.status for each in outcomes] == ["updated"] * count
        assert [(view.total_minor, view.payment_terms) for view in shown] == [
            (1_000 + place, "30 jours") for place in range(count)
        ]
        assert await drift(session, [parties.debtor_id]) == []
    changes = {ids.decode("inv", view.id): InvoiceChange(external_id="the same") for view in shown}
    with pytest.raises(ExternalIdTaken):
        async with at_work(database, tenant_id) as session:
            await correct_invoices(session, changes, NOW)
