"""Idempotency keys: the answer to a request is kept in the transaction of its effect, sealed under the tenant's key.

Two equal requests at once: the second waits on the first one's unique key, then replays its answer
(draft-ietf-httpapi-idempotency-key-header-07; reference/reliability 5.6).
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from kernel.errors import Conflict, Invalid
from storage.base import Base
from storage.encryption import KeyRing, place_of
from storage.session import TenantSession, tenant_of

RETENTION: Final = timedelta(days=30)
MAX_KEY: Final = 255


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_key_reused"
    remedy = "Use a new key for a new request; send exactly the same request to repeat one."


class IdempotencyKeyInUse(Conflict):
    """A request with this Idempotency-Key is still being carried out."""

    code = "idempotency_key_in_use"
    remedy = "Wait a moment and send the same request again."


class IdempotencyRow(Base):
    """One request that had an effect, and what was answered."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_recorded_at", "recorded_at"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None] = mapped_column(BigInteger)
    key_version: Mapped[int | None] = mapped_column(BigInteger)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Kept(Struct, frozen=True):
    """An answer as it was given: status, headers worth repeating, body."""

    status: int
    headers: dict[str, str]
    body: bytes


_ENCODE: Final = msgspec.msgpack.encode
_DECODE: Final = msgspec.msgpack.Decoder(Kept)


async def begin(
    session: TenantSession, ring: KeyRing, caller: str, key: str, fingerprint: bytes
) -> Kept | None:
    """Take the key for this transaction, or return what was answered before.

    Raises IdempotencyKeyReused when the key belongs to another request.
    """
    tenant_id = tenant_of(session)
    values = {"tenant_id": tenant_id, "caller": caller, "key": key, "fingerprint": fingerprint}
    if (await session.execute(_TAKE, values)).first() is not None:
        return None
    row = (await session.execute(_READ, values)).first()
    if row is None or row.sealed is None:  # swept in between, or its transaction has not ended
        raise IdempotencyKeyInUse
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    keys = await ring.of_versions(session, [(tenant_id, tenant_id, row.key_version)])
    plain = keys[tenant_id, tenant_id, row.key_version].open(row.sealed, _place(tenant_id, caller, key))
    return _DECODE.decode(plain)


async def finish(session: TenantSession, ring: KeyRing, caller: str, key: str, answer: Kept) -> None:
    """Keep the answer; in the same transaction as what it answers for."""
    tenant_id = tenant_of(session)
    data_key = (await ring.current(session, [tenant_id]))[tenant_id]
    sealed = data_key.seal(_ENCODE(answer), _place(tenant_id, caller, key))
    values = {
        "tenant_id": tenant_id, "caller": caller, "key": key,
        "status": answer.status, "version": data_key.version, "sealed": sealed,
    }  # fmt: skip
    await session.execute(_KEEP, values)


def _place(tenant_id: UUID, caller: str, key: str) -> bytes:
    return place_of(tenant_id, "idempotency", UUID(int=0), f"{caller}|{key}")


_TAKE: Final = text(
    "insert into app.idempotency (tenant_id, caller, key, fingerprint)"
    " values (:tenant_id, :caller, :key, :fingerprint) on conflict do nothing returning 1"
)
_READ: Final = text(
    "select fingerprint, key_version, sealed from app.idempotency"
    " where tenant_id = :tenant_id and caller = :caller and key = :key"
)
_KEEP: Final = text(
    "update app.idempotency set status = :status, key_version = :version, sealed = :sealed"
    " where tenant_id = :tenant_id and caller = :caller and key = :key"
)
