"""Tables of uploads and imports: what was sent, how it is read, how far it is, what became of each row."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from billing_connectors.file_imports.formats import FileFormat
from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class ImportKind(StrEnum):
    """What the rows of a file are."""

    INVOICES = "invoices"  # and credit notes, with their buyers


class ImportMode(StrEnum):
    """Whether a file adds to what is known, or is the whole of what is open."""

    DELTA = "delta"
    SNAPSHOT = "snapshot"  # what is open here and not in the file is proposed as closed


class ImportState(StrEnum):
    """How far an import is."""

    READY = "ready"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class RowStatus(StrEnum):
    """What became of one row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


class UndoOutcome(StrEnum):
    """What undoing an import made of a document that it had created."""

    VOIDED = "voided"
    KEPT = "kept"  # it has been changed since, or something has settled it: a person decides


class ClosingState(StrEnum):
    """What was decided about an open item that a snapshot no longer names."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"  # and not closed yet
    CLOSED = "closed"
    REJECTED = "rejected"
    STALE = "stale"  # no longer open when it was to be closed


class Upload(TenantRow, Base):
    """A file as it was sent; its content is sealed in pieces under a key of its own. Retention class `upload`."""

    __tablename__ = "upload"
    __table_args__ = (one_of("format", FileFormat),)

    name: Mapped[str | None] = mapped_column(Text)
    format: Mapped[FileFormat] = mapped_column(TextEnum(FileFormat))
    size: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    is_utf8: Mapped[bool] = mapped_column(Boolean)  # the whole of it can be decoded so
    parts: Mapped[int]
    removed_at: Mapped[datetime | None]  # its content is gone


class UploadPart(Base):
    """One piece of an upload's content; the blob goes when its retention ends, and the upload stays known."""

    __tablename__ = "upload_part"
    __table_args__ = (belongs_to("upload"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    blob_id: Mapped[UUID]


class ImportMapping(TenantRow, Base):
    """How a tenant's files of one kind are read, under a name. An import keeps the version that it was made with."""

    __tablename__ = "import_mapping"
    __table_args__ = (
        one_of("kind", ImportKind),
        Index("uq_import_mapping_name", "tenant_id", "name", unique=True, postgresql_where=text("archived_at is null")),
    )

    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[ImportKind] = mapped_column(TextEnum(ImportKind))
    body: Mapped[str] = mapped_column(Text)
    archived_at: Mapped[datetime | None]


class ImportRun(TenantRow, Base):
    """One import of one upload: what was asked for, how far it is, what has come of it."""

    __tablename__ = "import_run"
    __table_args__ = (
        belongs_to("upload"),
        belongs_to("creditor"),
        belongs_to("import_mapping", "mapping_id"),
        one_of("kind", ImportKind),
        one_of("mode", ImportMode),
        one_of("state", ImportState),
        CheckConstraint("mode <> 'snapshot' or creditor_id is not null", name="snapshot_of"),
        Index("ix_import_run_upload", "tenant_id", "upload_id"),
    )

    upload_id: Mapped[UUID]
    kind: Mapped[ImportKind] = mapped_column(TextEnum(ImportKind))
    mode: Mapped[ImportMode] = mapped_column(TextEnum(ImportMode))
    creditor_id: Mapped[UUID | None]
    dry_run: Mapped[bool] = mapped_column(Boolean)
    backfill: Mapped[bool] = mapped_column(Boolean)  # its events are not delivered unless asked for
    mapping: Mapped[str] = mapped_column(Text)  # as it was when the import was made
    mapping_id: Mapped[UUID | None]
    mapping_version: Mapped[int | None]
    layout: Mapped[str | None] = mapped_column(Text)  # found by the first look, the same for every later one
    state: Mapped[ImportState] = mapped_column(TextEnum(ImportState))
    rows_read: Mapped[int]  # the position: exactly these rows have been judged
    rows_created: Mapped[int]
    rows_updated: Mapped[int]
    rows_unchanged: Mapped[int]
    rows_refused: Mapped[int]
    rows_quarantined: Mapped[int]
    rows_voided: Mapped[int]  # by undoing
    rows_kept: Mapped[int]
    reasons: Mapped[str] = mapped_column(Text)  # JSON: refused and quarantined rows by reason
    job_id: Mapped[UUID | None]  # that runs or undoes it
    error: Mapped[str | None] = mapped_column(Text)
    caller: Mapped[str | None] = mapped_column(Text)  # on whose behalf the job works
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ImportRow(Base):
    """What became of one row of an import; of one that was not taken also the row itself, sealed.

    The two digests tell a number that stands in several rows of one file with different contents.
    """

    __tablename__ = "import_row"
    __table_args__ = (
        one_of("status", RowStatus),
        one_of("undo", UndoOutcome),
        Index("ix_import_row_name", "tenant_id", "import_id", "name_digest"),
        Index(
            "ix_import_row_status",
            "tenant_id",
            "import_id",
            "status",
            "line",
            postgresql_where=text("status in ('refused', 'quarantined', 'updated')"),
        ),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[RowStatus] = mapped_column(TextEnum(RowStatus))
    kind: Mapped[str | None] = mapped_column(Text)  # invoice | credit_note
    number: Mapped[str | None] = mapped_column(Text)
    object_id: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(Text)
    header: Mapped[str | None] = mapped_column(Text)  # of the column that is to blame
    detail: Mapped[str | None] = mapped_column(Text)
    name_digest: Mapped[int | None] = mapped_column(BigInteger)
    said_digest: Mapped[int | None] = mapped_column(BigInteger)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # the row's cells, under the upload's key
    key_version: Mapped[int | None] = mapped_column(BigInteger)
    undo: Mapped[UndoOutcome | None] = mapped_column(TextEnum(UndoOutcome))


class ImportClosing(Base):
    """An open item that a snapshot no longer names: proposed as closed, never closed by itself."""

    __tablename__ = "import_closing"
    __table_args__ = (
        one_of("state", ClosingState),
        CheckConstraint("kind in ('invoice', 'credit_note')", name="kind_known"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    debtor_id: Mapped[UUID]
    currency: Mapped[str] = mapped_column(Text)
    open_minor: Mapped[int]  # when it was proposed
    state: Mapped[ClosingState] = mapped_column(TextEnum(ClosingState))
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
