"""Money arrives, is allocated, comes back."""

from datetime import date
from uuid import UUID

import pytest

from kernel import ids
from receivables import access, allocations, queries, receipts
from receivables.drafts import NewReversal, Share
from receivables.errors import (
    AllocationMismatch,
    AllocationNotFound,
    ExceedsBalance,
    ExternalIdTaken,
    InvoiceNotFound,
    NotEnoughLeft,
    ReceiptNotProvisional,
    ReceiptReversed,
)
from receivables.models import ReceiptState
from receivables.queries import AllocationFilter
from storage.database import Database
from support.events import told
from support.receivables import (
    Parties,
    at_work,
    lines,
    make_debtor,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW


async def test_auto_settles_the_oldest_due_first_and_leaves_the_rest_unapplied(
    database: Database, tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        late = await make_invoice(session, parties, "F-2", 5_000, due_on=date(2026, 4, 1))
        early = await make_invoice(session, parties, "F-1", 3_000, due_on=date(2026, 3, 1))
        part = await make_receipt(session, parties, 4_000, allocations="auto")
        over = await make_receipt(session, parties, 9_000, allocations="auto")
    async with at_work(database, tenant_id) as session:
        first = await access.invoice_view(session, ids.decode("inv", early.id))
        second = await access.invoice_view(session, ids.decode("inv", late.id))
    assert (part.unapplied_minor, over.unapplied_minor) == (0, 5_000)
    assert (first.balance_minor, second.balance_minor) == (0, 0)
    assert (first.version, second.version) == (2, 3)


async def test_auto_never_crosses_currency_creditor_or_debtor(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties, others = await make_parties(session), await make_parties(session)
        await make_invoice(session, parties, "F-1", 1_000, currency="USD")
        await make_invoice(session, Parties(parties.creditor, others.debtor), "F-2", 1_000)
        await make_invoice(session, Parties(others.creditor, parties.debtor), "F-3", 1_000)
        receipt = await make_receipt(session, parties, 500, allocations="auto")
    assert receipt.unapplied_minor == 500


async def test_explicit_shares_go_where_they_say(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        split = lines((4_000, date(2026, 5, 1)), (6_000, date(2026, 4, 1)))
        opened = await make_invoice(session, parties, due_on=None, instalments=split)
        first = ids.decode("ins", opened.instalments[0].id)
        whole = Share(invoice_id=ids.decode("inv", opened.id), amount_minor=7_000)
        receipt = await make_receipt(
            session, parties, 9_000, allocations=(Share(instalment_id=first, amount_minor=1_000), whole)
        )
    async with at_work(database, tenant_id) as session:
        view = await access.invoice_view(session, ids.decode("inv", opened.id))
    assert receipt.unapplied_minor == 1_000
    assert [line.balance_minor for line in view.instalments] == [2_000, 0]


async def test_shares_that_do_not_fit_are_refused(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        stranger = Parties(parties.creditor, await make_debtor(session, name="Other"))
        mine = ids.decode("inv", (await make_invoice(session, parties)).id)
        theirs = ids.decode("inv", (await make_invoice(session, stranger, "F-2")).id)
        dollars = ids.decode("inv", (await make_invoice(session, parties, "F-3", currency="USD")).id)
        receipt = await make_receipt(session, parties, 50_000)
        receipt_id = ids.decode("rcp", receipt.id)
        with pytest.raises(ExceedsBalance):
            await allocations.allocate_receipt(session, receipt_id, [Share(invoice_id=mine, amount_minor=10_001)], NOW)
        with pytest.raises(NotEnoughLeft):
            await allocations.allocate_receipt(session, receipt_id, [Share(invoice_id=mine, amount_minor=50_001)], NOW)
        for target in (theirs, dollars):
            with pytest.raises(AllocationMismatch):
                await allocations.allocate_receipt(session, receipt_id, [Share(invoice_id=target, amount_minor=1)], NOW)
        unknown = Share(invoice_id=ids.new_id(), amount_minor=1)
        with pytest.raises(InvoiceNotFound):
            await allocations.allocate_receipt(session, receipt_id, [unknown], NOW)


async def test_an_allocation_taken_back_is_gone_to_the_cent(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        one = await make_invoice(session, parties, "F-1", 3_333)
        two = await make_invoice(session, parties, "F-2", 6_667)
        receipt = await make_receipt(session, parties, 10_000, allocations="auto")
        receipt_id = ids.decode("rcp", receipt.id)
    async with at_work(database, tenant_id) as session:
        made = await queries.allocations(session, AllocationFilter(receipt_id=receipt_id), limit=10)
        of_one = [ids.decode("alc", each.id) for each in made if each.invoice_id == one.id]
        after = await allocations.unallocate_receipt(session, receipt_id, of_one, NOW)
        assert after.unapplied_minor == 3_333
        with pytest.raises(AllocationNotFound):
            await allocations.unallocate_receipt(session, receipt_id, of_one, NOW)
    async with at_work(database, tenant_id) as session:
        assert (await access.invoice_view(session, ids.decode("inv", one.id))).balance_minor == 3_333
        assert (await access.invoice_view(session, ids.decode("inv", two.id))).balance_minor == 0
        rest = await allocations.unallocate_receipt(session, receipt_id, None, NOW)
    assert rest.unapplied_minor == 10_000


async def test_reversal_reopens_exactly_what_the_receipt_settled(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        paid = await make_invoice(session, parties)
        other = await make_receipt(session, parties, 4_000, allocations="auto")
        bounced = await make_receipt(session, parties, 7_000, allocations="auto")
        bounced_id = ids.decode("rcp", bounced.id)
        gone = await receipts.reverse(session, bounced_id, NewReversal(reason="AC04"), NOW)
        with pytest.raises(ReceiptReversed):
            await receipts.reverse(session, bounced_id, NewReversal(reason="again"), NOW)
        with pytest.raises(ReceiptReversed):
            await allocations.allocate_receipt(session, bounced_id, "auto", NOW)
    async with at_work(database, tenant_id) as session:
        view = await access.invoice_view(session, ids.decode("inv", paid.id))
        shown = await access.receipt_view(session, bounced_id)
        why = await queries.reversals(session, await access.receipt(session, bounced_id), limit=10)
    assert (view.balance_minor, other.unapplied_minor) == (6_000, 0)
    assert (gone.state, gone.unapplied_minor, gone.amount_minor) == (ReceiptState.REVERSED, 0, 7_000)
    assert shown == gone
    assert [(each.reason, each.amount_minor) for each in why] == [("AC04", 7_000)]


async def test_a_provisional_receipt_becomes_final_once(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        receipt = await make_receipt(session, parties, 1_000, state=ReceiptState.PROVISIONAL)
        receipt_id = ids.decode("rcp", receipt.id)
        final = await receipts.finalise(session, receipt_id, NOW)
        with pytest.raises(ReceiptNotProvisional):
            await receipts.finalise(session, receipt_id, NOW)
    assert (receipt.state, final.state, final.version) == (ReceiptState.PROVISIONAL, ReceiptState.FINAL, 2)


async def test_one_fact_is_one_receipt(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        first = await make_receipt(session, parties, 1_000, external_id="bank-1")
    async with at_work(database, tenant_id) as session:
        assert await make_receipt(session, parties, 1_000, external_id="bank-1") == first
        with pytest.raises(ExternalIdTaken):
            await make_receipt(session, parties, 1_001, external_id="bank-1")
    assert [event.type for event in await told(database, tenant_id)].count("receipt.recorded") == 1


async def test_the_day_is_the_creditors(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        night = NOW.replace(hour=23, minute=30)
        receipt = await make_receipt(session, parties, 1_000, now=night)
    assert receipt.effective_on == date(2026, 3, 3)
