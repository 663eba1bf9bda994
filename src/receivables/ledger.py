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
from sqlalchemy import CheckConstraint, Date, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from kernel import ids
from storage.base import Base, TenantRow, TextEnum, belongs_to, money, one_of
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


class ChargeKind(StrEnum):
    """What is owed besides what was billed."""

    INTEREST = "interest"
    COMPENSATION = "compensation"  # a flat sum for the costs of recovery
    FEE = "fee"
    COST = "cost"


class WriteOffReason(StrEnum):
    """Why a debt is given up."""

    BAD_DEBT = "bad_debt"
    INSOLVENCY = "insolvency"
    SMALL_DIFFERENCE = "small_difference"
    DISCOUNT = "discount"  # taken by paying early
    BANK_FEE = "bank_fee"
    TAX_WITHHELD = "tax_withheld"
    GOODWILL = "goodwill"
    TIME_BARRED = "time_barred"
    OTHER = "other"


class Standing(StrEnum):
    """Whether something still counts."""

    STANDING = "standing"
    REVERSED = "reversed"


class WriteOff(TenantRow, Base):
    """A debt, or part of one, that is given up; it settles instalments by allocations. Its amount never changes."""

    __tablename__ = "write_off"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        belongs_to("invoice"),
        belongs_to("instalment"),
        belongs_to("receipt"),
        one_of("reason", WriteOffReason),
        one_of("state", Standing),
        money("amount_minor", 1),
        Index("ix_write_off_invoice", "tenant_id", "invoice_id"),
        Index("ix_write_off_debtor", "tenant_id", "debtor_id", "id"),
        Index("ix_write_off_receipt", "tenant_id", "receipt_id", postgresql_where=text("receipt_id is not null")),
    )

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    invoice_id: Mapped[UUID]
    instalment_id: Mapped[UUID | None]  # null: over the invoice's instalments
    receipt_id: Mapped[UUID | None]  # the payment in time that has earned a discount
    currency: Mapped[str]
    amount_minor: Mapped[int]
    reason: Mapped[WriteOffReason] = mapped_column(TextEnum(WriteOffReason))
    note: Mapped[str | None]
    state: Mapped[Standing] = mapped_column(TextEnum(Standing))
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]


class Charge(TenantRow, Base):
    """Interest, compensation, a fee or a cost: a line of its own, never part of an invoice's balance."""

    __tablename__ = "charge"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        belongs_to("invoice"),
        one_of("kind", ChargeKind),
        money("amount_minor", 1),
        money("waived_minor"),
        money("balance_minor"),
        Index("ix_charge_debtor", "tenant_id", "debtor_id", "id"),
        Index("ix_charge_invoice", "tenant_id", "invoice_id", postgresql_where=text("invoice_id is not null")),
        Index("uq_charge_external_id", "tenant_id", "external_id", unique=True),
    )

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    invoice_id: Mapped[UUID | None]  # null: owed by the debtor, for no invoice
    external_id: Mapped[str | None]
    kind: Mapped[ChargeKind] = mapped_column(TextEnum(ChargeKind))
    description: Mapped[str | None]
    currency: Mapped[str]
    amount_minor: Mapped[int]
    waived_minor: Mapped[int]
    waive_reason: Mapped[str | None]
    balance_minor: Mapped[int]  # derived
    due_on: Mapped[date] = mapped_column(Date)
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]


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
        belongs_to("charge"),
        belongs_to("write_off"),
        one_of("kind", EntryKind),
        CheckConstraint("abs(amount_minor) <= 9007199254740991", name="amount_bounds"),
        Index("ix_ledger_entry_debtor", "tenant_id", "debtor_id", "id"),
        Index("ix_ledger_entry_invoice", "tenant_id", "invoice_id"),
        Index(
            "ix_ledger_entry_changed", "tenant_id", "invoice_id", "instalment_id",
            postgresql_where=text("kind in ('invoice_corrected', 'invoice_voided')"),  # few: imports pay nothing
        ),
    )  # fmt: skip

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
    charge_id: Mapped[UUID | None]
    write_off_id: Mapped[UUID | None]
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
    charge_id: UUID | None = None
    write_off_id: UUID | None = None
    due_on: date | None = None


_FIELDS: Final = Entry.__struct_fields__
_COLUMNS: Final = ("tenant_id", "id", *_FIELDS)


async def write(session: TenantSession, entries: Iterable[Entry]) -> None:
    """Add entries, in order; what they name is in the database by now."""
    tenant_id = tenant_of(session)
    rows = [[tenant_id, ids.new_id(), *(getattr(entry, name) for name in _FIELDS)] for entry in entries]
    await insert_rows(session, LedgerEntry, _COLUMNS, rows)
