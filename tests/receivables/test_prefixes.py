"""Lists by the beginning of a number read an index, also under row-level security."""

from uuid import UUID

import pytest
from sqlalchemy import text

from receivables import queries
from receivables.queries import CreditNoteFilter, InvoiceFilter
from storage.database import Database
from support.receivables import at_work, make_credit_note, make_invoice, make_parties
from support.tenants import NOW


@pytest.mark.parametrize("table", ["invoice", "credit_note"])
async def test_the_beginning_of_a_number_is_looked_for_in_an_index(
    database: Database, tenant_id: UUID, table: str
) -> None:
    async with at_work(database, tenant_id) as session:
        await session.execute(text("set local enable_seqscan = off"))
        begins = "number ~>=~ 'F-1' and number ~<~ 'F-2'"
        sql = f"explain select id from app.{table} where tenant_id = :tenant_id and {begins} limit 5"
        plan = "\n".join((await session.execute(text(sql), {"tenant_id": tenant_id})).scalars())
    assert f"ix_{table}_number_prefix" in plan
    assert "number ~>=~ 'F-1'" in plan, plan


async def test_and_found_by_it(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        for number in ("F-1", "F-12", "F-2", "f-1"):
            await make_invoice(session, parties, number)
        await make_credit_note(session, parties, "A-1")
        found = await queries.invoices(session, InvoiceFilter(number_prefix="F-1"), now=NOW, limit=9)
        notes = await queries.credit_notes(session, CreditNoteFilter(number_prefix="A"), limit=9)
    assert [view.number for view in found] == ["F-12", "F-1"]
    assert [view.number for view in notes] == ["A-1"]
