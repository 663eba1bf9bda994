"""What dunning reads, for many debts at once."""

from datetime import date
from uuid import UUID

from kernel import ids
from receivables.debtors import update_debtor
from receivables.drafts import DebtorChange, Share
from receivables.facts import billing_contacts, creditor_cards, debt_facts, debtor_cards, open_instalments_of
from receivables.models import DebtorKind, DocumentState, ReceiptState
from receivables.receipts import finalise
from storage.database import Database
from support.counting import statements
from support.merging import merge
from support.receivables import (
    DUE,
    ISSUED,
    Parties,
    at_work,
    instalment_ids,
    lines,
    make_contact,
    make_credit_note,
    make_creditor,
    make_debtor,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW


async def test_the_facts_of_a_debt(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session, zone="Europe/Lisbon", language="pt", country="PT")
        debtor = await make_debtor(session, kind=DebtorKind.PERSON, language="en", zone="Europe/London", country="GB")
        parties = Parties(creditor, debtor)
        view = await make_invoice(session, parties, total_minor=10_000, direct_debit_on=date(2026, 3, 9))
        (line,) = instalment_ids([view])
        part = Share(instalment_id=line, amount_minor=1_000)
        await make_receipt(session, parties, 2_500, state=ReceiptState.PROVISIONAL, allocations=(part,))
        await make_receipt(session, parties, 300)
        await make_receipt(session, parties, 77, currency="USD")
        await make_credit_note(session, parties, total_minor=40)
        await update_debtor(session, parties.debtor_id, DebtorChange(insolvent_on=date(2026, 3, 1)), NOW)
        await session.flush()
        facts = (await debt_facts(session, [line, ids.new_id()]))[line]
    assert (facts.invoice_id, facts.creditor_id, facts.debtor_id) == (
        ids.decode("inv", view.id),
        parties.creditor_id,
        parties.debtor_id,
    )
    assert (facts.number, facts.place, facts.issued_on, facts.due_on) == ("F-1", 1, ISSUED, DUE)
    assert (facts.currency, facts.amount_minor, facts.balance_minor, facts.total_minor) == (
        "EUR",
        10_000,
        9_000,
        10_000,
    )
    assert (facts.document, facts.direct_debit_on, facts.known_at) == (DocumentState.OPEN, date(2026, 3, 9), NOW)
    assert (facts.debtor_kind, facts.insolvent_on) == (DebtorKind.PERSON, date(2026, 3, 1))
    assert (facts.creditor_zone, facts.creditor_language, facts.creditor_country) == ("Europe/Lisbon", "pt", "PT")
    assert (facts.debtor_zone, facts.debtor_language, facts.debtor_country) == ("Europe/London", "en", "GB")
    assert (facts.provisional_minor, facts.unapplied_minor) == (2_500, 1_500 + 300 + 40)


async def test_final_money_is_no_longer_in_process(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        (line,) = instalment_ids([await make_invoice(session, parties)])
        receipt = await make_receipt(session, parties, 10_000, state=ReceiptState.PROVISIONAL, allocations="auto")
        before = (await debt_facts(session, [line]))[line]
        await finalise(session, ids.decode("rcp", receipt.id), NOW)
        await session.flush()
        after = (await debt_facts(session, [line]))[line]
    assert (before.balance_minor, before.provisional_minor, before.unapplied_minor) == (0, 10_000, 0)
    assert (after.balance_minor, after.provisional_minor, after.unapplied_minor) == (0, 0, 0)


async def test_merged_debtors_are_one(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        root = await make_parties(session)
        member = Parties(root.creditor, await make_debtor(session, name="Petit SA"))
        other = Parties(root.creditor, await make_debtor(session, name="Other"))
        mine = instalment_ids([await make_invoice(session, root, "F-1"), await make_invoice(session, member, "F-2")])
        (theirs,) = instalment_ids([await make_invoice(session, other, "F-3")])
        await make_receipt(session, member, 500)
        await make_contact(session, member.debtor_id)
        await merge(session, member.debtor_id, root.debtor_id)
        facts = await debt_facts(session, [*mine, theirs])
        contacts = await billing_contacts(session, [root.debtor_id, other.debtor_id])
        still_open = await open_instalments_of(session, [root.debtor_id])
    assert {facts[line].debtor_id for line in mine} == {root.debtor_id}
    assert {facts[line].unapplied_minor for line in mine} == {500}
    assert (facts[theirs].debtor_id, facts[theirs].unapplied_minor) == (other.debtor_id, 0)
    assert [contact.debtor_id for contact in contacts[root.debtor_id]] == [root.debtor_id]
    assert other.debtor_id not in contacts
    assert set(still_open) == set(mine)


async def test_a_merged_debtors_money_settles_the_groups_debts(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        root = await make_parties(session)
        member = Parties(root.creditor, await make_debtor(session))
        await merge(session, member.debtor_id, root.debtor_id)
        of_root = await make_invoice(session, root, "F-1", 1_000)
        of_member = await make_invoice(session, member, "F-2", 1_000)
        auto = await make_receipt(session, member, 1_000, allocations="auto")
        share = Share(invoice_id=ids.decode("inv", of_member.id), amount_minor=400)
        named = await make_receipt(session, root, 400, allocations=(share,))
        facts = await debt_facts(session, instalment_ids([of_root, of_member]))
    assert (auto.unapplied_minor, named.unapplied_minor) == (0, 0)
    assert sorted(fact.balance_minor for fact in facts.values()) == [0, 600]


async def test_what_is_settled_or_void_is_not_open(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        split = lines((1_000, DUE), (2_000, date(2026, 5, 1)))
        view = await make_invoice(session, parties, "F-1", 3_000, due_on=None, instalments=split)
        await make_receipt(session, parties, 1_500, allocations="auto")
        still_open = await open_instalments_of(session, [parties.debtor_id])
    assert still_open == instalment_ids([view])[1:]


async def test_the_number_of_queries_does_not_grow(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        first = await make_parties(session)
        views = [await make_invoice(session, first, "F-0")]
        for place in range(1, 8):
            parties = await make_parties(session)
            views.append(await make_invoice(session, parties, f"F-{place}"))
            await make_receipt(session, parties, 10 * place)
    counts: list[int] = []
    for some in (views[:1], views):
        async with at_work(database, tenant_id) as session:
            await session.connection()
            with statements(database) as sent:
                assert len(await debt_facts(session, instalment_ids(some))) == len(some)
            counts.append(len(sent))
    assert counts == [3, 3]


async def test_what_letters_say_of_both(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session, reply_to="compta@nord.example", address="1 rue Haute")
        parties = Parties(creditor, await make_debtor(session, address="2 rue Basse"))
        cards = await creditor_cards(session, [parties.creditor_id, ids.new_id()])
        names = await debtor_cards(session, [parties.debtor_id])
    assert (cards[parties.creditor_id].reply_to, len(cards)) == ("compta@nord.example", 1)
    assert names[parties.debtor_id].address == "2 rue Basse"
