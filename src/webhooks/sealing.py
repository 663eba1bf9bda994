"""An endpoint's signing secrets: the current one and those within their grace, sealed under the tenant's key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from storage.encryption import KeyRing, SubjectKey, place_of
from storage.session import TenantSession, tenant_of
from webhooks.signing import MAX_KEYS, SigningKey, new_secret, read_key


class Secret(Struct, frozen=True):
    """One secret and until when it signs; the current one has no end."""

    text: str
    ends_at: datetime | None = None

    def __repr__(self) -> str:
        return "Secret()"


class Sealed(Struct, frozen=True):
    """Secrets as the endpoint's row keeps them."""

    key_version: int
    secrets: bytes


class KeySet(Struct, frozen=True):
    """Secrets ready to sign with, the current one first."""

    keys: tuple[tuple[SigningKey, datetime | None], ...]

    def active(self, now: datetime) -> tuple[SigningKey, ...]:
        """The keys that sign at an instant."""
        return tuple(key for key, ends_at in self.keys if ends_at is None or ends_at > now)


_ENCODE: Final = msgspec.json.encode
_DECODER: Final = msgspec.json.Decoder(tuple[Secret, ...])


def first() -> tuple[Secret, ...]:
    """The secrets of a new endpoint."""
    return (Secret(new_secret()),)


def rotated(secrets: Sequence[Secret], ends_at: datetime, now: datetime) -> tuple[Secret, ...]:
    """A new secret before the old ones, which sign until `ends_at` at most; the oldest give way."""
    kept = [
        Secret(secret.text, ends_at if secret.ends_at is None else min(secret.ends_at, ends_at)) for secret in secrets
    ]
    return (Secret(new_secret()), *[secret for secret in kept if secret.ends_at is not None and secret.ends_at > now])[
        :MAX_KEYS
    ]


async def seal(session: TenantSession, ring: KeyRing, endpoint_id: UUID, secrets: Sequence[Secret]) -> Sealed:
    """Seal secrets for an endpoint's row."""
    tenant_id = tenant_of(session)
    key = (await ring.current(session, [tenant_id]))[tenant_id]
    return Sealed(key.version, key.seal(_ENCODE(secrets), _place(tenant_id, endpoint_id)))


async def read(session: TenantSession, ring: KeyRing, endpoint_id: UUID, sealed: Sealed) -> tuple[Secret, ...]:
    """Read an endpoint's secrets, to change them."""
    tenant_id = tenant_of(session)
    triple = (tenant_id, tenant_id, sealed.key_version)
    key = (await ring.of_versions(session, [triple]))[triple]
    return _DECODER.decode(key.open(sealed.secrets, _place(tenant_id, endpoint_id)))


def key_set(key: SubjectKey, tenant_id: UUID, endpoint_id: UUID, sealed: bytes) -> KeySet:
    """Read an endpoint's secrets, to sign with them; raises SealBroken."""
    secrets = _DECODER.decode(key.open(sealed, _place(tenant_id, endpoint_id)))
    return KeySet(tuple((read_key(secret.text), secret.ends_at) for secret in secrets))


def _place(tenant_id: UUID, endpoint_id: UUID) -> bytes:
    return place_of(tenant_id, "endpoint", endpoint_id, "secrets")
