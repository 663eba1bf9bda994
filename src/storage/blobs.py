"""Blobs in PostgreSQL: uploads, raw e-invoices, rendered messages. Sealed, bounded, with a class of retention."""

import hashlib
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import BigInteger, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from kernel import ids
from kernel.errors import Invalid, NotFound
from storage.base import Base
from storage.encryption import KeyRing, place_of
from storage.session import TenantSession, tenant_of

MAX_BYTES: Final = 50 * 1024 * 1024


class BlobTooLarge(Invalid):
    """The content is larger than what can be kept."""

    code = "blob_too_large"
    remedy = "Send at most 50 MiB."


class BlobRow(Base):
    """Content that is not a row: written once, never changed."""

    __tablename__ = "blob"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    retention: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID]
    key_version: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(BigInteger)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class BlobRef(Struct, frozen=True):
    """What identifies a blob: its id, the sha256 of its content and its size in bytes."""

    id: UUID
    sha256: bytes
    size: int


class PostgresBlobs:
    """The default home of blobs; each is sealed under the key of its subject."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def put(
        self, session: TenantSession, *, content: bytes, kind: str, retention: str, subject_id: UUID | None = None
    ) -> BlobRef:
        """Keep content; raises BlobTooLarge."""
        if len(content) > MAX_BYTES:
            raise BlobTooLarge
        tenant_id, blob_id = tenant_of(session), ids.new_id()
        subject = subject_id or blob_id  # an upload, which holds many debtors, has a key of its own
        key = (await self._ring.current(session, [subject]))[subject]
        ref = BlobRef(blob_id, hashlib.sha256(content).digest(), len(content))
        values = {
            "tenant_id": tenant_id, "id": blob_id, "kind": kind, "retention": retention, "subject_id": subject,
            "key_version": key.version, "sha256": ref.sha256, "size": ref.size,
            "sealed": key.seal(content, place_of(tenant_id, "blob", blob_id)),
        }  # fmt: skip
        await session.execute(_PUT, values)
        return ref

    async def get(self, session: TenantSession, blob_id: UUID) -> bytes:
        """Read content back; raises NotFound when it is not this tenant's, expired or erased."""
        tenant_id = tenant_of(session)
        row = await session.get(BlobRow, (tenant_id, blob_id))
        if row is None:
            raise NotFound
        wanted = (tenant_id, row.subject_id, row.key_version)
        keys = await self._ring.of_versions(session, [wanted])
        if wanted not in keys:
            raise NotFound
        return keys[wanted].open(row.sealed, place_of(tenant_id, "blob", blob_id))


_PUT: Final = text(
    "insert into app.blob (tenant_id, id, kind, retention, subject_id, key_version, sha256, size, sealed)"
    " values (:tenant_id, :id, :kind, :retention, :subject_id, :key_version, :sha256, :size, :sealed)"
)
