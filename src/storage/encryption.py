"""Envelope encryption: a data key per subject (a debtor, the tenant, an upload), wrapped by a key-encryption key.

Every ciphertext is bound to where it stands (`tenant|table|column|row`), so that it cannot be moved.
Destroying a subject's row of `data_key` makes everything sealed under it unreadable: that is erasure.
"""

import hashlib
import hmac
import os
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from sqlalchemy import LargeBinary, Text, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base
from storage.session import TenantSession, tenant_of

_NONCE: Final = 12
_CACHE_MAX: Final = 10_000  # of some 2 kB each: a million rows of as many debtors must not fill a worker


class KeyProvider(Protocol):
    """Wraps and unwraps data keys; the key that does it never leaves the provider."""

    kek_id: str

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt a data key, bound to its tenant and subject."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a data key; raises SealBroken when it or its context was changed."""
        ...

    def derive(self, purpose: str) -> bytes:
        """A secret of 32 bytes for one purpose of this deployment (cursors, links), the same in every process."""
        ...


class SealBroken(Exception):
    """A ciphertext does not belong where it stands, or was altered."""


class LocalKeyProvider:
    """A key in a file that only its owner can read: the embedded default, for one machine."""

    def __init__(self, path: Path) -> None:
        key = _read_or_make(path)
        self._aead, self._key = AESGCM(key), key
        self.kek_id = f"local:{path.name}"

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return open_sealed(self._aead, wrapped, context)

    def derive(self, purpose: str) -> bytes:
        return hmac.new(self._key, b"derive|" + purpose.encode(), hashlib.sha256).digest()


def _read_or_make(path: Path) -> bytes:
    """The key in the file, which appears whole or not at all, whoever else makes it or is killed meanwhile."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(AESGCM.generate_key(256))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process was first: its key is the one
        finally:
            draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # what is sealed must not outlive the key's name
        os.close(folder)
    key = path.read_bytes()
    if len(key) != 32:  # noqa: PLR2004 - AES-256
        raise ValueError(f"{path.name} is no key of 32 bytes: restore it from your backup")
    return key


class DataKey(Base):
    """The wrapped key of one subject; without its row nothing of the subject can be read again."""

    __tablename__ = "data_key"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    kek_id: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class SubjectKey(Struct, frozen=True):
    """A subject's current key, ready to use."""

    version: int
    aead: AESGCM

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Encrypt for one place (`place_of`)."""
        nonce = os.urandom(_NONCE)
        return nonce + self.aead.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt what was sealed for this place; raises SealBroken otherwise."""
        return open_sealed(self.aead, sealed, place)


def open_sealed(aead: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """Decrypt nonce and ciphertext bound to a place; raises SealBroken."""
    try:
        return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error


def place_of(tenant_id: UUID, table: str, row_id: UUID, column: str = "sealed") -> bytes:
    """Where a ciphertext stands: what it is bound to."""
    return f"{tenant_id}|{table}|{column}|{row_id}".encode()


class KeyRing:
    """Unwraps data keys and remembers them by place and wrapped form, so that a destroyed row stays destroyed."""

    def __init__(self, provider: KeyProvider) -> None:
        self.provider = provider
        self._known: dict[bytes, AESGCM] = {}

    async def current(self, session: TenantSession, subjects: Iterable[UUID]) -> dict[UUID, SubjectKey]:
        """The newest key of each subject, made where there is none."""
        tenant_id, wanted = tenant_of(session), sorted(set(subjects))
        found = await self._read(session, tenant_id, wanted)
        missing = [subject for subject in wanted if subject not in found]
        if missing:
            await self._make(session, tenant_id, missing)
            found |= await self._read(session, tenant_id, missing)
        return found

    def unlock(self, tenant_id: UUID, subject_id: UUID, version: int, wrapped: bytes) -> SubjectKey:
        """A usable key from a row of `data_key`."""
        context = _context(tenant_id, subject_id, version)
        aead = self._known.get(context + wrapped)
        if aead is None:
            aead = AESGCM(self.provider.unwrap(wrapped, context))
            if len(self._known) >= _CACHE_MAX:
                self._known.clear()
            self._known[context + wrapped] = aead
        return SubjectKey(version, aead)

    async def _read(self, session: AsyncSession, tenant_id: UUID, subjects: list[UUID]) -> dict[UUID, SubjectKey]:
        rows = await session.execute(_NEWEST, {"tenant_id": tenant_id, "subjects": subjects})
        return {row.subject_id: self.unlock(tenant_id, row.subject_id, row.version, row.wrapped) for row in rows}

    async def _make(self, session: TenantSession, tenant_id: UUID, subjects: list[UUID]) -> None:
        # A version is never used again, so that what an erased key has sealed is not taken for this one's.
        version = time.time_ns() // 1_000_000
        rows = [
            {
                "tenant_id": tenant_id,
                "subject_id": subject,
                "version": version,
                "wrapped": self.provider.wrap(AESGCM.generate_key(256), _context(tenant_id, subject, version)),
                "kek_id": self.provider.kek_id,
            }
            for subject in subjects
        ]
        await session.execute(_INSERT, rows)  # two at once make two keys; each says which one it has used

    async def of_versions(
        self, session: AsyncSession, wanted: Iterable[tuple[UUID, UUID, int]]
    ) -> dict[tuple[UUID, UUID, int], SubjectKey]:
        """Keys by (tenant, subject, version); one whose row was destroyed is absent."""
        triples = sorted(set(wanted))
        if not triples:
            return {}
        rows = await session.execute(
            _BY_VERSION,
            {
                "tenants": [triple[0] for triple in triples],
                "subjects": [triple[1] for triple in triples],
                "versions": [triple[2] for triple in triples],
            },
        )
        return {
            (row.tenant_id, row.subject_id, row.version): self.unlock(
                row.tenant_id, row.subject_id, row.version, row.wrapped
            )
            for row in rows
        }


_NEWEST: Final = text(  # bounded: by the subjects asked for
    "select distinct on (subject_id) subject_id, version, wrapped from app.data_key"
    " where tenant_id = :tenant_id and subject_id = any(cast(:subjects as uuid[]))"
    " order by subject_id, version desc"
)
_INSERT: Final = text(
    "insert into app.data_key (tenant_id, subject_id, version, wrapped, kek_id)"
    " values (:tenant_id, :subject_id, :version, :wrapped, :kek_id) on conflict do nothing"
)
_BY_VERSION: Final = text(  # bounded: by the versions asked for
    "select k.tenant_id, k.subject_id, k.version, k.wrapped from app.data_key k"
    " join unnest(cast(:tenants as uuid[]), cast(:subjects as uuid[]), cast(:versions as bigint[]))"
    " as w(tenant_id, subject_id, version) using (tenant_id, subject_id, version)"
)


async def destroy_keys(session: TenantSession, subjects: Iterable[UUID]) -> None:
    """Erase: what was sealed under these subjects can never be read again."""
    await session.execute(_DESTROY, {"tenant_id": tenant_of(session), "subjects": sorted(set(subjects))})


_DESTROY: Final = text(
    "delete from app.data_key where tenant_id = :tenant_id and subject_id = any(cast(:subjects as uuid[]))"
)


def _context(tenant_id: UUID, subject_id: UUID, version: int) -> bytes:
    return f"{tenant_id}|data_key|{subject_id}|{version}".encode()
