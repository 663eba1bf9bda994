"""Take back documents that should never have come in, so that their numbers are free for the right ones.

A document that is voided keeps its number, since it was that document; one that an import made by mistake was not. It
is voided like any other, and its number and external_id are given up: the same file, read rightly, opens it anew.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from kernel import ids
from receivables.checking import MAX_NUMBER
from receivables.corrections import void_invoice
from receivables.credit_notes import void_credit_note
from receivables.locks import lock_debtors
from receivables.models import CreditNote, DocumentState, Invoice, VoidReason
from storage.bulk import among
from storage.session import TenantSession, tenant_of

_MARK: Final = " (retracted {})"


async def untouched(session: TenantSession, model: type[Invoice | CreditNote], wanted: Iterable[UUID]) -> set[UUID]:
    """Which of these are as they were when they were opened: open, in their first version; their debtors are locked."""
    object_ids = list(wanted)
    statement = select(model.id, model.debtor_id).where(model.tenant_id == tenant_of(session))
    found = await session.execute(statement.where(among(model.id, object_ids)))  # bounded: by the ids asked for
    await lock_debtors(session, {row.debtor_id for row in found})
    fresh = select(model.id).where(
        model.tenant_id == tenant_of(session),
        among(model.id, object_ids),
        model.version == 1,
        model.document == DocumentState.OPEN,
    )
    return set(await session.scalars(fresh))  # bounded: likewise


async def retract_invoice(session: TenantSession, invoice_id: UUID, now: datetime) -> None:
    """Void an invoice and give its number up. Raises InvoiceNotFound, InvoiceNotOpen."""
    await _give_up(session, "invoice", invoice_id)
    await void_invoice(session, invoice_id, VoidReason.ERROR, now)


async def retract_credit_note(session: TenantSession, note_id: UUID, now: datetime) -> None:
    """Void a credit note and give its number up. Raises CreditNoteNotFound, CreditNoteNotOpen."""
    await _give_up(session, "credit_note", note_id)
    await void_credit_note(session, note_id, VoidReason.ERROR, now)


async def _give_up(session: TenantSession, table: str, object_id: UUID) -> None:
    """Before it is voided, so that the event of that shows what is kept from then on."""
    mark = _MARK.format(ids.encode("", object_id)[-8:])
    values = {"tenant_id": tenant_of(session), "id": object_id, "mark": mark, "room": MAX_NUMBER - len(mark)}
    await session.execute(_GIVE_UP[table], values)
    await session.execute(_FORGET, values)


_SQL: Final = (
    "update app.{table} set number = left(number, :room) || :mark, external_id = null"
    " where tenant_id = :tenant_id and id = :id"
)
_GIVE_UP: Final = {table: text(_SQL.replace("{table}", table)) for table in ("invoice", "credit_note")}
# What its source called it leads to it no more: read again, it is told anew.
_FORGET: Final = text("update app.source_link set content_hash = null where tenant_id = :tenant_id and object_id = :id")
