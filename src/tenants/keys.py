"""API keys: made, rotated, revoked, recognised. Expiry is system time: a test clock ends no credential."""

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from kernel.clock import system_now
from kernel.errors import PreconditionFailed, Unauthenticated
from storage.events import emit
from storage.session import DirectorySession, TenantSession, tenant_of
from tenants import access, tokens
from tenants.caller import Caller, scopes_of
from tenants.errors import ApiKeyNotActive, KeyRefused, ScopeNotHeld
from tenants.events import ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated
from tenants.models import ApiKey
from tenants.views import ApiKeyView, NewApiKey

API_VERSION: Final = "2026-11-01"  # what a new key is pinned to
MAX_GRACE: Final = timedelta(days=30)


class Verified(Struct, frozen=True):
    """Whose key a token is, and what it may do."""

    tenant_id: UUID
    key_id: UUID
    caller: Caller
    api_version: str
    expires_at: datetime | None
    was_used_today: bool


async def create(
    session: TenantSession,
    *,
    name: str,
    scopes: Iterable[str],
    now: datetime,
    by: Caller | None = None,
    expires_at: datetime | None = None,
    api_version: str = API_VERSION,
) -> NewApiKey:
    """Make a key; `by` can only pass on scopes that it has. Raises ScopeUnknown, ScopeNotHeld."""
    wanted = scopes_of(scopes)
    if by is not None and not wanted <= by.scopes:
        raise ScopeNotHeld(f"Not held: {' '.join(sorted(wanted - by.scopes))}.")
    row, secret = await _make(session, name, wanted, expires_at, api_version)
    after = ApiKeyView.of(row)
    emit(session, ApiKeyCreated(after, None, now))
    return NewApiKey(api_key=after, secret=secret)


async def rotate(
    session: TenantSession, key_id: UUID, *, grace: timedelta, now: datetime, expected_version: int | None = None
) -> NewApiKey:
    """Replace a key by one of the same scopes; the old one works for a while longer."""
    old = await _active(session, key_id, expected_version)
    before = ApiKeyView.of(old)
    new, secret = await _make(session, old.name, frozenset(old.scopes.split()), old.expires_at, old.api_version)
    ends_at = system_now() + min(grace, MAX_GRACE)
    old.expires_at = ends_at if old.expires_at is None else min(old.expires_at, ends_at)
    old.version += 1
    after = ApiKeyView.of(new)
    emit(session, ApiKeyCreated(after, None, now))
    emit(session, ApiKeyRotated(ApiKeyView.of(old), before, now))
    return NewApiKey(api_key=after, secret=secret)


async def revoke(
    session: TenantSession, key_id: UUID, now: datetime, *, expected_version: int | None = None
) -> ApiKeyView:
    """End a key now; processes that have just recognised it may still do so for KNOWN_FOR_S."""
    row = await _active(session, key_id, expected_version)
    before = ApiKeyView.of(row)
    row.revoked_at, row.version = system_now(), row.version + 1
    after = ApiKeyView.of(row)
    emit(session, ApiKeyRevoked(after, before, now))
    return after


async def verify(session: DirectorySession, token: str) -> Verified:
    """Recognise a key by its text; raises Unauthenticated, and KeyRefused where a known key is refused."""
    read = tokens.read(token)
    if read is None:
        raise Unauthenticated
    row = (await session.execute(_FIND, {"key_id": read.key_id})).first()
    if row is None:
        raise Unauthenticated
    now = system_now()
    if not hmac.compare_digest(row.hash, read.digest):
        raise KeyRefused(row.tenant_id, read.key_id, "wrong_secret")
    if row.revoked_at is not None:
        raise KeyRefused(row.tenant_id, read.key_id, "revoked")
    if row.expires_at is not None and row.expires_at <= now:
        raise KeyRefused(row.tenant_id, read.key_id, "expired")
    caller = Caller(kind="api_key", id=ids.encode("key", read.key_id), scopes=frozenset(row.scopes.split()))
    used_today = row.last_used_on is not None and row.last_used_on >= now.date()
    return Verified(row.tenant_id, read.key_id, caller, row.api_version, row.expires_at, used_today)


async def mark_used(session: TenantSession, key_id: UUID) -> None:
    """Remember the day on which a key was last used: coarse, so that a busy key is written once a day."""
    await session.execute(_MARK_USED, {"tenant_id": tenant_of(session), "key_id": key_id})


_FIND: Final = text("select * from app.find_api_key(:key_id) limit 1")
_MARK_USED: Final = text(
    "update app.api_key set last_used_on = (clock_timestamp() at time zone 'utc')::date"
    " where tenant_id = :tenant_id and id = :key_id"
    " and (last_used_on is null or last_used_on < (clock_timestamp() at time zone 'utc')::date)"
)


async def _make(
    session: TenantSession, name: str, scopes: frozenset[str], expires_at: datetime | None, api_version: str
) -> tuple[ApiKey, str]:
    tenant = await access.tenant(session)
    token = tokens.make(tenant.kind, ids.new_id())
    row = ApiKey(
        tenant_id=tenant.tenant_id,
        id=token.key_id,
        version=1,
        name=name,
        hash=token.digest,
        last4=token.text[-4:],
        scopes=" ".join(sorted(scopes)),
        api_version=api_version,
        expires_at=expires_at,
    )
    session.add(row)
    return row, token.text


async def _active(session: TenantSession, key_id: UUID, expected_version: int | None) -> ApiKey:
    row = await access.api_key(session, key_id, lock=True)
    if expected_version is not None and expected_version != row.version:
        raise PreconditionFailed
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= system_now()):
        raise ApiKeyNotActive
    return row
