"""Tables of what came in: documents, what each source has said of an object, references that wait, conflicts."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Date, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class ConflictState(StrEnum):
    """A conflict is open until somebody settles it, or until what contradicted no longer does."""

    OPEN = "open"
    RESOLVED = "resolved"


class ImportedDocument(Base):
    """A document (or a row of a file) as it came: its content hash, what became of it, the raw bytes as a blob."""

    __tablename__ = "imported_document"
    __table_args__ = (
        Index("ix_imported_document_object", "tenant_id", "object_id"),
        Index("uq_imported_document_content", "tenant_id", "content_hash", "place", unique=True),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    place: Mapped[str] = mapped_column(Text)  # '' for a whole file, else the line
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    object_id: Mapped[UUID | None]  # the invoice or credit note
    blob_id: Mapped[UUID | None]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class SourceStatement(Base):
    """What the sources have said of one invoice, credit note or debtor, apart from what is true of it.

    What an object is after any number of documents follows from this and never from their order. A debtor's is
    sealed under the debtor's own key.
    """

    __tablename__ = "source_statement"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    key_version: Mapped[int | None] = mapped_column(BigInteger)  # null: nothing personal, not sealed


class AwaitedInvoice(Base):
    """An invoice that a credit note names and that has not been settled by it: it may still arrive."""

    __tablename__ = "awaited_invoice"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("credit_note"),
        Index("ix_awaited_invoice_credit_note", "tenant_id", "credit_note_id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    creditor_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(Text, primary_key=True)
    credit_note_id: Mapped[UUID] = mapped_column(primary_key=True)
    issued_on: Mapped[date | None] = mapped_column(Date)  # where the credit note says it


class ConflictRow(TenantRow, Base):
    """A document that contradicts what is known: both sides are kept until a person says which is right."""

    __tablename__ = "conflict"
    __table_args__ = (
        belongs_to("creditor"),
        one_of("state", ConflictState),
        Index("ix_conflict_state", "tenant_id", "state", "id"),
        Index("ix_conflict_object", "tenant_id", "object_id", postgresql_where=text("object_id is not null")),
        Index("uq_conflict_document", "tenant_id", "document_id", unique=True, postgresql_where=text("state = 'open'")),
    )

    state: Mapped[ConflictState] = mapped_column(TextEnum(ConflictState))
    reason: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)  # invoice or credit_note
    creditor_id: Mapped[UUID]
    number: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)  # the format of the document
    document_id: Mapped[UUID]  # its row of imported_document
    place: Mapped[str] = mapped_column(Text)
    object_id: Mapped[UUID | None]  # the invoice or credit note that it contradicts
    debtor_id: Mapped[UUID | None]  # of that
    task_kind: Mapped[str] = mapped_column(Text)  # the task that asks for a decision
    task_subject_id: Mapped[UUID]
    resolution: Mapped[str | None] = mapped_column(Text)
    resolved_at: Mapped[datetime | None]
    key_version: Mapped[int] = mapped_column(BigInteger)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)  # the document and the known side as it was, under its own key
    known_at: Mapped[datetime]
