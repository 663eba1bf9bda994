"""Tables of the receivables ledger."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Date, Index, Numeric, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, money, one_of


class DebtorKind(StrEnum):
    """Rules of conduct and of law differ for a person."""

    COMPANY = "company"
    PERSON = "person"


class DocumentState(StrEnum):
    """The document axis; settlement and overdue are derived, never kept here."""

    DRAFT = "draft"
    OPEN = "open"
    VOID = "void"
    WRITTEN_OFF = "written_off"


class DueOnSource(StrEnum):
    """Where a due date comes from, best first."""

    DOCUMENT = "document"
    TERMS = "terms"
    DEFAULT = "default"
    NONE = "none"


class VoidReason(StrEnum):
    """Why a document no longer counts."""

    CANCELLED = "cancelled"
    DUPLICATE = "duplicate"
    ERROR = "error"
    REPLACED = "replaced"
    GONE = "gone"  # from its source, which no longer knows it
    OTHER = "other"


NEVER_WAS: Final = frozenset({VoidReason.DUPLICATE, VoidReason.ERROR})  # void from its issue day on, not from today


class ReceiptState(StrEnum):
    """Provisional money (a debit in process, an announced transfer) may still not arrive."""

    PROVISIONAL = "provisional"
    FINAL = "final"
    REVERSED = "reversed"


class ReversalKind(StrEnum):
    """How money went back."""

    BOUNCE = "bounce"  # a debit or cheque that was not honoured
    CHARGEBACK = "chargeback"  # the payer took it back
    REFUND = "refund"  # the creditor gave it back
    MISTAKE = "mistake"  # it had never come


class AllocationRule(StrEnum):
    """Which debts money settles where nobody says: `receivables.imputation` holds each order and its source."""

    OLDEST_DUE = "oldest_due"
    FR_CIVIL_CODE = "fr_civil_code"


class Creditor(TenantRow, Base):
    """A legal entity of the tenant, in whose name invoices stand."""

    __tablename__ = "creditor"
    __table_args__ = (
        one_of("allocation_rule", AllocationRule),
        Index("uq_creditor_external_id", "tenant_id", "external_id", unique=True),
    )

    external_id: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    zone: Mapped[str] = mapped_column(Text)  # IANA: whose day a due date is
    language: Mapped[str] = mapped_column(Text)
    country: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    reply_to: Mapped[str | None] = mapped_column(Text)
    allocation_rule: Mapped[AllocationRule] = mapped_column(  # what `auto` means
        TextEnum(AllocationRule), default=AllocationRule.OLDEST_DUE, server_default="oldest_due"
    )
    iban: Mapped[str | None] = mapped_column(Text)  # derived: of the default account in the creditor's own currency
    bic: Mapped[str | None] = mapped_column(Text)  # derived
    payment_terms: Mapped[str | None] = mapped_column(Text)  # what its documents are due by unless they say otherwise
    eom_reading: Mapped[str | None] = mapped_column(Text)  # how it reads "fin de mois"; without one no day is guessed
    logo_id: Mapped[UUID | None]  # a blob


class Debtor(TenantRow, Base):
    """Who owes."""

    __tablename__ = "debtor"
    __table_args__ = (
        belongs_to("debtor", "merged_into_id"),
        belongs_to("debtor", "parent_id"),
        one_of("kind", DebtorKind),
        Index("uq_debtor_external_id", "tenant_id", "external_id", unique=True),
        Index("ix_debtor_merged", "tenant_id", "merged_into_id", postgresql_where=text("merged_into_id is not null")),
        Index("ix_debtor_parent", "tenant_id", "parent_id", postgresql_where=text("parent_id is not null")),
        Index(
            "ix_debtor_name_folded",
            "tenant_id",
            "name_folded",
            "id",
            postgresql_ops={"name_folded": "text_pattern_ops"},
        ),
    )

    external_id: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[DebtorKind] = mapped_column(TextEnum(DebtorKind))
    name: Mapped[str] = mapped_column(Text)
    name_folded: Mapped[str] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    zone: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    merged_into_id: Mapped[UUID | None]
    insolvent_on: Mapped[date | None] = mapped_column(Date)  # insolvency or death: nothing more is sent
    parent_id: Mapped[UUID | None]  # the company that it is a part of; each still owes for itself
    phone: Mapped[str | None] = mapped_column(Text)
    payment_terms: Mapped[str | None] = mapped_column(Text)
    archived_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]  # what told of a person is gone for good
    group_version: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # grows as members come and go


class Contact(TenantRow, Base):
    """A person or mailbox of a debtor that messages go to."""

    __tablename__ = "contact"
    __table_args__ = (
        belongs_to("debtor"),
        Index("ix_contact_debtor", "tenant_id", "debtor_id", "id"),
        Index(
            "uq_contact_primary", "tenant_id", "debtor_id",
            unique=True, postgresql_where=text("is_primary and archived_at is null"),
        ),
    )  # fmt: skip

    debtor_id: Mapped[UUID]
    name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    zone: Mapped[str | None] = mapped_column(Text)
    billing: Mapped[bool] = mapped_column(Boolean, default=True)  # receives reminders: derived, it has that role
    roles: Mapped[str] = mapped_column(Text, server_default=text("''"))  # in order, with spaces between
    phone: Mapped[str | None] = mapped_column(Text)
    position: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # the lowest is written to first
    is_primary: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))  # before all
    archived_at: Mapped[datetime | None]


class Invoice(TenantRow, Base):
    """What a creditor has billed a debtor."""

    __tablename__ = "invoice"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        one_of("document", DocumentState),
        one_of("void_reason", VoidReason),
        one_of("due_on_source", DueOnSource),
        money("total_minor"),
        money("prepaid_minor"),
        money("balance_minor"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_form"),
        CheckConstraint(
            "num_nonnulls(reporting_currency, exchange_rate, exchange_rate_on) in (0, 3)", name="exchange_rate_whole"
        ),
        CheckConstraint("exchange_rate > 0", name="exchange_rate_positive"),
        Index("uq_invoice_number", "tenant_id", "creditor_id", "number", "issue_year", unique=True),
        Index("uq_invoice_external_id", "tenant_id", "external_id", unique=True),
        Index("ix_invoice_debtor", "tenant_id", "debtor_id", "id"),
        Index("ix_invoice_number_prefix", "tenant_id", "number", "id", postgresql_ops={"number": "text_pattern_ops"}),
        Index("ix_invoice_issued", "tenant_id", "issued_on", "id"),
    )

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    external_id: Mapped[str | None] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    issue_year: Mapped[int]
    issued_on: Mapped[date] = mapped_column(Date)
    due_on: Mapped[date | None] = mapped_column(Date)
    due_on_source: Mapped[DueOnSource] = mapped_column(TextEnum(DueOnSource))
    currency: Mapped[str] = mapped_column(Text)
    total_minor: Mapped[int]
    prepaid_minor: Mapped[int] = mapped_column(default=0)  # settled before we knew the invoice
    balance_minor: Mapped[int]  # derived: what is left to pay
    document: Mapped[DocumentState] = mapped_column(TextEnum(DocumentState))
    void_reason: Mapped[VoidReason | None] = mapped_column(TextEnum(VoidReason))
    purchase_order: Mapped[str | None] = mapped_column(Text)
    payment_terms: Mapped[str | None] = mapped_column(Text)
    contract: Mapped[str | None] = mapped_column(Text)
    project: Mapped[str | None] = mapped_column(Text)
    delivery_note: Mapped[str | None] = mapped_column(Text)
    buyer_reference: Mapped[str | None] = mapped_column(Text)
    direct_debit_on: Mapped[date | None] = mapped_column(Date)  # announced by the document: no chasing before it
    taxes: Mapped[str] = mapped_column(Text, default="[]", server_default="[]")  # JSON: read whole, searched never
    reporting_currency: Mapped[str | None] = mapped_column(Text)
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(24, 12))  # of one unit, in the reporting currency
    exchange_rate_on: Mapped[date | None] = mapped_column(Date)
    source: Mapped[str] = mapped_column(Text)
    source_rank: Mapped[int]  # how rich the best source is: a poorer one never erases its facts
    known_at: Mapped[datetime]


class Instalment(TenantRow, Base):
    """A due line of an invoice: what is chased."""

    __tablename__ = "instalment"
    __table_args__ = (
        belongs_to("invoice"),
        belongs_to("debtor"),
        money("amount_minor"),
        money("balance_minor"),
        CheckConstraint(
            "(discount_minor is null) = (discount_until is null) and discount_minor between 1 and 9007199254740991",
            name="discount",
        ),
        Index("uq_instalment_place", "tenant_id", "invoice_id", "place", unique=True),
        Index("ix_instalment_open", "tenant_id", "debtor_id", postgresql_where=text("balance_minor > 0")),
    )

    invoice_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    place: Mapped[int]  # 1, 2, …
    due_on: Mapped[date | None] = mapped_column(Date)
    amount_minor: Mapped[int]
    balance_minor: Mapped[int]  # derived
    discount_minor: Mapped[int | None]  # taken off when the rest is paid by
    discount_until: Mapped[date | None] = mapped_column(Date)


class CreditNote(TenantRow, Base):
    """What a creditor gives back; it settles invoices by allocations."""

    __tablename__ = "credit_note"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        one_of("document", DocumentState),
        one_of("void_reason", VoidReason),
        money("total_minor"),
        money("used_minor"),
        money("remaining_minor"),
        Index("uq_credit_note_number", "tenant_id", "creditor_id", "number", "issue_year", unique=True),
        Index("uq_credit_note_external_id", "tenant_id", "external_id", unique=True),
        Index("ix_credit_note_debtor", "tenant_id", "debtor_id", "id"),
        Index(
            "ix_credit_note_number_prefix", "tenant_id", "number", "id", postgresql_ops={"number": "text_pattern_ops"}
        ),
    )

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    external_id: Mapped[str | None] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    issue_year: Mapped[int]
    issued_on: Mapped[date] = mapped_column(Date)
    currency: Mapped[str] = mapped_column(Text)
    total_minor: Mapped[int]
    used_minor: Mapped[int] = mapped_column(default=0)  # used or paid out before we knew the credit note
    remaining_minor: Mapped[int]  # derived: what is left to use
    document: Mapped[DocumentState] = mapped_column(TextEnum(DocumentState))
    void_reason: Mapped[VoidReason | None] = mapped_column(TextEnum(VoidReason))
    source: Mapped[str] = mapped_column(Text)
    source_rank: Mapped[int]
    known_at: Mapped[datetime]


class Receipt(TenantRow, Base):
    """Money that arrived (or is on its way: provisional)."""

    __tablename__ = "receipt"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        one_of("state", ReceiptState),
        money("amount_minor", 1),
        money("reversed_minor"),
        money("unapplied_minor"),
        Index("uq_receipt_external_id", "tenant_id", "external_id", unique=True),
        Index("ix_receipt_debtor", "tenant_id", "debtor_id", "id"),
    )

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    external_id: Mapped[str | None] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    reversed_minor: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # derived
    unapplied_minor: Mapped[int]  # derived
    state: Mapped[ReceiptState] = mapped_column(TextEnum(ReceiptState))
    method: Mapped[str | None] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(Text)
    named_invoice_ids: Mapped[list[UUID]] = mapped_column(  # the debts that the debtor said it pays
        ARRAY(Uuid), default=list, server_default="{}"
    )
    source: Mapped[str] = mapped_column(Text)
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]


class Reversal(TenantRow, Base):
    """Money that went back, wholly or in part: a bounced debit, a chargeback, a refund, a mistake. Append-only."""

    __tablename__ = "reversal"
    __table_args__ = (
        belongs_to("receipt"),
        one_of("kind", ReversalKind),
        money("amount_minor", 1),
        Index("ix_reversal_receipt", "tenant_id", "receipt_id"),
        Index("uq_reversal_external_id", "tenant_id", "external_id", unique=True),
    )

    receipt_id: Mapped[UUID]
    kind: Mapped[ReversalKind] = mapped_column(TextEnum(ReversalKind), server_default="bounce")
    external_id: Mapped[str | None] = mapped_column(Text)
    amount_minor: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]


class Allocation(TenantRow, Base):
    """Which money, credit note or write-off settles which instalment or charge. Append-only: undoing is a row too."""

    __tablename__ = "allocation"
    __table_args__ = (
        belongs_to("receipt"),
        belongs_to("credit_note"),
        belongs_to("write_off"),
        belongs_to("instalment"),
        belongs_to("invoice"),
        belongs_to("charge"),
        belongs_to("allocation", "undoes_id"),
        one_of("rule", AllocationRule),
        CheckConstraint("num_nonnulls(receipt_id, credit_note_id, write_off_id) = 1", name="one_source"),
        CheckConstraint(
            "(instalment_id is null) <> (charge_id is null) and (instalment_id is null) = (invoice_id is null)",
            name="one_target",
        ),
        CheckConstraint("(undoes_id is null) = (amount_minor > 0) and amount_minor <> 0", name="sign"),
        CheckConstraint("abs(amount_minor) <= 9007199254740991", name="amount_bounds"),
        Index("uq_allocation_undoes", "tenant_id", "undoes_id", unique=True),
        Index("ix_allocation_receipt", "tenant_id", "receipt_id"),
        Index("ix_allocation_credit_note", "tenant_id", "credit_note_id"),
        Index(
            "ix_allocation_instalment",
            "tenant_id",
            "instalment_id",
            postgresql_include=["amount_minor", "effective_on", "known_at", "credit_note_id"],  # ageing reads no more
        ),
        Index("ix_allocation_invoice", "tenant_id", "invoice_id"),
        Index(
            "ix_allocation_write_off", "tenant_id", "write_off_id", postgresql_where=text("write_off_id is not null")
        ),
        Index("ix_allocation_charge", "tenant_id", "charge_id", postgresql_where=text("charge_id is not null")),
    )

    receipt_id: Mapped[UUID | None]
    credit_note_id: Mapped[UUID | None]
    write_off_id: Mapped[UUID | None]
    invoice_id: Mapped[UUID | None]  # the instalment's; a charge is no part of its invoice's balance
    instalment_id: Mapped[UUID | None]
    charge_id: Mapped[UUID | None]
    debtor_id: Mapped[UUID]
    amount_minor: Mapped[int]
    undoes_id: Mapped[UUID | None]
    rule: Mapped[AllocationRule | None] = mapped_column(TextEnum(AllocationRule))  # that chose it; null: by hand
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]
