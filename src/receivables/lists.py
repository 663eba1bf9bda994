"""Lists of what the ledger holds besides documents and money: entries, write-offs, charges; newest first."""

from datetime import date
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from receivables.ledger import Charge, ChargeKind, EntryKind, LedgerEntry, Standing, WriteOff, WriteOffReason
from receivables.ledger_views import ChargeView, LedgerEntryView, WriteOffView
from receivables.queries import is_value, newest, of_debtor, within
from storage.session import TenantSession, tenant_of


class WriteOffFilter(Struct, frozen=True, kw_only=True):
    """Which write-offs. A debtor stands for everybody merged into it."""

    debtor_id: UUID | None = None
    creditor_id: UUID | None = None
    invoice_id: UUID | None = None
    reason: WriteOffReason | None = None
    state: Standing | None = None


class ChargeFilter(Struct, frozen=True, kw_only=True):
    """Which charges."""

    debtor_id: UUID | None = None
    creditor_id: UUID | None = None
    invoice_id: UUID | None = None
    kind: ChargeKind | None = None
    settled: bool | None = None
    external_id: str | None = None


class EntryFilter(Struct, frozen=True, kw_only=True):
    """Which entries."""

    debtor_id: UUID | None = None
    creditor_id: UUID | None = None
    invoice_id: UUID | None = None
    kind: EntryKind | None = None
    effective_from: date | None = None
    effective_to: date | None = None


async def write_offs(
    session: TenantSession, wanted: WriteOffFilter, *, after: UUID | None = None, limit: int
) -> list[WriteOffView]:
    """Write-offs, the newest first."""
    statement = select(WriteOff).where(
        WriteOff.tenant_id == tenant_of(session),
        *await of_debtor(session, WriteOff.debtor_id, wanted.debtor_id),
        *is_value(WriteOff.creditor_id, wanted.creditor_id),
        *is_value(WriteOff.invoice_id, wanted.invoice_id),
        *is_value(WriteOff.reason, wanted.reason),
        *is_value(WriteOff.state, wanted.state),
    )
    rows = await session.scalars(newest(statement, WriteOff.id, after=after, limit=limit))
    return [WriteOffView.of(row) for row in rows]


async def charges(
    session: TenantSession, wanted: ChargeFilter, *, after: UUID | None = None, limit: int
) -> list[ChargeView]:
    """Charges, the newest first."""
    statement = select(Charge).where(
        Charge.tenant_id == tenant_of(session),
        *await of_debtor(session, Charge.debtor_id, wanted.debtor_id),
        *is_value(Charge.creditor_id, wanted.creditor_id),
        *is_value(Charge.invoice_id, wanted.invoice_id),
        *is_value(Charge.kind, wanted.kind),
        *is_value(Charge.external_id, wanted.external_id),
    )
    if wanted.settled is not None:
        statement = statement.where((Charge.balance_minor == 0) == wanted.settled)
    rows = await session.scalars(newest(statement, Charge.id, after=after, limit=limit))
    return [ChargeView.of(row) for row in rows]


async def entries(
    session: TenantSession, wanted: EntryFilter, *, after: UUID | None = None, limit: int
) -> list[LedgerEntryView]:
    """Entries of the ledger, the newest first."""
    statement = select(LedgerEntry).where(
        LedgerEntry.tenant_id == tenant_of(session),
        *await of_debtor(session, LedgerEntry.debtor_id, wanted.debtor_id),
        *is_value(LedgerEntry.creditor_id, wanted.creditor_id),
        *is_value(LedgerEntry.invoice_id, wanted.invoice_id),
        *is_value(LedgerEntry.kind, wanted.kind),
        *within(LedgerEntry.effective_on, wanted.effective_from, wanted.effective_to),
    )
    rows = await session.scalars(newest(statement, LedgerEntry.id, after=after, limit=limit))
    return [LedgerEntryView.of(row) for row in rows]
