"""The versions of an invoice: what it looked like after each change, and why it changed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import select

from receivables.views import InvoiceView
from storage.events import EventRow, cause_read
from storage.session import Cause, TenantSession, tenant_of


class InvoiceVersion(Struct, frozen=True, kw_only=True):
    """An invoice as it was from one event on."""

    version: int
    event: str  # what made it: invoice.opened, invoice.updated, …
    known_at: datetime  # business time
    recorded_at: datetime  # system time
    cause: Cause
    invoice: InvoiceView


class _Payload(Struct, frozen=True):
    view: InvoiceView


async def invoice_versions(
    session: TenantSession, invoice_id: UUID, *, before: int | None = None, limit: int
) -> list[InvoiceVersion]:
    """The versions of an invoice, the newest first; `before` is the last version of the page before."""
    statement = select(EventRow).where(EventRow.tenant_id == tenant_of(session), EventRow.object_id == invoice_id)
    if before is not None:
        statement = statement.where(EventRow.sequence < before)
    rows: Sequence[EventRow] = (await session.scalars(statement.order_by(EventRow.sequence.desc()).limit(limit))).all()
    return [
        InvoiceVersion(
            version=row.sequence,
            event=row.type,
            known_at=row.occurred_at,
            recorded_at=row.recorded_at,
            cause=cause_read(row),
            invoice=msgspec.json.decode(row.payload, type=_Payload).view,
        )
        for row in rows
    ]
