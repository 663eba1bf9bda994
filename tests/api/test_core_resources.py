"""The resources of the core: the tenant, its keys, its clock, its jobs, its events."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from httpx import AsyncClient
from litestar import Litestar

from kernel import ids
from kernel.clock import system_now
from storage.database import Database
from support.api import client_of, make_key, number_events
from support.tenants import CAUSE, NOW, make_tenant
from tenants import keys


async def test_a_mode_is_set_on_the_version_that_was_read(alice: AsyncClient) -> None:
    tenant = await alice.get("/v1/tenant")
    assert tenant.json()["mode"] == "automatic"
    headers = {"If-Match": tenant.headers["ETag"]}
    changed = await alice.patch("/v1/tenant", json={"mode": "review"}, headers=headers)
    assert (changed.status_code, changed.json()["mode"], changed.json()["version"]) == (200, "review", 2)
    stale = await alice.patch("/v1/tenant", json={"mode": "off"}, headers=headers)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await alice.patch("/v1/tenant", json={"mode": "off"})).status_code == 428
    assert (await alice.patch("/v1/tenant", json={"mode": "on"}, headers={"If-Match": "*"})).status_code == 422
    nothing = await alice.patch("/v1/tenant", json={}, headers={"If-Match": "*"})
    assert (nothing.status_code, nothing.json()["version"]) == (200, 2)


async def test_a_switch_is_thrown_and_set_back(alice: AsyncClient, bob: AsyncClient) -> None:
    stopped = await alice.post("/v1/tenant/stop", json={"scope": "channel:email", "reason": "bounces"})
    assert stopped.status_code == 200
    assert {"scope": "channel:email", "stopped": True, "reason": "bounces"} in stopped.json()["switches"]
    assert all(not switch["stopped"] for switch in (await bob.get("/v1/tenant")).json()["switches"])
    resumed = await alice.post("/v1/tenant/resume", json={"scope": "channel:email"})
    assert all(not switch["stopped"] for switch in resumed.json()["switches"])
    unknown = await alice.post("/v1/tenant/stop", json={"scope": "channel:pigeon", "reason": "x"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "switch_unknown")


async def test_a_key_lives_from_creation_to_revocation(app: Litestar, alice: AsyncClient) -> None:
    made = await alice.post("/v1/api_keys", json={"name": "erp", "scopes": ["tenant:read", "jobs:*"]})
    assert made.status_code == 201
    key, secret = made.json()["api_key"], made.json()["secret"]
    assert key["scopes"] == ["jobs:read", "jobs:write", "tenant:read"]
    async with client_of(app, secret) as erp:
        assert (await erp.get("/v1/tenant")).status_code == 200
    read = await alice.get(f"/v1/api_keys/{key['id']}")
    assert (read.json(), secret in read.text) == (key, False)
    rotated = await alice.post(f"/v1/api_keys/{key['id']}/rotate", json={"grace_s": 0})
    assert (rotated.status_code, rotated.json()["secret"] != secret) == (201, True)
    gone = await alice.post(f"/v1/api_keys/{key['id']}/revoke")
    assert (gone.status_code, gone.json()["code"]) == (409, "api_key_not_active")
    new = rotated.json()["api_key"]["id"]
    stale = await alice.post(f"/v1/api_keys/{new}/revoke", headers={"If-Match": '"9"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    revoked = await alice.post(f"/v1/api_keys/{new}/revoke", headers={"If-Match": '"1"'})
    assert (revoked.status_code, revoked.headers["ETag"]) == (200, '"2"')


async def test_a_key_does_not_make_a_greater_one(app: Litestar, database: Database, tenant_id: UUID) -> None:
    async with client_of(app, await make_key(database, tenant_id, "api_keys:write", "tenant:read")) as client:
        small = await client.post("/v1/api_keys", json={"name": "a", "scopes": ["tenant:read"]})
        great = await client.post("/v1/api_keys", json={"name": "a", "scopes": ["tenant:write"]})
        unknown = await client.post("/v1/api_keys", json={"name": "a", "scopes": ["tenant:read", "all"]})
    assert small.status_code == 201
    assert (great.status_code, great.json()["code"]) == (403, "scope_not_held")
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/body/scopes/1")


async def test_a_walk_misses_nothing_while_keys_are_made_and_ended(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    body = {"name": "walked", "scopes": ["tenant:read"]}
    before = {(await alice.post("/v1/api_keys", json=body)).json()["api_key"]["id"] for _ in range(7)}
    seen: list[str] = []
    address: str | None = "/v1/api_keys?limit=2"
    while address is not None:
        answer = await alice.get(address)
        seen += [key["id"] for key in answer.json()["data"]]
        await make_key(database, tenant_id)
        if len(seen) == 2:
            async with database.tenant(tenant_id, CAUSE) as session:
                await keys.revoke(session, ids.decode("key", seen[0]), system_now())
        link = answer.headers.get("Link")
        address = None if link is None else link[1 : link.index(">")]
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


async def test_a_clock_is_advanced_by_a_job(alice: AsyncClient, bob: AsyncClient) -> None:
    clock = await alice.get("/v1/test_helpers/clock")
    assert (clock.status_code, clock.json()["now_at"]) == (200, "2026-03-02T09:00:00Z")
    to = (NOW + timedelta(days=60)).isoformat()
    accepted = await alice.post("/v1/test_helpers/clock/advance", json={"to": to})
    assert accepted.status_code == 202
    job = await alice.get(accepted.headers["Location"])
    assert (job.json()["kind"], job.json()["state"]) == ("clock.advance", "queued")
    assert "ETag" not in job.headers  # its progress is no version
    assert (await bob.get(accepted.headers["Location"])).status_code == 404
    again = await alice.post("/v1/test_helpers/clock/advance", json={"to": to})
    assert (again.status_code, again.json()["code"]) == (409, "clock_advancing")
    backwards = await bob.post("/v1/test_helpers/clock/advance", json={"to": NOW.isoformat()})
    assert (backwards.status_code, backwards.json()["code"]) == (422, "clock_target_invalid")


async def test_a_repeated_advance_names_the_same_job(alice: AsyncClient) -> None:
    body, headers = {"to": (NOW + timedelta(days=1)).isoformat()}, {"Idempotency-Key": "k"}
    first = await alice.post("/v1/test_helpers/clock/advance", json=body, headers=headers)
    again = await alice.post("/v1/test_helpers/clock/advance", json=body, headers=headers)
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])


async def test_real_time_has_no_test_clock(app: Litestar, database: Database) -> None:
    tenant_id = await make_tenant(database, now=None)
    async with client_of(app, await make_key(database, tenant_id)) as client:
        for answer in (
            await client.get("/v1/test_helpers/clock"),
            await client.post("/v1/test_helpers/clock/advance", json={"to": NOW.isoformat()}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "no_test_clock")


async def events(client: AsyncClient, query: str = "") -> list[dict[str, Any]]:
    return (await client.get(f"/v1/events?limit=100{query}")).json()["data"]


async def test_the_log_tells_every_change_in_order_with_its_cause(
    alice: AsyncClient, bob: AsyncClient, database: Database
) -> None:
    made = await alice.post("/v1/tenant/stop", json={"reason": "audit"})
    assert "tenant.stopped" not in [event["type"] for event in await events(alice)]  # not numbered yet
    await alice.post("/v1/tenant/resume", json={})
    await number_events(database)
    found = await events(alice)
    assert [event["log_position"] for event in found] == list(range(1, len(found) + 1))
    stopped, resumed = found[-2:]
    assert (stopped["type"], resumed["type"]) == ("tenant.stopped", "tenant.resumed")
    assert stopped["cause"]["request_id"] == made.headers["Request-Id"]
    assert stopped["cause"]["kind"] == "api_key"
    assert (stopped["object_id"], stopped["data"]) == (made.json()["id"], made.json())
    assert (stopped["sequence"], stopped["previous"]["version"]) == (2, 1)
    assert await events(alice, "&type=tenant.resumed") == [resumed]
    assert await events(alice, f"&object={stopped['object_id']}&type=tenant.stopped") == [stopped]
    assert await events(bob, f"&object={stopped['object_id']}") == []
    assert (await alice.get("/v1/events?object=ten_1")).status_code == 422
    one = await alice.get(f"/v1/events/{stopped['id']}")
    assert one.json() == stopped


async def test_the_last_cursor_goes_on_with_what_happens_later(alice: AsyncClient, database: Database) -> None:
    async def read(cursor: str | None, limit: int) -> dict[str, Any]:
        params: dict[str, str | int] = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        return (await alice.get("/v1/events", params=params)).json()

    await number_events(database)
    first = await read(None, 1)
    rest = await read(first["next_cursor"], 100)
    nothing = await read(rest["next_cursor"], 100)
    assert (first["has_more"], rest["has_more"], nothing["data"]) == (True, False, [])
    await alice.post("/v1/tenant/stop", json={"reason": "audit"})
    await number_events(database)
    later = await read(nothing["next_cursor"], 100)
    assert [event["type"] for event in later["data"]] == ["tenant.stopped"]
    positions = [event["log_position"] for page in (first, rest, later) for event in page["data"]]
    assert positions == list(range(1, len(positions) + 1))
