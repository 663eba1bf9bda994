"""Tables of what comes in by itself."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class Channel(StrEnum):
    """By which way files came in."""

    API = "api"
    MAIL = "mail"


class IntakeState(StrEnum):
    """How far an intake is."""

    RECEIVED = "received"  # kept, not read yet
    READ = "read"  # its report is there
    FAILED = "failed"  # it could not be read at all, or only half of it: the report says why


class Inbox(TenantRow, Base):
    """An import address of the tenant: who knows it may send, as far as `senders` lets him."""

    __tablename__ = "inbox"
    __table_args__ = (belongs_to("creditor"), Index("ix_inbox_id", "id"))

    creditor_id: Mapped[UUID | None]  # whose sales these are, where one is named
    senders: Mapped[str] = mapped_column(Text)  # addresses and domains, a line each; empty lets everybody
    closed_at: Mapped[datetime | None]


class Intake(TenantRow, Base):
    """Files that came in together."""

    __tablename__ = "intake"
    __table_args__ = (
        belongs_to("inbox"),
        belongs_to("creditor"),
        one_of("channel", Channel),
        one_of("state", IntakeState),
        Index("uq_intake_content", "tenant_id", "inbox_id", "content_hash", unique=True,
              postgresql_where=text("inbox_id is not null")),
    )  # fmt: skip

    channel: Mapped[Channel] = mapped_column(TextEnum(Channel))
    state: Mapped[IntakeState] = mapped_column(TextEnum(IntakeState))
    inbox_id: Mapped[UUID | None]
    creditor_id: Mapped[UUID | None]
    sender: Mapped[str | None] = mapped_column(Text)  # of a mail, by its envelope
    name: Mapped[str | None] = mapped_column(Text)  # of the file that was sent
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)  # of a mail without what each delivery adds to it
    blob_id: Mapped[UUID]
    size: Mapped[int]
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    report_id: Mapped[UUID | None]  # the report, a sealed blob: it names debtors
    imported: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    quarantined: Mapped[int] = mapped_column(default=0)
