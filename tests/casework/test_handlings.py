"""Who chases: the narrowest word wins, and nobody is chased by two."""

from uuid import UUID

import pytest

from casework import queries
from casework.facts import handling_of
from casework.handlings import HandlingTarget, set_handling
from casework.models import HandlingKind
from casework.queries import HandlingFilter
from kernel import ids
from kernel.errors import Invalid
from receivables.errors import CreditorNotFound, DebtorNotFound, InvoiceNotFound
from storage.database import Database
from support.casework import facts_of
from support.counting import statements
from support.events import told
from support.merging import merge
from support.receivables import Parties, at_work, instalment_ids, make_debtor, make_invoice, make_parties
from support.tenants import NOW

OURS, THEIRS = HandlingKind.INTERNAL, HandlingKind.OUTSOURCED


def pair(parties: Parties) -> HandlingTarget:
    return HandlingTarget(creditor_id=parties.creditor_id, debtor_id=parties.debtor_id)


async def test_the_narrowest_wins(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties, others = await make_parties(session), await make_parties(session)
        kept = await make_invoice(session, parties, "F-1")
        placed = await make_invoice(session, parties, "F-2")
        alone = await make_invoice(session, others, "F-3")
        elsewhere = await make_invoice(session, Parties(others.creditor, parties.debtor), "F-4")
        lines = instalment_ids([kept, placed, alone, elsewhere])
        await set_handling(session, pair(parties), THEIRS, NOW)
        await set_handling(session, HandlingTarget(invoice_id=ids.decode("inv", kept.id)), OURS, NOW)
        facts = await facts_of(session, lines)
        with statements(database) as sent:
            handled = await handling_of(session, facts)
    assert [handled[line] for line in lines] == [OURS, THEIRS, OURS, OURS]
    assert len(sent) == 1


async def test_said_again_it_changes_nothing(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        first = await set_handling(session, pair(parties), THEIRS, NOW)
        again = await set_handling(session, pair(parties), THEIRS, NOW)
        back = await set_handling(session, pair(parties), OURS, NOW)
        assert await queries.handlings(session, HandlingFilter(), limit=5) == [back]
        assert await queries.handlings(session, HandlingFilter(kind=THEIRS), limit=5) == []
        assert await queries.handlings(session, HandlingFilter(debtor_id=parties.debtor_id), limit=5) == [back]
    assert again == first
    assert (back.id, back.version, back.kind) == (first.id, 2, OURS)
    changes = [event.sequence for event in await told(database, tenant_id) if event.type == "handling.changed"]
    assert changes == [1, 2]


async def test_of_merged_debtors_one_with_a_partner_is_enough(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        root = await make_parties(session)
        member = Parties(root.creditor, await make_debtor(session))
        await set_handling(session, pair(member), THEIRS, NOW)
        await set_handling(session, pair(root), OURS, NOW)
        await merge(session, member.debtor_id, root.debtor_id)
        (line,) = instalment_ids([await make_invoice(session, root)])
        handled = await handling_of(session, await facts_of(session, [line]))
    assert handled == {line: THEIRS}


async def test_what_cannot_be_handled_is_refused(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with at_work(database, other_tenant_id) as session:
        foreign = await make_parties(session)
        theirs = ids.decode("inv", (await make_invoice(session, foreign)).id)
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        mine = ids.decode("inv", (await make_invoice(session, parties)).id)
        for target, error in (
            (HandlingTarget(creditor_id=parties.creditor_id), Invalid),
            (HandlingTarget(invoice_id=mine, debtor_id=ids.new_id()), Invalid),
            (HandlingTarget(invoice_id=mine, creditor_id=ids.new_id()), Invalid),
            (HandlingTarget(invoice_id=theirs), InvoiceNotFound),
            (HandlingTarget(creditor_id=foreign.creditor_id, debtor_id=parties.debtor_id), CreditorNotFound),
            (HandlingTarget(creditor_id=parties.creditor_id, debtor_id=foreign.debtor_id), DebtorNotFound),
        ):
            with pytest.raises(error):
                await set_handling(session, target, THEIRS, NOW)
        assert await queries.handlings(session, HandlingFilter(), limit=5) == []
