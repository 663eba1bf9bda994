"""Tables of what came in: each document read, and conflicts that wait for a person."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base


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
