"""Credit notes: recorded, used, corrected, voided."""

from datetime import date
from uuid import UUID

import pytest
from msgspec import structs

from kernel import ids
from kernel.errors import Invalid
from receivables import access, allocations
from receivables.credit_notes import create_credit_notes, update_credit_note, void_credit_note
from receivables.drafts import CreditNoteChange, NewCreditNote, Preceding, Share
from receivables.errors import (
    AmountBelowAllocated,
    CreditNoteNotOpen,
    CreditNoteNumberTaken,
    DebtorNotFound,
    NotEnoughLeft,
)
from receivables.models import DocumentState, VoidReason
from receivables.recompute import drift
from receivables.upserting import put_credit_notes
from receivables.views import CreditNoteView, InvoiceView
from storage.database import Database
from storage.session import TenantSession
from support.events import told
from support.receivables import ISSUED, Parties, at_work, make_credit_note, make_invoice, make_parties
from support.tenants import NOW


def crn(view: CreditNoteView) -> UUID:
    return ids.decode("crn", view.id)


async def balance(session: TenantSession, view: InvoiceView) -> int:
    return (await access.invoice_view(session, ids.decode("inv", view.id))).balance_minor


def draft(parties: Parties, number: str, total_minor: int = 1_000) -> NewCreditNote:
    return NewCreditNote(
        creditor_id=parties.creditor_id,
        debtor_id=parties.debtor_id,
        number=number,
        issued_on=ISSUED,
        currency="EUR",
        total_minor=total_minor,
    )


async def test_it_settles_the_invoice_that_it_names_and_keeps_the_rest(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        last_year = await make_invoice(session, parties, "F-1", 4_000, issued_on=date(2025, 6, 1))
        this_year = await make_invoice(session, parties, "F-1", 3_000)
        latest = await make_credit_note(session, parties, "A-1", 5_000, preceding=Preceding(number="F-1"))
        dated = Preceding(number="F-1", issued_on=date(2025, 6, 1))
        named = await make_credit_note(session, parties, "A-2", 1_500, preceding=dated)
        unknown = await make_credit_note(session, parties, "A-3", 500, preceding=Preceding(number="F-9"))
        assert (await balance(session, this_year), await balance(session, last_year)) == (0, 2_500)
        assert await drift(session, [parties.debtor_id]) == []
    assert (latest.remaining_minor, named.remaining_minor, unknown.remaining_minor) == (2_000, 0, 500)
    of_latest = [event.type for event in await told(database, tenant_id) if event.object_id == crn(latest)]
    assert of_latest == ["credit_note.created", "credit_note.allocated"]


async def test_a_strangers_invoice_is_not_settled(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties, others = await make_parties(session), await make_parties(session)
        theirs = await make_invoice(session, Parties(parties.creditor, others.debtor), "F-1", 4_000)
        dollars = await make_invoice(session, parties, "F-2", 4_000, currency="USD")
        first = await make_credit_note(session, parties, "A-1", 1_000, preceding=Preceding(number="F-1"))
        second = await make_credit_note(session, parties, "A-2", 1_000, preceding=Preceding(number="F-2"))
        assert (await balance(session, theirs), await balance(session, dollars)) == (4_000, 4_000)
    assert (first.remaining_minor, second.remaining_minor) == (1_000, 1_000)


async def test_it_is_allocated_and_taken_back_like_money(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        one = await make_invoice(session, parties, "F-1", 4_000)
        note = await make_credit_note(session, parties, total_minor=5_000, used_minor=500)
        share = Share(invoice_id=ids.decode("inv", one.id), amount_minor=4_000)
        used = await allocations.allocate_credit_note(session, crn(note), [share], NOW)
        assert (note.remaining_minor, used.remaining_minor, await balance(session, one)) == (4_500, 500, 0)
        two = await make_invoice(session, parties, "F-2", 4_000)
        over = Share(invoice_id=ids.decode("inv", two.id), amount_minor=501)
        with pytest.raises(NotEnoughLeft):
            await allocations.allocate_credit_note(session, crn(note), [over], NOW)
        back = await allocations.unallocate_credit_note(session, crn(note), None, NOW)
        assert (back.remaining_minor, await balance(session, one)) == (4_500, 4_000)
        assert await drift(session, [parties.debtor_id]) == []


async def test_a_void_one_reopens_what_it_settled(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        one = await make_invoice(session, parties, total_minor=1_000)
        note = await make_credit_note(session, parties, total_minor=1_500, allocations="auto")
        assert await balance(session, one) == 0
        gone = await void_credit_note(session, crn(note), VoidReason.ERROR, NOW)
        assert await balance(session, one) == 1_000
        with pytest.raises(CreditNoteNotOpen):
            await allocations.allocate_credit_note(session, crn(note), "auto", NOW)
        assert await drift(session, [parties.debtor_id]) == []
    assert (gone.document, gone.remaining_minor) == (DocumentState.VOID, 0)


async def test_a_correction_leaves_what_is_used(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await make_invoice(session, parties, total_minor=1_000)
        note = await make_credit_note(session, parties, total_minor=1_500, allocations="auto")
        more = await update_credit_note(session, crn(note), CreditNoteChange(total_minor=2_000), NOW)
        with pytest.raises(AmountBelowAllocated):
            await update_credit_note(session, crn(note), CreditNoteChange(total_minor=999), NOW)
    assert (more.remaining_minor, more.version) == (1_000, 3)


async def test_a_batch_of_them_refuses_one_by_one(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        news = [
            draft(parties, "A-1"),
            draft(parties, "A-1"),
            structs.replace(draft(parties, "A-2"), debtor_id=ids.new_id()),
            draft(parties, "A-3", -1),
            structs.replace(draft(parties, "A-4"), used_minor=1_001),
        ]
        outcomes = await create_credit_notes(session, news, NOW)
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None), CreditNoteNumberTaken, DebtorNotFound, Invalid, Invalid,
    ]  # fmt: skip


async def test_putting_one_again_corrects_it_or_changes_nothing(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await make_invoice(session, parties, total_minor=600)
        new = structs.replace(draft(parties, "A-1"), preceding=Preceding(number="F-1"))
        first, same, corrected, again = await put_credit_notes(
            session, [new, new, structs.replace(new, total_minor=900), structs.replace(new, total_minor=500)], NOW
        )
        assert await drift(session, [parties.debtor_id]) == []
    assert [first.status, same.status, corrected.status] == ["created", "unchanged", "updated"]
    assert (first.get().remaining_minor, corrected.get().remaining_minor) == (400, 300)
    assert isinstance(again.error, AmountBelowAllocated)
