"""The only way to load an upload, a mapping or an import by its id; another tenant's does not exist."""

from uuid import UUID

from billing_connectors.file_imports.errors import ImportNotFound, MappingNotFound, UploadNotFound
from billing_connectors.file_imports.models import ImportMapping, ImportRun, Upload
from storage.session import TenantSession, tenant_of


async def upload(session: TenantSession, upload_id: UUID, *, lock: bool = False) -> Upload:
    """One upload."""
    row = await session.get(Upload, (tenant_of(session), upload_id), with_for_update=lock, populate_existing=lock)
    if row is None:
        raise UploadNotFound
    return row


async def mapping(session: TenantSession, mapping_id: UUID, *, lock: bool = False) -> ImportMapping:
    """One mapping."""
    key = (tenant_of(session), mapping_id)
    row = await session.get(ImportMapping, key, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise MappingNotFound
    return row


async def import_run(session: TenantSession, import_id: UUID, *, lock: bool = False) -> ImportRun:
    """One import; its lock is its own row's."""
    row = await session.get(ImportRun, (tenant_of(session), import_id), with_for_update=lock, populate_existing=lock)
    if row is None:
        raise ImportNotFound
    return row
