"""The debtor's lock: whoever holds it makes the others wait, in one order, at the root."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kernel import ids
from receivables.contacts import update_contact
from receivables.corrections import update_invoice
from receivables.debtors import update_debtor
from receivables.drafts import ContactChange, DebtorChange, InvoiceChange
from receivables.errors import DebtorNotFound
from receivables.locks import debtors_locked, lock_debtors
from storage.database import Database
from storage.session import TenantSession
from support.counting import statements
from support.marks import both_servers
from support.merging import merge
from support.receivables import at_work, make_contact, make_credit_note, make_invoice, make_parties, make_receipt
from support.tenants import NOW

pytestmark = both_servers


async def test_the_root_is_locked_once_and_costs_nothing_again(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        one, two, three = [(await make_parties(session)).debtor_id for _ in range(3)]
        await merge(session, one, two)
        await merge(session, two, three)
    async with at_work(database, tenant_id) as session:
        with statements(database) as sent:
            assert await lock_debtors(session, [one, three]) == {one: three, three: three}
            assert await lock_debtors(session, [three, one]) == {one: three, three: three}
        assert debtors_locked(session) == {three}
        assert sum("no key update" in statement for statement in sent) == 1
        assert await lock_debtors(session, [two]) == {two: three}
        with pytest.raises(DebtorNotFound):
            await lock_debtors(session, [ids.new_id()])


async def test_another_tenants_debtor_cannot_be_locked(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        debtor_id = (await make_parties(session)).debtor_id
    async with at_work(database, other_tenant_id) as session:
        with pytest.raises(DebtorNotFound):
            await lock_debtors(session, [debtor_id])


@pytest.mark.parametrize("verb", ["receipt", "credit_note", "invoice", "contact", "debtor", "member"])
async def test_what_can_change_a_verdict_waits_for_the_lock(database: Database, tenant_id: UUID, verb: str) -> None:
    async with at_work(database, tenant_id) as session:
        parties, root = await make_parties(session), await make_parties(session)
        opened = await make_invoice(session, parties)
        contact = await make_contact(session, parties.debtor_id)
        await merge(session, parties.debtor_id, root.debtor_id)

    async def write(session: TenantSession) -> None:
        match verb:
            case "receipt":
                await make_receipt(session, parties, 100)
            case "credit_note":
                await make_credit_note(session, parties)
            case "invoice":
                await update_invoice(session, ids.decode("inv", opened.id), InvoiceChange(total_minor=1), NOW)
            case "contact":
                await update_contact(session, ids.decode("ctc", contact.id), ContactChange(billing=False), NOW)
            case "debtor":
                await update_debtor(session, parties.debtor_id, DebtorChange(language="en"), NOW)
            case _:
                await lock_debtors(session, [parties.debtor_id])

    async def write_impatiently() -> None:
        async with at_work(database, tenant_id) as waiter:
            await waiter.execute(text("set local lock_timeout = '50ms'"))
            await write(waiter)

    async with at_work(database, tenant_id) as holder:
        await lock_debtors(holder, [root.debtor_id])
        with pytest.raises(DBAPIError, match="lock timeout"):
            await write_impatiently()
    async with at_work(database, tenant_id) as session:
        await write(session)


async def test_an_invoice_can_be_opened_while_a_debtor_is_locked(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
    async with at_work(database, tenant_id) as holder:
        await lock_debtors(holder, [parties.debtor_id])
        async with at_work(database, tenant_id) as session:
            await session.execute(text("set local lock_timeout = '50ms'"))
            assert (await make_invoice(session, parties)).version == 1
