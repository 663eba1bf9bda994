"""Keep files that are to be imported: sealed pieces under a key of the upload's own, read again one at a time."""

import codecs
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import IO, Final
from uuid import UUID

from sqlalchemy import select

from billing_connectors.file_imports import access
from billing_connectors.file_imports.errors import UploadEmpty, UploadRemoved, UploadTooLarge, UploadUnsupported
from billing_connectors.file_imports.events import UploadReceived
from billing_connectors.file_imports.events import UploadRemoved as UploadRemovedEvent
from billing_connectors.file_imports.formats import FileFormat
from billing_connectors.file_imports.models import Upload, UploadPart
from billing_connectors.file_imports.views import UploadView
from kernel import ids
from kernel.text import MAX_NAME, clean
from storage.blobs import BlobRow, PostgresBlobs
from storage.bulk import insert_rows
from storage.encryption import KeyRing, destroy_keys
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_WORKBOOK: Final = 64 * 1024 * 1024  # it is unpacked where it is read
PIECE: Final = 1024 * 1024
KIND: Final = "upload"
_REFUSED: Final = (
    (b"%PDF-", "a PDF is imported as a document, not as a table"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file, or one with a password: save it as .xlsx without one"),
    (b"\x1f\x8b", "a compressed file: send what is in it"),
    (b"<", "markup: an e-invoice is imported as a document, a page is no table"),
)


async def keep(
    session: TenantSession, ring: KeyRing, file: IO[bytes], now: datetime, *, name: str | None = None
) -> UploadView:
    """Keep a file. Raises UploadEmpty, UploadTooLarge, UploadUnsupported."""
    tenant_id, upload_id = tenant_of(session), ids.new_id()
    blobs = PostgresBlobs(ring)
    parts: list[tuple[UUID, UUID, int, UUID]] = []
    digest, size = hashlib.sha256(), 0
    text = _Utf8()
    kind: FileFormat | None = None
    while piece := file.read(PIECE):
        kind = kind or format_of(piece)
        size += len(piece)
        if size > (MAX_WORKBOOK if kind is FileFormat.XLSX else MAX_BYTES):
            raise UploadTooLarge(f"a file of this kind has at most {MAX_WORKBOOK} bytes" if kind == "xlsx" else "")
        digest.update(piece)
        text.take(piece)
        ref = await blobs.put(session, content=piece, kind=KIND, retention=KIND, subject_id=upload_id)
        parts.append((tenant_id, upload_id, len(parts) + 1, ref.id))
    if kind is None:
        raise UploadEmpty
    row = Upload(
        tenant_id=tenant_id, id=upload_id, version=1, name=clean(name or "", MAX_NAME) or None, format=kind,
        size=size, sha256=digest.digest(), is_utf8=text.ended(), parts=len(parts), removed_at=None,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    await session.refresh(row)
    await insert_rows(session, UploadPart, ("tenant_id", "upload_id", "place", "blob_id"), parts)
    view = UploadView.of(row)
    emit(session, UploadReceived(view, None, now))
    return view


class _Utf8:
    """Whether everything that went by was UTF-8 without a NUL."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ok = True

    def take(self, piece: bytes, *, final: bool = False) -> None:
        if self._ok:
            try:
                self._decoder.decode(piece, final)
            except UnicodeDecodeError:
                self._ok = False

    def ended(self) -> bool:
        self.take(b"", final=True)
        return self._ok


def format_of(head: bytes) -> FileFormat:
    """What kind of table this is, by how it begins. Raises UploadUnsupported."""
    if head.startswith(b"PK\x03\x04"):
        return FileFormat.XLSX
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for mark, why in _REFUSED:
        if start.startswith(mark):
            raise UploadUnsupported(why)
    return FileFormat.NDJSON if start.startswith(b"{") else FileFormat.CSV


async def remove(session: TenantSession, upload_id: UUID, now: datetime) -> UploadView:
    """Make an upload's content, and the rows that were kept of it, unreadable for good; twice is once."""
    row = await access.upload(session, upload_id, lock=True)
    if row.removed_at is not None:
        return UploadView.of(row)
    before = UploadView.of(row)
    await destroy_keys(session, [upload_id])
    row.removed_at, row.version = now, row.version + 1
    after = UploadView.of(row)
    emit(session, UploadRemovedEvent(after, before, now))
    return after


async def usable(session: TenantSession, upload_id: UUID) -> Upload:
    """An upload whose content is there. Raises UploadNotFound, UploadRemoved."""
    row = await access.upload(session, upload_id)
    last = await _last_blob(session, row)
    if row.removed_at is not None or last is None:  # by its sender, or when its retention ended
        raise UploadRemoved
    return row


async def _last_blob(session: TenantSession, row: Upload) -> UUID | None:
    """The blob with which an upload ends, while it is kept."""
    statement = _part(session, row.id, row.parts).join(
        BlobRow, (BlobRow.tenant_id == UploadPart.tenant_id) & (BlobRow.id == UploadPart.blob_id)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def beginning(session: TenantSession, ring: KeyRing, upload: Upload, *, pieces: int) -> list[bytes]:
    """The first pieces of an upload; of a workbook all, since its table of contents stands at its end."""
    wanted = upload.parts if upload.format is FileFormat.XLSX else min(pieces, upload.parts)
    return [await _piece(session, ring, upload.id, place) for place in range(1, wanted + 1)]


async def content(
    open_: Callable[[], AbstractAsyncContextManager[TenantSession]], ring: KeyRing, upload_id: UUID, parts: int
) -> AsyncGenerator[bytes]:
    """The pieces of an upload, each read in a transaction of its own when it is wanted."""
    for place in range(1, parts + 1):
        async with open_() as session:
            piece = await _piece(session, ring, upload_id, place)
        yield piece


async def first_blob(session: TenantSession, upload_id: UUID) -> UUID | None:
    """The blob with which an upload begins."""
    return (await session.execute(_part(session, upload_id, 1))).scalar_one_or_none()


async def _piece(session: TenantSession, ring: KeyRing, upload_id: UUID, place: int) -> bytes:
    blob_id = (await session.execute(_part(session, upload_id, place))).scalar_one()
    return await PostgresBlobs(ring).get(session, blob_id)


def _part(session: TenantSession, upload_id: UUID, place: int):  # noqa: ANN202 - SQLAlchemy's own
    return (
        select(UploadPart.blob_id)
        .where(UploadPart.tenant_id == tenant_of(session), UploadPart.upload_id == upload_id, UploadPart.place == place)
        .limit(1)
    )
