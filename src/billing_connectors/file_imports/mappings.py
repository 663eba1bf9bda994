"""Ways to read files, kept under a name; an import takes a copy, so that changing one changes no import."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from billing_connectors.csv_files.mapping import CsvMapping, from_json
from billing_connectors.file_imports import access
from billing_connectors.file_imports.errors import MappingNameTaken
from billing_connectors.file_imports.events import (
    ImportMappingArchived,
    ImportMappingCreated,
    ImportMappingUpdated,
)
from billing_connectors.file_imports.models import ImportKind, ImportMapping
from billing_connectors.file_imports.views import ImportMappingView
from kernel import ids
from kernel.errors import AppError
from kernel.text import MAX_NAME, clean
from receivables.changes import expect, flush
from storage.events import emit
from storage.session import TenantSession, tenant_of

_REFUSALS: Final[Mapping[str, type[AppError]]] = {"uq_import_mapping_name": MappingNameTaken}


def checked(mapping: CsvMapping) -> CsvMapping:
    """A mapping that can be used. Raises BadMapping."""
    return from_json(msgspec.json.encode(mapping))


async def create(
    session: TenantSession, name: str, kind: ImportKind, mapping: CsvMapping, now: datetime
) -> ImportMappingView:
    """Keep a mapping. Raises BadMapping, MappingNameTaken."""
    body = msgspec.json.encode(checked(mapping)).decode()
    row = ImportMapping(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, name=clean(name, MAX_NAME), kind=kind, body=body,
        archived_at=None,
    )  # fmt: skip
    session.add(row)
    await flush(session, _REFUSALS)
    view = ImportMappingView.of(row)
    emit(session, ImportMappingCreated(view, None, now))
    return view


async def update(
    session: TenantSession,
    mapping_id: UUID,
    now: datetime,
    *,
    name: str | UnsetType = UNSET,
    mapping: CsvMapping | UnsetType = UNSET,
    expected_version: int | None = None,
) -> ImportMappingView:
    """Change a mapping; the same again changes nothing. Raises MappingNotFound, BadMapping, MappingNameTaken."""
    row = await access.mapping(session, mapping_id, lock=True)
    expect(row.version, expected_version)
    before = ImportMappingView.of(row)
    if name is not UNSET:
        row.name = clean(name, MAX_NAME)
    if mapping is not UNSET:
        row.body = msgspec.json.encode(checked(mapping)).decode()
    if ImportMappingView.of(row) == before:
        return before
    row.version += 1
    await flush(session, _REFUSALS)
    after = ImportMappingView.of(row)
    emit(session, ImportMappingUpdated(after, before, now))
    return after


async def archive(
    session: TenantSession, mapping_id: UUID, now: datetime, *, expected_version: int | None = None
) -> ImportMappingView:
    """Offer a mapping no more; twice is once."""
    row = await access.mapping(session, mapping_id, lock=True)
    expect(row.version, expected_version)
    before = ImportMappingView.of(row)
    if row.archived_at is not None:
        return before
    row.archived_at, row.version = now, row.version + 1
    after = ImportMappingView.of(row)
    emit(session, ImportMappingArchived(after, before, now))
    return after
