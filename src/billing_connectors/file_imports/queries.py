"""Lists of uploads, mappings, imports, their rows and what they propose to close."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from billing_connectors.file_imports.models import (
    ClosingState,
    ImportClosing,
    ImportMapping,
    ImportRow,
    ImportRun,
    ImportState,
    RowStatus,
    UndoOutcome,
    Upload,
)
from storage.session import TenantSession, tenant_of


async def uploads(session: TenantSession, *, after: UUID | None, limit: int) -> Sequence[Upload]:
    """Uploads, the newest first."""
    statement = select(Upload).where(Upload.tenant_id == tenant_of(session))
    if after is not None:
        statement = statement.where(Upload.id < after)
    return (await session.scalars(statement.order_by(Upload.id.desc()).limit(limit))).all()


async def mappings(
    session: TenantSession, *, archived: bool | None, after: UUID | None, limit: int
) -> Sequence[ImportMapping]:
    """Mappings, the newest first."""
    statement = select(ImportMapping).where(ImportMapping.tenant_id == tenant_of(session))
    if archived is not None:
        is_null = ImportMapping.archived_at.is_(None)
        statement = statement.where(~is_null if archived else is_null)
    if after is not None:
        statement = statement.where(ImportMapping.id < after)
    return (await session.scalars(statement.order_by(ImportMapping.id.desc()).limit(limit))).all()


async def imports(
    session: TenantSession, *, upload_id: UUID | None, state: ImportState | None, after: UUID | None, limit: int
) -> Sequence[ImportRun]:
    """Imports, the newest first."""
    statement = select(ImportRun).where(ImportRun.tenant_id == tenant_of(session))
    if upload_id is not None:
        statement = statement.where(ImportRun.upload_id == upload_id)
    if state is not None:
        statement = statement.where(ImportRun.state == state)
    if after is not None:
        statement = statement.where(ImportRun.id < after)
    return (await session.scalars(statement.order_by(ImportRun.id.desc()).limit(limit))).all()


class RowFilter(Struct, frozen=True, kw_only=True):
    """Which rows of an import are wanted."""

    statuses: tuple[RowStatus, ...] = ()
    undo: UndoOutcome | None = None


async def rows(
    session: TenantSession, import_id: UUID, wanted: RowFilter, *, after: int | None, limit: int
) -> Sequence[ImportRow]:
    """Rows of an import, in the order of the file."""
    statement = select(ImportRow).where(ImportRow.tenant_id == tenant_of(session), ImportRow.import_id == import_id)
    if wanted.statuses:
        statement = statement.where(ImportRow.status.in_(wanted.statuses))
    if wanted.undo is not None:
        statement = statement.where(ImportRow.undo == wanted.undo)
    if after is not None:
        statement = statement.where(ImportRow.line > after)
    return (await session.scalars(statement.order_by(ImportRow.line).limit(limit))).all()


async def closings(
    session: TenantSession, import_id: UUID, state: ClosingState | None, *, after: UUID | None, limit: int
) -> Sequence[ImportClosing]:
    """What an import proposes to close, in the order in which the items became known."""
    mine = (ImportClosing.tenant_id == tenant_of(session), ImportClosing.import_id == import_id)
    statement = select(ImportClosing).where(*mine)
    if state is not None:
        statement = statement.where(ImportClosing.state == state)
    if after is not None:
        statement = statement.where(ImportClosing.object_id > after)
    return (await session.scalars(statement.order_by(ImportClosing.object_id).limit(limit))).all()
