"""Tables of sources: where the reading of each stands, what was read of each record, what could not be read."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class SourceState(StrEnum):
    """Whether a source is read."""

    ACTIVE = "active"
    PAUSED = "paused"


class Absence(StrEnum):
    """Why a record is in its source no more."""

    VOIDED = "voided"  # the source says so itself: the document no longer counts
    DELETED = "deleted"
    MERGED = "merged"
    GONE = "gone"  # it is not to be found, and nobody says why
    UNAUTHORISED_SCOPE = "unauthorised_scope"  # it may be there: we may not read it any more


class Source(TenantRow, Base):
    """One tool, account or folder that is read again and again."""

    __tablename__ = "source"
    __table_args__ = (
        belongs_to("creditor"),
        one_of("state", SourceState),
        Index("uq_source_key", "tenant_id", "key", unique=True),
    )

    key: Mapped[str] = mapped_column(Text)  # the connector's, and what tells two accounts with it apart
    name: Mapped[str] = mapped_column(Text)
    creditor_id: Mapped[UUID | None]  # whose documents it holds, where they do not say it themselves
    state: Mapped[SourceState] = mapped_column(TextEnum(SourceState))
    cursor: Mapped[str | None] = mapped_column(Text)  # the connector's own: where to go on
    read_at: Mapped[datetime | None]  # system time: until then everything was read
    fresh_for_s: Mapped[int | None] = mapped_column(BigInteger)  # older is stale; null: never
    failure: Mapped[str | None] = mapped_column(Text)  # the code of what has kept it from being read since


class RemoteRecord(Base):
    """What a source has said of one of its records; a poorer or older word never comes after."""

    __tablename__ = "remote_record"
    __table_args__ = (
        belongs_to("source"),
        one_of("absence", Absence),
        Index("ix_remote_record_object", "tenant_id", "object_id"),
        Index("ix_remote_record_quarantined", "tenant_id", "source_id", postgresql_where=text("fault is not null")),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)  # invoice, credit_note
    remote_id: Mapped[str] = mapped_column(Text, primary_key=True)
    object_id: Mapped[UUID | None]  # the invoice or credit note
    revision: Mapped[int | None] = mapped_column(BigInteger)  # of the record in its source; it only grows
    content_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    read_at: Mapped[datetime]  # system time
    absence: Mapped[Absence | None] = mapped_column(TextEnum(Absence))
    hold_id: Mapped[UUID | None]  # set because it is absent
    fault: Mapped[str | None] = mapped_column(Text)  # why it is in quarantine: a stable code
    detail: Mapped[str | None] = mapped_column(Text)
