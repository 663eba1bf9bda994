"""Credit notes settle the invoices that they name, whichever of the two arrives first.

An accountant sets a credit note off against the invoice that it names, and leaves any other for somebody to decide
on; so only a reference in the document settles, up to what is left of both, within one debtor and one currency.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy import Row, text

from billing_connectors import statements
from billing_connectors.batches import Batch
from billing_connectors.documents.canonical import Preceding
from billing_connectors.merging import LEDGER, Statement, invoice_change, settled_of, with_reading
from kernel import ids
from receivables import access
from receivables.allocations import allocate_credit_note
from receivables.changes import named
from receivables.corrections import draft_from, update_invoice
from receivables.drafts import Share
from receivables.locks import lock_debtors
from receivables.merges import roots_of
from receivables.models import Invoice
from receivables.views import InvoiceView
from storage.session import TenantSession, tenant_of

MAX_PAIRS: Final = 5_000


async def expect(session: TenantSession, named_by: Mapping[UUID, Collection[Preceding]]) -> None:
    """Remember the invoices that credit notes name, until they have been settled."""
    rows = [(note_id, one.number, one.issued_on) for note_id, each in named_by.items() for one in each if one.number]
    if not rows:
        return
    values = {
        "tenant_id": tenant_of(session),
        "notes": [row[0] for row in rows],
        "numbers": [row[1] for row in rows],
        "days": [row[2] for row in rows],
    }
    await session.execute(_EXPECT, values)


_EXPECT: Final = text("""
insert into app.awaited_invoice (tenant_id, creditor_id, number, credit_note_id, issued_on)
select :tenant_id, n.creditor_id, u.number, n.id, u.issued_on
from unnest(cast(:notes as uuid[]), cast(:numbers as text[]), cast(:days as date[])) as u(note_id, number, issued_on)
join app.credit_note n on n.tenant_id = :tenant_id and n.id = u.note_id
order by n.creditor_id, u.number, n.id
on conflict do nothing
""")


async def settle(batch: Batch) -> None:
    """Set off what the batch has brought together: its credit notes with invoices, its invoices with credit notes."""
    objects = [item.object_id for item in batch.items if item.status in {"imported", "updated"} and item.object_id]
    await settle_objects(batch.session, objects, batch.now)


async def settle_objects(session: TenantSession, object_ids: Collection[UUID], now: datetime) -> bool:
    """Set off these credit notes with the invoices that they name, and these invoices with those that name them.

    Answers whether anything was found to set off.
    """
    if not object_ids:
        return False
    values = {"tenant_id": tenant_of(session), "objects": list(object_ids), "rows": MAX_PAIRS}
    pairs = list(await session.execute(_PAIRS, values))
    if not pairs:
        return False
    debtor_ids = {debtor_id for pair in pairs for debtor_id in (pair.note_debtor_id, pair.invoice_debtor_id)}
    roots = await roots_of(session, debtor_ids)
    await lock_debtors(session, debtor_ids)
    for pair in pairs:
        if roots[pair.note_debtor_id] == roots[pair.invoice_debtor_id]:
            await _set_off(session, pair, now)
            await session.execute(_DONE, {"tenant_id": values["tenant_id"], **_key(pair)})
    return True


async def settle_opened(session: TenantSession, opened: Sequence[InvoiceView], now: datetime) -> bool:
    """Set off invoices of a program's own with the credit notes that wait for them; one look where none does."""
    values = {
        "tenant_id": tenant_of(session),
        "creditors": [ids.decode("crd", view.creditor_id) for view in opened],
        "numbers": [view.number for view in opened],
    }
    if not opened or (await session.execute(_WAITED, values)).scalar_one_or_none() is None:
        return False
    return await settle_objects(session, [ids.decode("inv", view.id) for view in opened], now)


_WAITED: Final = text("""
select a.number from unnest(cast(:creditors as uuid[]), cast(:numbers as text[])) as u(creditor_id, number)
join app.awaited_invoice a on a.tenant_id = :tenant_id and a.creditor_id = u.creditor_id and a.number = u.number
limit 1
""")


