"""Uploads, mappings and imports as the world sees them, in answers and in events."""

from datetime import datetime
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from billing_connectors.csv_files.mapping import CsvMapping
from billing_connectors.file_imports.formats import FileFormat
from billing_connectors.file_imports.models import (
    ClosingState,
    ImportClosing,
    ImportKind,
    ImportMapping,
    ImportMode,
    ImportRow,
    ImportRun,
    ImportState,
    RowStatus,
    UndoOutcome,
    Upload,
)
from kernel import ids

DocumentKind = Literal["invoice", "credit_note"]
_PREFIXES = {"invoice": "inv", "credit_note": "crn"}


class UploadView(Struct, frozen=True, kw_only=True):
    """A file that was sent, to be imported."""

    id: str
    version: int
    name: str | None
    format: FileFormat
    size_bytes: int
    sha256: str
    recorded_at: datetime
    removed_at: datetime | None

    @classmethod
    def of(cls, row: Upload) -> "UploadView":
        """Show an upload."""
        return cls(
            id=ids.encode("upl", row.id),
            version=row.version,
            name=row.name,
            format=row.format,
            size_bytes=row.size,
            sha256=row.sha256.hex(),
            recorded_at=row.recorded_at,
            removed_at=row.removed_at,
        )


class ImportMappingView(Struct, frozen=True, kw_only=True):
    """How files of one kind are read, under a name."""

    id: str
    version: int
    name: str
    kind: ImportKind
    mapping: CsvMapping
    archived_at: datetime | None

    @classmethod
    def of(cls, row: ImportMapping) -> "ImportMappingView":
        """Show a mapping."""
        return cls(
            id=ids.encode("imm", row.id),
            version=row.version,
            name=row.name,
            kind=row.kind,
            mapping=msgspec.json.decode(row.body, type=CsvMapping),
            archived_at=row.archived_at,
        )


class ImportCounts(Struct, frozen=True, kw_only=True):
    """How many rows have been judged, and how."""

    read: int
    created: int
    updated: int
    unchanged: int
    refused: int
    quarantined: int
    voided: int  # by undoing the import
    kept: int  # though the import was undone: they have been touched since
    reasons: dict[str, int]  # refused and quarantined rows


class ImportView(Struct, frozen=True, kw_only=True):
    """One import of one upload: what was asked for, how far it is, what has come of it."""

    id: str
    version: int
    upload_id: str
    kind: ImportKind
    mode: ImportMode
    creditor_id: str | None
    dry_run: bool
    backfill: bool
    mapping_id: str | None
    mapping_version: int | None
    state: ImportState
    rows: ImportCounts
    job_id: str | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: ImportRun) -> "ImportView":
        """Show an import."""
        return cls(
            id=ids.encode("imp", row.id),
            version=row.version,
            upload_id=ids.encode("upl", row.upload_id),
            kind=row.kind,
            mode=row.mode,
            creditor_id=None if row.creditor_id is None else ids.encode("crd", row.creditor_id),
            dry_run=row.dry_run,
            backfill=row.backfill,
            mapping_id=None if row.mapping_id is None else ids.encode("imm", row.mapping_id),
            mapping_version=row.mapping_version,
            state=row.state,
            rows=ImportCounts(
                read=row.rows_read,
                created=row.rows_created,
                updated=row.rows_updated,
                unchanged=row.rows_unchanged,
                refused=row.rows_refused,
                quarantined=row.rows_quarantined,
                voided=row.rows_voided,
                kept=row.rows_kept,
                reasons=msgspec.json.decode(row.reasons, type=dict[str, int]),
            ),
            job_id=None if row.job_id is None else ids.encode("job", row.job_id),
            error=row.error,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


class ImportRowView(Struct, frozen=True, kw_only=True):
    """What became of one row. Of a dry run nothing was written, and no object is named."""

    line: int  # of the file, counted from 1; of a workbook the row
    status: RowStatus
    kind: DocumentKind | None
    number: str | None
    object_id: str | None
    reason: str | None
    column: str | None
    detail: str | None
    undo: UndoOutcome | None

    @classmethod
    def of(cls, row: ImportRow) -> "ImportRowView":
        """Show a row's verdict."""
        prefix = _PREFIXES.get(row.kind or "")
        return cls(
            line=row.line,
            status=row.status,
            kind=cast("DocumentKind | None", row.kind),
            number=row.number,
            object_id=None if row.object_id is None or prefix is None else ids.encode(prefix, row.object_id),
            reason=row.reason,
            column=row.header,
            detail=row.detail,
            undo=row.undo,
        )


class ImportClosingView(Struct, frozen=True, kw_only=True):
    """An open item that a snapshot no longer names, and what was decided about it."""

    id: str  # of the invoice or credit note
    kind: DocumentKind
    number: str
    debtor_id: str
    currency: str
    open_minor: int
    state: ClosingState

    @classmethod
    def of(cls, row: ImportClosing) -> "ImportClosingView":
        """Show a proposal."""
        return cls(
            id=ids.encode(_PREFIXES[row.kind], row.object_id),
            kind=cast("DocumentKind", row.kind),
            number=row.number,
            debtor_id=ids.encode("dbt", row.debtor_id),
            currency=row.currency,
            open_minor=row.open_minor,
            state=row.state,
        )


def counted(reasons: str, more: dict[str, int]) -> str:
    """Counts by reason, with those of one batch more."""
    found = cast("dict[str, Any]", msgspec.json.decode(reasons))  # Any: JSON
    for reason, count in more.items():
        found[reason] = found.get(reason, 0) + count
    return msgspec.json.encode(dict(sorted(found.items()))).decode()
