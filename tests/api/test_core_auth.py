"""Who is let in, who is told nothing, and what is kept of it."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy import text

from api.resources import ApiSettings, Resources
from kernel import ids
from kernel.clock import system_now
from storage.database import Database
from support.api import BASE_URL, app_of, client_of, make_key
from support.tenants import CAUSE
from tenants import keys, tokens
from tenants.models import TenantKind


@pytest.fixture
async def forgetful(resources: Resources) -> AsyncGenerator[Litestar]:
    """An application that looks every key up, so that a test need not wait until it has forgotten one."""
    app = app_of(resources, ApiSettings(public_url=BASE_URL, key_cache_s=0.0))
    async with app.lifespan():
        yield app


async def access_rows(database: Database, tenant_id: UUID) -> list[tuple[str, str, str, str]]:
    async with database.tenant(tenant_id, CAUSE) as session:
        found = await session.execute(
            text(
                "select caller, action, outcome, detail from app.access_row where tenant_id = :t order by id limit 50"
            ),
            {"t": tenant_id},
        )
        return [(row.caller, row.action, row.outcome, row.detail) for row in found]


async def test_every_refusal_of_a_credential_looks_the_same(
    forgetful: Litestar, database: Database, tenant_id: UUID
) -> None:
    good = await make_key(database, tenant_id)
    key = tokens.read(good)
    assert key is not None
    other_secret = tokens.make(TenantKind.SANDBOX, key.key_id).text
    unknown = tokens.make(TenantKind.SANDBOX, ids.new_id()).text
    mistyped = good[:-1] + ("a" if good[-1] != "a" else "b")
    headers: list[dict[str, str]] = [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}]
    headers += [{"Authorization": f"Bearer {secret}"} for secret in (other_secret, unknown, mistyped, "x" * 5_000)]
    bodies: set[bytes] = set()
    for each in headers:
        async with client_of(forgetful, None, **each) as client:
            answer = await client.get("/v1/tenant")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="relance"'
        bodies.add(answer.content)
    assert len(bodies) == 1
    async with client_of(forgetful, good) as client:
        assert (await client.get("/v1/tenant")).status_code == 200
    name = ids.encode("key", key.key_id)
    assert await access_rows(database, tenant_id) == [(name, "authenticate", "refused", "wrong_secret")]


async def test_a_key_works_until_it_is_revoked(forgetful: Litestar, database: Database, tenant_id: UUID) -> None:
    secret = await make_key(database, tenant_id)
    key = tokens.read(secret)
    assert key is not None
    async with client_of(forgetful, secret) as client:
        assert (await client.get("/v1/tenant")).status_code == 200
        async with database.tenant(tenant_id, CAUSE) as session:
            await keys.revoke(session, key.key_id, system_now())
        for _ in range(3):
            assert (await client.get("/v1/tenant")).status_code == 401
    refused = (ids.encode("key", key.key_id), "authenticate", "refused", "revoked")
    assert await access_rows(database, tenant_id) == [refused]  # a loop of refusals is one row a minute


async def test_a_key_ends_when_it_expires(
    app: Litestar, forgetful: Litestar, database: Database, tenant_id: UUID
) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        now = system_now()
        made = await keys.create(
            session, name="short", scopes=["tenant:read"], now=now, expires_at=now + timedelta(hours=1)
        )
    async with client_of(app, made.secret) as client:
        assert (await client.get("/v1/tenant")).status_code == 200
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(
            text("update app.api_key set expires_at = clock_timestamp() - interval '1 second' where tenant_id = :t"),
            {"t": tenant_id},
        )
    async with client_of(forgetful, made.secret) as client:
        assert (await client.get("/v1/tenant")).status_code == 401


async def test_a_key_opens_its_own_tenant_and_no_other(
    alice: AsyncClient, bob: AsyncClient, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    assert (await alice.get("/v1/tenant")).json()["id"] == ids.encode("ten", tenant_id)
    assert (await bob.get("/v1/tenant")).json()["id"] == ids.encode("ten", other_tenant_id)


async def test_a_missing_scope_is_named_refused_and_kept(app: Litestar, database: Database, tenant_id: UUID) -> None:
    secret = await make_key(database, tenant_id, "tenant:read")
    key = tokens.read(secret)
    assert key is not None
    async with client_of(app, secret) as client:
        assert (await client.get("/v1/tenant")).status_code == 200
        for _ in range(2):
            answer = await client.get("/v1/api_keys")
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert "api_keys:read" in answer.json()["detail"]
    kept = (ids.encode("key", key.key_id), "listApiKeys", "forbidden", "api_keys:read")
    assert await access_rows(database, tenant_id) == [kept]


async def test_the_day_of_use_is_kept_once(app: Litestar, database: Database, tenant_id: UUID) -> None:
    secret = await make_key(database, tenant_id)
    async with client_of(app, secret) as client:
        await client.get("/v1/tenant")
        await client.get("/v1/tenant")
    async with database.tenant(tenant_id, CAUSE) as session:
        row = (await session.execute(text("select last_used_on, version from app.api_key limit 1"))).one()
    assert (row.last_used_on, row.version) == (system_now().date(), 1)


async def test_health_and_documents_ask_for_no_key(app: Litestar) -> None:
    async with client_of(app, None) as client:
        for address in ("/health/live", "/health/ready", "/health/startup", "/docs", "/openapi.json", "/docs/problems"):
            assert (await client.get(address)).status_code == 200, address
        assert (await client.get("/v1/nothing")).status_code == 404
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 404
        metrics = await client.get("/metrics", headers={"Authorization": "Bearer metrics-token"})
    assert metrics.status_code == 200
    assert 'route="/health/live"' in metrics.text
