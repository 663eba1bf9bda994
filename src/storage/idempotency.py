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
from storage.encryption import KeyRing, SubjectKey, place_of
from storage.session import TenantSession, memory, tenant_of

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


class Opening:
    """What taking the key has found on its way: the tenant's business time, and its own data key."""

    def __init__(self) -> None:
        self.now_at: datetime | None = None
        self.key: SubjectKey | None = None


_ENCODE: Final = msgspec.msgpack.encode
_DECODE: Final = msgspec.msgpack.Decoder(Kept)


async def begin(session: TenantSession, ring: KeyRing, caller: str, key: str, fingerprint: bytes) -> Kept | None:
    """Take the key for this transaction, or return what was answered before.

    Raises IdempotencyKeyReused when the key belongs to another request.
    """
    tenant_id = tenant_of(session)
    values = {"tenant_id": tenant_id, "caller": caller, "key": key, "fingerprint": fingerprint}
    taken = (await session.execute(_TAKE, values)).one()
    opening = memory(session, Opening)
    opening.now_at = taken.now_at
    if taken.wrapped is not None:
        opening.key = ring.unlock(tenant_id, tenant_id, taken.version, taken.wrapped)
    if taken.is_ours:
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
    data_key = memory(session, Opening).key or (await ring.current(session, [tenant_id]))[tenant_id]
    sealed = data_key.seal(_ENCODE(answer), _place(tenant_id, caller, key))
    values = {
        "tenant_id": tenant_id, "caller": caller, "key": key,
        "status": answer.status, "version": data_key.version, "sealed": sealed,
    }  # fmt: skip
    await session.execute(_KEEP, values)


def _place(tenant_id: UUID, caller: str, key: str) -> bytes:
    return place_of(tenant_id, "idempotency", UUID(int=0), f"{caller}|{key}")


# One round trip opens the request: it takes the key and brings what the rest of the request needs.
_TAKE: Final = text("""
with taken as (
  insert into app.idempotency (tenant_id, caller, key, fingerprint)
  values (:tenant_id, :caller, :key, :fingerprint) on conflict do nothing returning 1
)
select exists (select from taken) as is_ours,
       coalesce((select now_at from app.business_clock where tenant_id = :tenant_id), clock_timestamp()) as now_at,
       k.version, k.wrapped
from (select) as one left join lateral (
  select version, wrapped from app.data_key
  where tenant_id = :tenant_id and subject_id = :tenant_id order by version desc limit 1
) k on true
""")
_READ: Final = text(
    "select fingerprint, key_version, sealed from app.idempotency"
    " where tenant_id = :tenant_id and caller = :caller and key = :key"
)
_KEEP: Final = text(
    "update app.idempotency set status = :status, key_version = :version, sealed = :sealed"
    " where tenant_id = :tenant_id and caller = :caller and key = :key"
)
