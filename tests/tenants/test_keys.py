"""Keys: made with what their maker has, replaced with a grace, ended for good."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from kernel import ids
from kernel.clock import system_now
from kernel.errors import PreconditionFailed, Unauthenticated
from storage.database import Database
from support.tenants import CAUSE, NOW
from tenants import access, keys, tokens
from tenants.caller import Caller
from tenants.errors import ApiKeyNotActive, ApiKeyNotFound, KeyRefused, ScopeNotHeld, ScopeUnknown
from tenants.models import TenantKind
from tenants.views import NewApiKey


async def make(database: Database, tenant_id: UUID, *scopes: str, by: Caller | None = None) -> NewApiKey:
    async with database.tenant(tenant_id, CAUSE) as session:
        return await keys.create(session, name="k", scopes=scopes or ("tenant:read",), now=NOW, by=by)


async def verify(database: Database, secret: str | None) -> keys.Verified:
    async with database.directory() as session:
        return await keys.verify(session, secret or "")


async def test_a_key_says_whose_it_is_and_what_it_may(database: Database, tenant_id: UUID) -> None:
    made = await make(database, tenant_id, "invoices:read", "tenant:*")
    found = await verify(database, made.secret)
    assert (found.tenant_id, found.caller.id, found.api_version) == (tenant_id, made.api_key.id, keys.API_VERSION)
    assert found.caller.scopes == {"invoices:read", "tenant:read", "tenant:write"}
    assert made.secret is not None
    assert made.api_key.last4 == made.secret[-4:]
    async with database.tenant(tenant_id, CAUSE) as session:
        row = await access.api_key(session, ids.decode("key", made.api_key.id))
        assert made.secret.encode() not in row.hash
        events = await session.execute(text("select payload from app.event where type = 'api_key.created' limit 5"))
        assert [made.secret in payload for payload in events.scalars()] == [False]


async def test_nobody_passes_on_what_he_has_not(database: Database, tenant_id: UUID) -> None:
    maker = Caller(kind="api_key", id="key_1", scopes=frozenset({"api_keys:write", "invoices:read"}))
    assert (await make(database, tenant_id, "invoices:read", by=maker)).secret
    for scopes in (("invoices:write",), ("*",)):
        with pytest.raises(ScopeNotHeld):
            await make(database, tenant_id, *scopes, by=maker)
    with pytest.raises(ScopeUnknown):
        await make(database, tenant_id, "everything:read", by=maker)


async def test_a_rotated_key_works_until_its_grace_is_over(database: Database, tenant_id: UUID) -> None:
    old = await make(database, tenant_id, "invoices:read")
    old_id = ids.decode("key", old.api_key.id)
    async with database.tenant(tenant_id, CAUSE) as session:
        new = await keys.rotate(session, old_id, grace=timedelta(hours=1), now=NOW)
    assert (new.api_key.scopes, new.api_key.name) == (old.api_key.scopes, old.api_key.name)
    assert (await verify(database, new.secret)).key_id != (await verify(database, old.secret)).key_id
    async with database.tenant(tenant_id, CAUSE) as session:
        left = (await access.api_key(session, old_id)).expires_at
        assert left is not None
        assert timedelta(minutes=59) < left - system_now() <= timedelta(hours=1)
        await keys.rotate(session, old_id, grace=timedelta(days=1), now=NOW)  # never prolongs
        assert (await access.api_key(session, old_id)).expires_at == left
        await keys.rotate(session, old_id, grace=timedelta(0), now=NOW)
    with pytest.raises(KeyRefused) as caught:
        await verify(database, old.secret)
    assert caught.value.why == "expired"
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(ApiKeyNotActive):
            await keys.rotate(session, old_id, grace=timedelta(0), now=NOW)


async def test_a_revoked_key_is_ended_for_good(database: Database, tenant_id: UUID) -> None:
    made = await make(database, tenant_id)
    key_id = ids.decode("key", made.api_key.id)
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(PreconditionFailed):
            await keys.revoke(session, key_id, NOW, expected_version=2)
        assert (await keys.revoke(session, key_id, NOW, expected_version=1)).version == 2
        for again in (keys.revoke(session, key_id, NOW), keys.rotate(session, key_id, grace=timedelta(1), now=NOW)):
            with pytest.raises(ApiKeyNotActive):
                await again
        with pytest.raises(ApiKeyNotFound):
            await keys.revoke(session, ids.new_id(), NOW)
    with pytest.raises(KeyRefused) as caught:
        await verify(database, made.secret)
    assert (caught.value.tenant_id, caught.value.key_id, caught.value.why) == (tenant_id, key_id, "revoked")


async def test_a_key_of_another_tenant_is_nobodys(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    made = await make(database, tenant_id)
    async with database.tenant(other_tenant_id, CAUSE) as session:
        with pytest.raises(ApiKeyNotFound):
            await keys.revoke(session, ids.decode("key", made.api_key.id), NOW)
    assert (await verify(database, made.secret)).tenant_id == tenant_id


async def test_a_guessed_secret_is_refused(database: Database, tenant_id: UUID) -> None:
    made = await make(database, tenant_id)
    guessed = tokens.make(TenantKind.SANDBOX, ids.decode("key", made.api_key.id))
    with pytest.raises(KeyRefused) as caught:
        await verify(database, guessed.text)
    assert caught.value.why == "wrong_secret"
    for text_ in (tokens.make(TenantKind.SANDBOX, ids.new_id()).text, "rel_test_x", ""):
        with pytest.raises(Unauthenticated) as unknown:
            await verify(database, text_)
        assert not isinstance(unknown.value, KeyRefused)
