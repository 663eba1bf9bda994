"""What a caller asks of imports: look at a file, lay an import out, try it, run it, stop it, take it back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from billing_connectors.csv_files.layout import Layout
from billing_connectors.csv_files.mapping import CsvMapping
from billing_connectors.documents.canonical import Document, Rejected
from billing_connectors.file_imports import access, judging, mappings, running, table_process, undoing, uploads
from billing_connectors.file_imports.detecting import Detection, Question
from billing_connectors.file_imports.errors import (
    FileUnreadable,
    ImportNotReady,
    ImportNotRunning,
    ImportNotUndoable,
)
from billing_connectors.file_imports.events import ImportCreated, ImportStarted
from billing_connectors.file_imports.judging import Verdict
from billing_connectors.file_imports.models import ImportKind, ImportMode, ImportRun, ImportState, RowStatus, Upload
from billing_connectors.file_imports.rows import Opened, Order, RowRead, Rows
from billing_connectors.file_imports.running import Params
from billing_connectors.file_imports.tables import TableSpec
from billing_connectors.file_imports.views import ImportView
from billing_connectors.recording import Origin
from billing_connectors.sellers import load_creditors
from kernel import ids
from kernel.errors import Fault, Invalid
from storage import jobs
from storage.encryption import KeyRing
from storage.events import emit
from storage.session import TenantSession, tenant_of

LOOKED_AT: Final = 8  # pieces: how much of a text is looked at before it is imported
PREVIEWED: Final = 1_000  # rows
_UNDOABLE: Final = (ImportState.DONE, ImportState.CANCELLED, ImportState.FAILED)


class NewImport(Struct, frozen=True, kw_only=True):
    """An import to be laid out. Without a mapping, the one that the file's detection proposes is taken."""

    upload_id: UUID
    kind: ImportKind = ImportKind.INVOICES
    mode: ImportMode = ImportMode.DELTA
    creditor_id: UUID | None = None
    mapping_id: UUID | None = None
    mapping: CsvMapping | None = None
    dry_run: bool = False
    backfill: bool = False


async def detect(session: TenantSession, ring: KeyRing, upload_id: UUID) -> Detection:
    """Look at an upload. Raises UploadNotFound, UploadRemoved, FileUnreadable."""
    upload = await uploads.usable(session, upload_id)
    return await _detected(upload, await uploads.beginning(session, ring, upload, pieces=LOOKED_AT))


async def _detected(upload: Upload, pieces: list[bytes]) -> Detection:
    try:
        return await table_process.look(Question(upload.format, upload.is_utf8), _given(pieces))
    except Rejected as rejected:
        raise _unreadable(rejected.refusal.reason, rejected.refusal.detail) from rejected


def _unreadable(reason: str, detail: str) -> FileUnreadable:
    return FileUnreadable(detail, errors=[Fault(pointer="/upload_id", code=reason, message=detail or reason)])


async def _given(pieces: Sequence[bytes]) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece


async def create(session: TenantSession, ring: KeyRing, new: NewImport, now: datetime) -> ImportView:
    """Lay an import out; nothing is brought in yet.

    Raises UploadNotFound, UploadRemoved, MappingNotFound, CreditorNotFound, BadMapping, FileUnreadable, Invalid.
    """
    if new.mode is ImportMode.SNAPSHOT and new.creditor_id is None:
        message = "a snapshot is the whole of what is open at one creditor: name it"
        raise Invalid(errors=[Fault(pointer="/creditor_id", code="required", message=message)])
    if new.mapping_id is not None and new.mapping is not None:
        message = "name a mapping or send one, not both"
        raise Invalid(errors=[Fault(pointer="/mapping", code="not_both", message=message)])
    upload = await uploads.usable(session, new.upload_id)
    currency = (await load_creditors(session, new.creditor_id)).currency
    pieces = await uploads.beginning(session, ring, upload, pieces=LOOKED_AT)
    mapping, version = await _mapping(session, new, upload, pieces)
    if mapping.assumed_currency is not None and currency is not None:
        mapping = structs.replace(mapping, assumed_currency=currency)
    layout, _ = await _first_rows(upload, mapping, None, pieces, limit=0)
    row = ImportRun(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, upload_id=upload.id, kind=new.kind, mode=new.mode,
        creditor_id=new.creditor_id, dry_run=new.dry_run, backfill=new.backfill,
        mapping=msgspec.json.encode(mapping).decode(), mapping_id=new.mapping_id, mapping_version=version,
        layout=msgspec.json.encode(layout).decode(), state=ImportState.READY,
        rows_read=0, rows_created=0, rows_updated=0, rows_unchanged=0, rows_refused=0, rows_quarantined=0,
        rows_voided=0, rows_kept=0, reasons="{}",
    )  # fmt: skip
    session.add(row)
    await session.flush()
    view = ImportView.of(row)
    emit(session, ImportCreated(view, None, now))
    return view


async def _mapping(
    session: TenantSession, new: NewImport, upload: Upload, pieces: list[bytes]
) -> tuple[CsvMapping, int | None]:
    if new.mapping is not None:
        return mappings.checked(new.mapping), None
    if new.mapping_id is not None:
        row = await access.mapping(session, new.mapping_id)
        return msgspec.json.decode(row.body, type=CsvMapping), row.version
    found = await _detected(upload, pieces)
    if found.mapping is None:
        missing = " and ".join(found.missing)
        raise _unreadable("columns_missing", f"no column was found for {missing}: send a mapping")
    if found.dates_ambiguous:
        raise _unreadable("dates_ambiguous", "every date reads day first and month first: send a mapping with `dates`")
    return found.mapping, None


