"""Tables around creditors and debtors: names and ids, bank accounts, addresses, labels, and who may be whom."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Boolean, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class AddressKind(StrEnum):
    """What an address of a debtor is for."""

    BILLING = "billing"  # where letters go
    REGISTERED = "registered"  # the seat, where a court's papers go
    DELIVERY = "delivery"
    OTHER = "other"


class ContactRole(StrEnum):
    """What a contact is there for; reminders go to those with the role `billing`."""

    BILLING = "billing"
    ACCOUNTS_PAYABLE = "accounts_payable"
    MANAGER = "manager"
    LEGAL = "legal"
    ESCALATION = "escalation"
    OTHER = "other"


class MatchState(StrEnum):
    """A pair is suggested once: whatever was decided of it is never asked again."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"  # the two became one, or strangers to each other, by other means


class BankAccount(TenantRow, Base):
    """An account on which a creditor is paid."""

    __tablename__ = "bank_account"
    __table_args__ = (
        belongs_to("creditor"),
        Index(
            "uq_bank_account_iban", "tenant_id", "creditor_id", "iban", "currency",
            unique=True, postgresql_where=text("archived_at is null"),
        ),
        Index(
            "uq_bank_account_default", "tenant_id", "creditor_id", "currency",
            unique=True, postgresql_where=text("is_default and archived_at is null"),
        ),
    )  # fmt: skip

    creditor_id: Mapped[UUID]
    iban: Mapped[str] = mapped_column(Text)
    bic: Mapped[str | None] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Text)
    is_default: Mapped[bool] = mapped_column(Boolean)  # of its currency: what letters name
    archived_at: Mapped[datetime | None]


class DebtorAddress(Base):
    """An address of a debtor, one of each kind."""

    __tablename__ = "debtor_address"
    __table_args__ = (belongs_to("debtor"), one_of("kind", AddressKind))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    debtor_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[AddressKind] = mapped_column(TextEnum(AddressKind), primary_key=True)
    street: Mapped[str | None] = mapped_column(Text)  # its lines
    postcode: Mapped[str | None] = mapped_column(Text)
    city: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)


class DebtorLabel(Base):
    """A word of the tenant's own about a debtor; lists can ask for it."""

    __tablename__ = "debtor_label"
    __table_args__ = (belongs_to("debtor"), Index("ix_debtor_label_value", "tenant_id", "key", "value", "debtor_id"))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    debtor_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class DebtorKey(Base):
    """What a debtor can be found by that may be the same as another: parts of its name with its place, mail, phone."""

    __tablename__ = "debtor_key"
    __table_args__ = (belongs_to("debtor"), Index("ix_debtor_key_debtor", "tenant_id", "debtor_id"))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    debtor_id: Mapped[UUID] = mapped_column(primary_key=True)


class DebtorMatch(TenantRow, Base):
    """Two debtors who may be one, with what speaks for it; the younger would be merged into the older."""

    __tablename__ = "debtor_match"
    __table_args__ = (
        belongs_to("debtor"),
        belongs_to("debtor", "candidate_id"),
        one_of("state", MatchState),
        Index("uq_debtor_match_pair", "tenant_id", "debtor_id", "candidate_id", unique=True),
        Index("ix_debtor_match_candidate", "tenant_id", "candidate_id"),
        Index("ix_debtor_match_state", "tenant_id", "state", "id"),
    )

    debtor_id: Mapped[UUID]  # the younger
    candidate_id: Mapped[UUID]  # the older
    score: Mapped[int]  # of 100
    reasons: Mapped[str] = mapped_column(Text)  # what each fact is worth: codes and points, nothing personal
    state: Mapped[MatchState] = mapped_column(TextEnum(MatchState))
    decided_at: Mapped[datetime | None]
    known_at: Mapped[datetime]


class MatchingRule(Base):
    """From which score on a tenant's imports link a buyer to a debtor, and from which they suggest it."""

    __tablename__ = "matching_rule"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    link_score: Mapped[int]
    suggest_score: Mapped[int]


class CreditorIdentifier(Base):
    """A legal id of a creditor (siren, siret, vat, or an ISO 6523 scheme): how its documents are recognised."""

    __tablename__ = "creditor_identifier"
    __table_args__ = (belongs_to("creditor"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    scheme: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)
    creditor_id: Mapped[UUID]


class DebtorIdentifier(Base):
    """A legal id by which debtors are matched across sources."""

    __tablename__ = "debtor_identifier"
    __table_args__ = (belongs_to("debtor"), Index("ix_debtor_identifier_debtor", "tenant_id", "debtor_id"))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    scheme: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)
    debtor_id: Mapped[UUID]


class SourceLink(Base):
    """What an object is called in a source; many names may lead to one object."""

    __tablename__ = "source_link"
    __table_args__ = (Index("ix_source_link_object", "tenant_id", "object_id"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    external_id: Mapped[str] = mapped_column(Text, primary_key=True)
    object_id: Mapped[UUID]
    content_hash: Mapped[bytes | None] = mapped_column(LargeBinary)  # unchanged content changes nothing
