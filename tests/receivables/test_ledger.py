"""Every change of an amount is a row of the ledger, with the day from which it counts and the instant it was known."""

import importlib.util
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from kernel import ids
from receivables import corrections, credit_notes, receipts
from receivables.drafts import CreditNoteChange, InvoiceChange, Line, NewReversal
from receivables.ledger import LedgerEntry
from receivables.models import VoidReason
from receivables.recompute import drift
from storage.database import Database
from storage.migrating import MIGRATIONS
from storage.session import TenantSession
from support.receivables import (
    DUE,
    ISSUED,
    Parties,
    at_work,
    lines,
    make_credit_note,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW

LATER = NOW + timedelta(days=5)
OTHER_DUE = date(2026, 4, 15)


async def entries(session: TenantSession) -> Sequence[LedgerEntry]:
    return (await session.scalars(select(LedgerEntry).order_by(LedgerEntry.id))).all()


def told(rows: Sequence[LedgerEntry]) -> list[tuple[str, int, date]]:
    return [(row.kind.value, row.amount_minor, row.effective_on) for row in rows]


async def test_an_invoice_enters_the_ledger_with_one_row_for_each_instalment(
    database: Database, tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        split = lines((4_000, DUE), (6_000, OTHER_DUE))
        view = await make_invoice(session, await make_parties(session), due_on=None, instalments=split)
        found = await entries(session)
    assert told(found) == [("invoice_opened", 4_000, ISSUED), ("invoice_opened", 6_000, ISSUED)]
    assert [(row.due_on, row.instalment_id) for row in found] == [
        (line.due_on, ids.decode("ins", line.id)) for line in view.instalments
    ]
    assert {(row.invoice_id, row.known_at) for row in found} == {(ids.decode("inv", view.id), NOW)}


async def test_a_correction_is_a_difference_from_the_issue_day_known_now(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        invoice_id = ids.decode("inv", (await make_invoice(session, parties)).id)
        await corrections.update_invoice(session, invoice_id, InvoiceChange(total_minor=7_000), LATER)
        await corrections.update_invoice(session, invoice_id, InvoiceChange(due_on=OTHER_DUE), LATER)
        await corrections.update_invoice(session, invoice_id, InvoiceChange(purchase_order="4711"), LATER)
        split = (Line(amount_minor=2_000, due_on=OTHER_DUE), Line(amount_minor=5_000, due_on=DUE))
        await corrections.update_invoice(session, invoice_id, InvoiceChange(instalments=split), LATER)
        found = await entries(session)
        assert await drift(session, [parties.debtor_id]) == []
    assert told(found) == [
        ("invoice_opened", 10_000, ISSUED),
        ("invoice_corrected", -3_000, ISSUED),
        ("invoice_corrected", 0, ISSUED),
        ("invoice_corrected", -5_000, ISSUED),
        ("invoice_corrected", 5_000, ISSUED),
    ]
    assert [row.due_on for row in found] == [DUE, DUE, OTHER_DUE, OTHER_DUE, DUE]
    assert [row.known_at for row in found] == [NOW] + [LATER] * 4


async def test_another_issue_day_moves_the_whole_amount_to_it(database: Database, tenant_id: UUID) -> None:
    moved = ISSUED + timedelta(days=10)
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        invoice = ids.decode("inv", (await make_invoice(session, parties)).id)
        note = ids.decode("crn", (await make_credit_note(session, parties, total_minor=3_000)).id)
        await corrections.update_invoice(session, invoice, InvoiceChange(issued_on=moved, total_minor=9_000), LATER)
        change = CreditNoteChange(issued_on=moved, total_minor=2_500)
        await credit_notes.update_credit_note(session, note, change, LATER)
        found = await entries(session)
        assert await drift(session, [parties.debtor_id]) == []
    assert told(found)[2:] == [
        ("invoice_corrected", -10_000, ISSUED),
        ("invoice_corrected", 9_000, moved),
        ("credit_note_corrected", 3_000, ISSUED),
        ("credit_note_corrected", -2_500, moved),
    ]


@pytest.mark.parametrize(
    ("reason", "from_the_start"),
    [(VoidReason.CANCELLED, False), (VoidReason.GONE, False), (VoidReason.ERROR, True), (VoidReason.DUPLICATE, True)],
)
async def test_a_void_document_counts_until_today_or_never_did(
    database: Database, tenant_id: UUID, reason: VoidReason, *, from_the_start: bool
) -> None:
    day = ISSUED if from_the_start else LATER.date()
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        invoice = ids.decode("inv", (await make_invoice(session, parties)).id)
        note = ids.decode("crn", (await make_credit_note(session, parties, total_minor=3_000)).id)
        await corrections.void_invoice(session, invoice, reason, LATER)
        await credit_notes.void_credit_note(session, note, reason, LATER)
        assert told(await entries(session))[2:] == [
            ("invoice_voided", -10_000, day),
            ("credit_note_voided", 3_000, day),
        ]
        assert await drift(session, [parties.debtor_id]) == []


async def test_money_enters_the_ledger_and_leaves_it(database: Database, tenant_id: UUID) -> None:
    came, went = date(2026, 2, 20), date(2026, 2, 27)
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        receipt = await make_receipt(session, parties, 4_000, effective_on=came)
        why = NewReversal(reason="AM04", effective_on=went)
        await receipts.reverse(session, ids.decode("rcp", receipt.id), why, NOW)
        assert told(await entries(session)) == [("receipt_recorded", -4_000, came), ("receipt_reversed", 4_000, went)]


async def lives(session: TenantSession) -> Parties:
    """Documents and money in every state that they can be in before the ledger was kept."""
    parties = await make_parties(session)
    for number, reason in (("F-1", None), ("F-2", VoidReason.CANCELLED), ("F-3", VoidReason.ERROR)):
        split = lines((4_000, DUE), (6_000, OTHER_DUE))
        view = await make_invoice(session, parties, number, due_on=None, instalments=split)
        if reason is not None:
            await corrections.void_invoice(session, ids.decode("inv", view.id), reason, LATER)
    await make_credit_note(session, parties, "A-1", 3_000, used_minor=1_000, allocations="auto")
    gone = await make_credit_note(session, parties, "A-2", 3_000)
    await credit_notes.void_credit_note(session, ids.decode("crn", gone.id), VoidReason.CANCELLED, LATER)
    await make_receipt(session, parties, 4_500, allocations="auto")
    bounced = await make_receipt(session, parties, 1_500, allocations="auto")
    await receipts.reverse(session, ids.decode("rcp", bounced.id), NewReversal(reason="AM04"), LATER)
    return parties


async def test_what_was_there_before_the_ledger_is_entered_by_the_migration(
    database: Database, tenant_id: UUID
) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await lives(session)
        kept = sorted(told(await entries(session)))
    path = MIGRATIONS / "versions" / "2026_11_21_2230_ledger.py"
    spec = importlib.util.spec_from_file_location("ledger_migration", path)
    assert spec is not None
    assert spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    async with database.engine("owner").begin() as connection:
        await connection.execute(text("delete from app.ledger_entry"))
        for statement in migration.BACKFILL:
            await connection.execute(text(statement))
    async with at_work(database, tenant_id) as session:
        assert sorted(told(await entries(session))) == kept
        assert await drift(session, [parties.debtor_id]) == []
