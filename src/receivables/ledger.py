"""The ledger: every change of an amount as a row that is only added, so that each past balance can be computed.

The balance of an instalment on a day, as known at an instant, is the sum of its entries less the sum of its
allocations, of those with `effective_on` up to the day and `known_at` up to the instant. What a debtor owes in all
is the sum of its entries. An instalment's entries name it; a document that settles (a receipt, a credit note, a
write-off) has entries of its own, which name no instalment: what they settle, the allocations say.
"""

from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import CheckConstraint, Date, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from kernel import ids
from storage.base import Base, TextEnum, belongs_to, one_of
from storage.bulk import insert_rows
from storage.session import TenantSession, tenant_of


class EntryKind(StrEnum):
    """What changed an amount."""

    INVOICE_OPENED = "invoice_opened"
    INVOICE_CORRECTED = "invoice_corrected"
    INVOICE_VOIDED = "invoice_voided"
    CREDIT_NOTE_RECORDED = "credit_note_recorded"
    CREDIT_NOTE_CORRECTED = "credit_note_corrected"
    CREDIT_NOTE_VOIDED = "credit_note_voided"
    RECEIPT_RECORDED = "receipt_recorded"
    RECEIPT_REVERSED = "receipt_reversed"
    CHARGE_BOOKED = "charge_booked"
    CHARGE_WAIVED = "charge_waived"
    WRITTEN_OFF = "written_off"
    WRITE_OFF_REVERSED = "write_off_reversed"


class LedgerEntry(Base):
    """One change of what a debtor owes a creditor. Append-only."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        belongs_to("invoice"),
        belongs_to("instalment"),
        belongs_to("credit_note"),
        belongs_to("receipt"),
        one_of("kind", EntryKind),
        CheckConstraint("abs(amount_minor) <= 9007199254740991", name="amount_bounds"),
        Index("ix_ledger_entry_debtor", "tenant_id", "debtor_id", "id"),
        Index("ix_ledger_entry_invoice", "tenant_id", "invoice_id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[EntryKind] = mapped_column(TextEnum(EntryKind))
    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    currency: Mapped[str]
    amount_minor: Mapped[int]  # signed: + the debtor owes more
    invoice_id: Mapped[UUID | None]
    instalment_id: Mapped[UUID | None]
    credit_note_id: Mapped[UUID | None]
    receipt_id: Mapped[UUID | None]
    due_on: Mapped[date | None] = mapped_column(Date)  # of the instalment, as known from this entry on
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Entry(Struct, frozen=True, kw_only=True):
    """An entry about to be written."""

    kind: EntryKind
    creditor_id: UUID
    debtor_id: UUID
    currency: str
    amount_minor: int
    effective_on: date
    known_at: datetime
    invoice_id: UUID | None = None
    instalment_id: UUID | None = None
    credit_note_id: UUID | None = None
    receipt_id: UUID | None = None
    due_on: date | None = None


_FIELDS: Final = Entry.__struct_fields__
_COLUMNS: Final = ("tenant_id", "id", *_FIELDS)


async def write(session: TenantSession, entries: Iterable[Entry]) -> None:
    """Add entries, in order; what they name is in the database by now."""
    tenant_id = tenant_of(session)
    rows = [[tenant_id, ids.new_id(), *(getattr(entry, name) for name in _FIELDS)] for entry in entries]
    await insert_rows(session, LedgerEntry, _COLUMNS, rows)
