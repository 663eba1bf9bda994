"""Tables of messages: a partitioned outbox, the key that makes a message unique, its parts, its immutable copy."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Date, Index, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, one_of
from storage.queues import Queued, queue_indexes


class MessageState(StrEnum):
    """`pending` → `leased` → `dispatching` → what came of it; `withdrawn` before anything left."""

    PENDING = "pending"
    LEASED = "leased"
    DISPATCHING = "dispatching"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"


class Purpose(StrEnum):
    """Why a person is written to."""

    DUNNING = "dunning"
    SERVICE = "service"
    PAYMENT = "payment"
    MANUAL = "manual"


class Message(Queued, TenantRow, Base):
    """One message to one recipient on one contact day, made of parts."""

    __tablename__ = "message"
    __table_args__ = (
        one_of("state", MessageState),
        one_of("purpose", Purpose),
        *queue_indexes("message"),
        Index("ix_message_debtor", "tenant_id", "debtor_id", "id"),
        Index("ix_message_state", "tenant_id", "state", "id"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    contact_id: Mapped[UUID | None]
    channel: Mapped[str] = mapped_column(Text)
    purpose: Mapped[Purpose] = mapped_column(TextEnum(Purpose))
    contact_day: Mapped[date] = mapped_column(Date)  # in the debtor's zone
    template: Mapped[str | None] = mapped_column(Text)  # set when it is rendered
    language: Mapped[str | None] = mapped_column(Text)
    tone: Mapped[str | None] = mapped_column(Text)
    level: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[str | None] = mapped_column(Text)  # why it failed, is unknown or was withdrawn
    provider_ref: Mapped[str | None] = mapped_column(Text)
    planned_at: Mapped[datetime]  # business time
    dispatched_at: Mapped[datetime | None]  # business time: when the channel was last called, or was about to be
    sent_at: Mapped[datetime | None]  # business time


class MessageKey(Base):
    """What makes a message unique while it is neither withdrawn nor failed; outlives the message's partition."""

    __tablename__ = "message_key"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    message_id: Mapped[UUID]


class MessagePart(Base):
    """One notice within a message, and what the gate said of it."""

    __tablename__ = "message_part"
    __table_args__ = (Index("ix_message_part_part", "tenant_id", "part_id"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    part_id: Mapped[UUID] = mapped_column(primary_key=True)
    debt_id: Mapped[UUID]
    answer: Mapped[str | None] = mapped_column(Text)  # go, drop, defer
    code: Mapped[str | None] = mapped_column(Text)


class MessageCopy(Base):
    """What was said, to whom, byte for byte; sealed under the debtor's key, never changed."""

    __tablename__ = "message_copy"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)  # the message's
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # which dispatch it belongs to
    subject_id: Mapped[UUID]
    key_version: Mapped[int] = mapped_column(BigInteger)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class OptOut(TenantRow, Base):
    """A person has closed a channel. The chase goes on by a task, never silently ends."""

    __tablename__ = "opt_out"
    __table_args__ = (Index("uq_opt_out_contact", "tenant_id", "contact_id", "channel", unique=True),)

    debtor_id: Mapped[UUID]
    contact_id: Mapped[UUID]
    channel: Mapped[str] = mapped_column(Text)
    effective_on: Mapped[date] = mapped_column(Date)
    known_at: Mapped[datetime]


class CapturedMail(Base):
    """A mail that a sandbox's capture server accepted: nobody real was reached."""

    __tablename__ = "captured_mail"
    __table_args__ = (Index("ix_captured_mail_message", "tenant_id", "message_id"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(Text)  # the Message-ID header
    subject_id: Mapped[UUID]
    key_version: Mapped[int] = mapped_column(BigInteger)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