async def _first_rows(
    upload: Upload, mapping: CsvMapping, layout: Layout | None, pieces: list[bytes], *, limit: int
) -> tuple[Layout, list[RowRead]]:
    """The layout of a file and its first rows. Raises FileUnreadable."""
    spec = TableSpec(format=upload.format, is_utf8=upload.is_utf8, mapping=mapping, layout=layout)
    order = Order(spec=spec, batch=max(limit, 1), limit=limit)
    found: list[RowRead] = []
    async with aclosing(table_process.read(order, _given(pieces))) as said:
        async for one in said:
            if isinstance(one, Opened):
                layout = one.layout
            elif isinstance(one, Rows):
                found += one.rows
            elif one.refusal is not None and layout is None:
                raise _unreadable(one.refusal.reason, one.refusal.detail)
    if layout is None:
        raise _unreadable("unreadable", "the file cannot be read")
    return layout, found


class Preview(Struct, frozen=True):
    """What the first rows of a file would become, with their documents as they would be read."""

    verdicts: list[Verdict]
    documents: dict[int, Document]
    is_whole: bool  # there are no more rows


async def preview(session: TenantSession, ring: KeyRing, import_id: UUID, *, limit: int = PREVIEWED) -> Preview:
    """Try the first rows. What this writes is to be rolled back by the caller, who owns the transaction."""
    row = await access.import_run(session, import_id)
    upload = await uploads.usable(session, row.upload_id)
    mapping = msgspec.json.decode(row.mapping, type=CsvMapping)
    layout = None if row.layout is None else msgspec.json.decode(row.layout, type=Layout)
    pieces = await uploads.beginning(session, ring, upload, pieces=LOOKED_AT)
    _, rows = await _first_rows(upload, mapping, layout, pieces, limit=limit + 1)
    is_cut = len(pieces) < upload.parts
    if len(rows) <= limit and is_cut and rows:
        rows.pop()  # the last one may go on
    is_whole = len(rows) <= limit and not is_cut
    rows = rows[:limit]
    origin = Origin(digest=judging.digest_of(mapping, upload), content=b"", is_export=True, import_id=row.id)
    origin.blob_id = await uploads.first_blob(session, upload.id)
    verdicts = await judging.judge(session, ring, row, origin, rows)
    documents = {each.line: each.document for each in rows if each.document is not None}
    return Preview(verdicts, documents, is_whole)


async def start(session: TenantSession, import_id: UUID, now: datetime, *, caller: str | None) -> ImportView:
    """Have an import run by a worker. Raises ImportNotFound, ImportNotReady, UploadRemoved."""
    before = ImportView.of(await access.import_run(session, import_id))
    row = await begin(session, import_id, now, caller=caller)
    row.job_id = job_id = ids.new_id()
    params = Params(row.id, caller, row.backfill)
    await jobs.add(session, job_id, running.JOB, msgspec.json.encode(params).decode())
    emit(session, ImportStarted(ImportView.of(row), before, now))
    return ImportView.of(row)


async def start_here(session: TenantSession, import_id: UUID, now: datetime) -> ImportView:
    """Mark an import as run by the caller itself, without a job. Raises as `start` does."""
    before = ImportView.of(await access.import_run(session, import_id))
    row = await begin(session, import_id, now, caller=None)
    emit(session, ImportStarted(ImportView.of(row), before, now))
    return ImportView.of(row)


async def view(session: TenantSession, import_id: UUID) -> ImportView:
    """How far an import is."""
    return ImportView.of(await access.import_run(session, import_id))


async def begin(session: TenantSession, import_id: UUID, now: datetime, *, caller: str | None) -> ImportRun:
    """Mark an import as running. Raises ImportNotFound, ImportNotReady, UploadRemoved."""
    row = await access.import_run(session, import_id, lock=True)
    if row.state is not ImportState.READY:
        raise ImportNotReady
    await uploads.usable(session, row.upload_id)
    row.state, row.started_at, row.caller, row.version = ImportState.RUNNING, now, caller, row.version + 1
    return row


async def cancel(session: TenantSession, import_id: UUID, now: datetime) -> ImportView:
    """Stop an import after the batch that is under way; twice is once. Raises ImportNotFound, ImportNotRunning."""
    row = await access.import_run(session, import_id, lock=True)
    if row.state in {ImportState.CANCELLING, ImportState.CANCELLED}:
        return ImportView.of(row)
    if row.state is ImportState.READY:
        await running.cancelled(session, row, now)
        return ImportView.of(row)
    if row.state is not ImportState.RUNNING:
        raise ImportNotRunning
    row.state, row.version = ImportState.CANCELLING, row.version + 1
    return ImportView.of(row)


async def undo(session: TenantSession, import_id: UUID, *, caller: str | None) -> ImportView:
    """Have an import taken back by a worker; twice is once. Raises ImportNotFound, ImportNotUndoable."""
    row = await access.import_run(session, import_id, lock=True)
    if row.state in {ImportState.UNDOING, ImportState.UNDONE}:
        return ImportView.of(row)
    if row.state not in _UNDOABLE or row.dry_run:
        raise ImportNotUndoable
    job_id = ids.new_id()
    row.state, row.job_id, row.version = ImportState.UNDOING, job_id, row.version + 1
    await jobs.add(session, job_id, undoing.JOB, msgspec.json.encode(Params(row.id, caller)).decode())
    return ImportView.of(row)


NOT_TAKEN: Final = (RowStatus.REFUSED, RowStatus.QUARANTINED)


def mapping_of(row: ImportRun) -> CsvMapping:
    """The mapping as it was when the import was made."""
    return msgspec.json.decode(row.mapping, type=CsvMapping)