async def expect_and_settle(
    session: TenantSession, note_id: UUID, number: str, issued_on: date | None, now: datetime
) -> None:
    """A credit note of a program's own names an invoice: set them off, or remember that it waits for it."""
    await expect(session, {note_id: [Preceding(number, issued_on)]})
    await settle_objects(session, [note_id], now)


def _key(pair: Row[tuple[UUID, ...]]) -> dict[str, object]:
    return {"note_id": pair.note_id, "number": pair.number}


async def _set_off(session: TenantSession, pair: Row[tuple[UUID, ...]], now: datetime) -> None:
    await lock_debtors(session, [pair.note_debtor_id, pair.invoice_debtor_id])
    note = await access.credit_note(session, pair.note_id, lock=True)
    invoice = await access.invoice(session, pair.invoice_id, lock=True)
    amount_minor = await _room(session, invoice, note.remaining_minor, now)
    left_minor = min(amount_minor, (await access.invoice(session, invoice.id, lock=True)).balance_minor)
    if left_minor > 0:
        share = Share(amount_minor=left_minor, invoice_id=invoice.id)
        await allocate_credit_note(session, note.id, [share], now)


async def room_for(batch: Batch, invoice: Invoice, wanted_minor: int) -> int:
    """Let an invoice be settled by what is known of it, in place of the mere word of an export; answers how much.

    What the export has as settled holds this credit note or receipt already: it is not taken off twice.
    """
    return await _room(batch.session, invoice, wanted_minor, batch.now)


async def _room(session: TenantSession, invoice: Invoice, wanted_minor: int, now: datetime) -> int:
    before = (await statements.of_documents(session, [invoice.id]))[invoice.id]
    counted_minor = _counted_by_ledger(before, invoice.total_minor)
    amount_minor = min(wanted_minor, invoice.balance_minor + counted_minor)
    if amount_minor > 0 and counted_minor:
        reading = before.readings[LEDGER]
        counted = structs.replace(reading, allocated_minor=reading.allocated_minor + amount_minor)
        after = with_reading(before, LEDGER, counted)
        lines = (await access.instalments(session, [invoice.id]))[invoice.id]
        change = invoice_change(draft_from(invoice, lines), before, after)
        if named(change):
            await update_invoice(session, invoice.id, change, now)
        await statements.keep_documents(session, {invoice.id: after})
    return amount_minor


def _counted_by_ledger(statement: Statement, total_minor: int) -> int:
    """How much of the invoice is settled by nothing but the word of an export."""
    ledger = statement.readings.get(LEDGER)
    if ledger is None or not statement.is_origin:
        return 0
    others = [settled_of(each, total_minor) for name, each in statement.readings.items() if name != LEDGER]
    return max(settled_of(ledger, total_minor) - max(others, default=0), 0)


_PAIRS: Final = text("""
select distinct on (n.issued_on, n.number, n.id, a.number)
  n.id as note_id, n.debtor_id as note_debtor_id, a.number, v.id as invoice_id, v.debtor_id as invoice_debtor_id
from app.awaited_invoice a
join app.credit_note n on n.tenant_id = a.tenant_id and n.id = a.credit_note_id and n.document = 'open'
  and n.remaining_minor > 0
join app.invoice v on v.tenant_id = a.tenant_id and v.creditor_id = a.creditor_id and v.number = a.number
  and v.document = 'open' and v.currency = n.currency
  and (a.issued_on is null or v.issue_year = extract(year from a.issued_on))
where a.tenant_id = :tenant_id and (n.id = any(cast(:objects as uuid[])) or v.id = any(cast(:objects as uuid[])))
order by n.issued_on, n.number, n.id, a.number, v.issued_on desc, v.id
limit :rows
""")
_DONE: Final = text(
    "delete from app.awaited_invoice where tenant_id = :tenant_id and credit_note_id = :note_id and number = :number"
)
