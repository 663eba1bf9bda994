"""Over all operations, also those that are added later: scopes, absent ids, the shape of every refusal."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from api import openapi
from api.edge import Api
from kernel import ids
from kernel.clock import system_now
from storage.database import Database
from support.api import BASE_URL, client_of, number_events
from support.tenants import CAUSE, NOW
from tenants import clocks, keys
from tenants.caller import SCOPES

PREFIXES = ("key", "job", "evt", "inv", "dbt", "crd", "hld", "tsk", "pol", "crs", "msg", "rcp", "crn", "ten")


class Operation:
    """One operation of the document."""

    def __init__(self, path: str, method: str, said: Mapping[str, Any]) -> None:
        self.path, self.method, self.said = path, method, said
        self.scope: str | None = said["security"][0]["apiKey"][0] if said["security"] else None
        self.parameters: list[str] = [each["name"] for each in said["parameters"] if each["in"] == "path"]

    async def call(self, client: AsyncClient, object_id: str, body: object = None) -> Response:
        address = re.sub(r"\{[^}]+\}", object_id, self.path)
        has_body = "requestBody" in self.said
        headers = {"If-Match": "*"} | ({"Idempotency-Key": ids.new_id().hex} if self.method == "POST" else {})
        return await client.request(self.method, address, json=(body or {}) if has_body else None, headers=headers)

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture
def operations(app: Litestar) -> list[Operation]:
    assert isinstance(app, Api)
    paths: dict[str, dict[str, Any]] = openapi.document(app, BASE_URL)["paths"]
    return [
        Operation(path, method.upper(), said) for path, methods in paths.items() for method, said in methods.items()
    ]


@pytest.fixture
async def secrets(database: Database, tenant_id: UUID) -> dict[frozenset[str], str]:
    """A key with each scope alone, and one with all but each."""
    found: dict[frozenset[str], str] = {}
    async with database.tenant(tenant_id, CAUSE) as session:
        for scope in SCOPES:
            for scopes in (frozenset({scope}), SCOPES - {scope}):
                made = await keys.create(session, name="matrix", scopes=scopes, now=system_now())
                assert made.secret is not None
                found[scopes] = made.secret
    return found


async def test_an_operation_is_forbidden_exactly_without_its_scope(
    app: Litestar, operations: list[Operation], secrets: dict[frozenset[str], str]
) -> None:
    assert len(operations) > 10
    nowhere = ids.encode("key", ids.new_id())
    for operation in operations:
        if operation.scope is None:
            continue
        async with client_of(app, secrets[SCOPES - {operation.scope}]) as client:
            without = await operation.call(client, nowhere)
        async with client_of(app, secrets[frozenset({operation.scope})]) as client:
            alone = await operation.call(client, nowhere)
        assert without.status_code == 403, operation
        assert alone.status_code not in (401, 403, 405, 500), operation
        assert str(alone.status_code) in operation.said["responses"], operation


async def test_without_a_key_every_operation_answers_alike(app: Litestar, operations: list[Operation]) -> None:
    async with client_of(app, None) as client:
        bodies = {(await each.call(client, "x")).content for each in operations if each.scope is not None}
    assert len(bodies) == 1


async def test_what_is_no_id_is_like_an_id_of_nothing(alice: AsyncClient, operations: list[Operation]) -> None:
    for operation in operations:
        if operation.scope is None or not operation.parameters or "requestBody" in operation.said:
            continue
        absent = [await operation.call(alice, ids.encode(prefix, ids.new_id())) for prefix in PREFIXES]
        assert {answer.status_code for answer in absent} == {404}, operation
        answers = [await operation.call(alice, text) for text in ("x", "key_", "KEY_01", "é", "%20", "a" * 300)]
        assert {answer.status_code for answer in answers} == {404}, operation
        assert len({answer.content for answer in answers}) == 1, operation


async def test_another_tenants_objects_do_not_exist(
    alice: AsyncClient, bob: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        job = await clocks.advance(session, NOW + timedelta(days=1))
    await number_events(database)
    key = (await alice.get("/v1/api_keys")).json()["data"][0]["id"]
    event = (await alice.get("/v1/events")).json()["data"][0]["id"]
    for address, kind in (
        (f"/v1/api_keys/{key}", "key"),
        (f"/v1/jobs/{job.id}", "job"),
        (f"/v1/events/{event}", "evt"),
    ):
        absent = re.sub(r"[^/]+$", ids.encode(kind, ids.new_id()), address)
        mine, foreign, none = await alice.get(address), await bob.get(address), await bob.get(absent)
        assert (mine.status_code, foreign.status_code, none.status_code) == (200, 404, 404)
        assert foreign.content == none.content
    verbs: list[tuple[str, dict[str, int] | None]] = [("rotate", {"grace_s": 0}), ("revoke", None)]
    for verb, body in verbs:
        foreign = await bob.post(f"/v1/api_keys/{key}/{verb}", json=body)
        none = await bob.post(f"/v1/api_keys/{ids.encode('key', ids.new_id())}/{verb}", json=body)
        assert (foreign.status_code, foreign.content) == (404, none.content)
    assert key not in (await bob.get("/v1/api_keys?limit=100")).text
    assert (await bob.get(f"/v1/events?object={key}")).json()["data"] == []
    assert len((await alice.get(f"/v1/events?object={key}")).json()["data"]) == 1
