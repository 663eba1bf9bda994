"""A request that is sent twice has its effect once, whatever happened in between."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar
from sqlalchemy import text

from api.resources import Resources
from storage.database import Database
from support.api import app_of, client_of, make_key
from support.planted import Things
from support.tenants import CAUSE

THING = {"name": "a", "currency": "EUR"}


@pytest.fixture
async def app(resources: Resources) -> AsyncGenerator[Litestar]:
    app = app_of(resources, controllers=[Things])
    async with app.lifespan():
        yield app


async def effects(database: Database, tenant_id: UUID) -> int:
    async with database.tenant(tenant_id, CAUSE) as session:
        return (await session.execute(text("select used from app.send_budget limit 1"))).scalar_one()


async def send(client: AsyncClient, key: str, **changes: str) -> Response:
    return await client.post("/v1/things", json=THING | changes, headers={"Idempotency-Key": key})


async def test_a_repeat_is_answered_alike_and_has_no_effect(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    first, again = await send(alice, "k"), await send(alice, '"k"')  # quoted, as the draft has it, is the same key
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    for name in ("ETag", "Location", "Content-Type", "Relance-Version"):
        assert first.headers[name] == again.headers[name]
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert first.headers["Request-Id"] != again.headers["Request-Id"]
    assert await effects(database, tenant_id) == 1
    assert (await send(alice, "another")).status_code == 201
    assert await effects(database, tenant_id) == 2


async def test_the_same_body_written_otherwise_is_the_same_request(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    assert (await send(alice, "k")).status_code == 201
    answer = await alice.post("/v1/things", content=b'{"currency" : "E\\u0055R",\n "name":"a"}', headers=headers)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    assert await effects(database, tenant_id) == 1


async def test_a_key_belongs_to_one_request(alice: AsyncClient, database: Database, tenant_id: UUID) -> None:
    assert (await send(alice, "k")).status_code == 201
    other = await send(alice, "k", name="b")
    elsewhere = await alice.post("/v1/things/x/touch", headers={"Idempotency-Key": "k"})
    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await effects(database, tenant_id) == 1


async def test_callers_and_tenants_do_not_share_keys(
    app: Litestar, alice: AsyncClient, bob: AsyncClient, database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    async with client_of(app, await make_key(database, tenant_id)) as colleague:
        for client in (alice, bob, colleague):
            assert "Idempotency-Replayed" not in (await send(client, "k")).headers
    assert (await effects(database, tenant_id), await effects(database, other_tenant_id)) == (2, 1)


async def test_a_failure_is_not_kept_and_leaves_nothing(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    for _ in range(2):
        refused = await send(alice, "k", name="conflict")
        assert (refused.status_code, refused.json()["code"]) == (409, "planted_conflict")
    broken = await send(alice, "k", name="bug")
    assert (broken.status_code, broken.json()["code"]) == (500, "internal")
    assert b"machine room" not in broken.content
    assert await effects(database, tenant_id) == 0
    assert (await send(alice, "k")).status_code == 201
    assert await effects(database, tenant_id) == 1


async def test_a_commit_that_fails_is_seen_by_the_caller(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    for headers in ({"Idempotency-Key": "k"}, {"Idempotency-Key": "l"}):
        broken = await alice.post("/v1/things", json=THING | {"name": "late"}, headers=headers)
        assert (broken.status_code, broken.json()["code"]) == (500, "internal")
        assert b"kill_switch" not in broken.content
    assert await effects(database, tenant_id) == 0
    assert (await send(alice, "k")).status_code == 201


async def test_two_at_once_have_one_effect(alice: AsyncClient, database: Database, tenant_id: UUID) -> None:
    answers = await asyncio.gather(*(send(alice, "k") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 5
    assert await effects(database, tenant_id) == 1


async def test_where_money_moves_the_key_must_come(alice: AsyncClient, database: Database, tenant_id: UUID) -> None:
    missing = await alice.post("/v1/things", json=THING)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    assert await effects(database, tenant_id) == 0
    assert (await alice.post("/v1/things/x/touch")).status_code == 200  # here it may


@pytest.mark.parametrize("key", ["", " ", '""', "a b", "é", "x" * 256, 'a"b', "a\\b"])
async def test_a_key_is_visible_text(alice: AsyncClient, key: str) -> None:
    answer = await alice.post("/v1/things", json=THING, headers=[(b"Idempotency-Key", key.encode())])
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert (await send(alice, "x" * 255)).status_code == 201


async def test_a_secret_is_answered_once(resources: Resources, database: Database, tenant_id: UUID) -> None:
    app = app_of(resources)
    body, headers = {"name": "k", "scopes": ["tenant:read"]}, {"Idempotency-Key": "k"}
    async with app.lifespan(), client_of(app, await make_key(database, tenant_id)) as client:
        first = await client.post("/v1/api_keys", json=body, headers=headers)
        again = await client.post("/v1/api_keys", json=body, headers=headers)
    assert first.json()["secret"].startswith("rel_test_")
    assert again.json() == first.json() | {"secret": None}


async def test_a_kept_answer_stands_sealed(alice: AsyncClient, database: Database, tenant_id: UUID) -> None:
    await send(alice, "k", name="Dupont")
    async with database.tenant(tenant_id, CAUSE) as session:
        row = (await session.execute(text("select status, sealed from app.idempotency limit 1"))).one()
    assert (row.status, b"Dupont" in row.sealed) == (201, False)
