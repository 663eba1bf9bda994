"""Endpoints and deliveries over HTTP: answers, refusals, ETags, one-time secrets, and another tenant's ids."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import text

from kernel import ids
from kernel.clock import system_now
from runtime.http import Http
from storage.database import Database
from support.receivers import Receiver, status
from support.webhooks import fan_out_all, key_of, make_endpoint, make_events, stamp
from webhooks.pumping import deliver

PATH = "/v1/webhook_endpoints"
NEW = {"url": "https://receiver.example.com/hook", "types": ["hold.*", "api_key.created"]}


async def create(client: AsyncClient, **changes: object) -> dict[str, Any]:
    answer = await client.post(PATH, json=NEW | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_create_read_list(alice: AsyncClient) -> None:
    made = await create(alice, description="For the books", timeout_s=30)
    shown = made["webhook_endpoint"]
    assert made["secret"].startswith("whsec_")
    assert (shown["state"], shown["types"], shown["version"]) == ("enabled", NEW["types"], 1)
    read = await alice.get(f"{PATH}/{shown['id']}")
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, shown, '"1"')
    assert "secret" not in read.text
    listed = (await alice.get(PATH)).json()
    assert (listed["data"], listed["has_more"]) == ([shown], False)


async def test_a_repeated_creation_shows_no_secret(alice: AsyncClient) -> None:
    first, again = [await alice.post(PATH, json=NEW, headers={"Idempotency-Key": "one-endpoint"}) for _ in range(2)]
    assert first.json()["secret"].startswith("whsec_")
    assert again.json() == first.json() | {"secret": None}
    assert len((await alice.get(PATH)).json()["data"]) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": "https://169.254.169.254/"}, "/url"),
        ({"url": "http://receiver.example.com/"}, "/url"),
        ({"types": ["nothing.*"]}, "/types/0"),
        ({"types": []}, "/types"),
        ({"timeout_s": 31}, "/timeout_s"),
        ({"api_version": "2020-01-01"}, "/api_version"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_creation_names_what_is_wrong(alice: AsyncClient, changes: dict[str, object], pointer: str) -> None:
    answer = await alice.post(PATH, json=NEW | changes)
    assert answer.status_code == 422
    assert [fault["pointer"].removeprefix("/body") for fault in answer.json()["errors"]] == [pointer]


async def test_update_with_and_without_the_version(alice: AsyncClient) -> None:
    address = f"{PATH}/{(await create(alice))['webhook_endpoint']['id']}"
    changed = await alice.patch(address, json={"types": ["*"]}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["types"], changed.headers["etag"]) == (200, ["*"], '"2"')
    late = await alice.patch(address, json={"types": ["hold.*"]}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    bad = await alice.patch(address, json={"url": "https://10.0.0.1/"})
    assert (bad.status_code, bad.json()["code"]) == (422, "webhook_endpoint_invalid")


async def test_disable_enable_ping_rotate_remove(alice: AsyncClient) -> None:
    made = await create(alice)
    address = f"{PATH}/{made['webhook_endpoint']['id']}"
    off = await alice.post(f"{address}/disable")
    assert (off.status_code, off.json()["state"], off.json()["disabled_code"]) == (200, "disabled", "requested")
    for verb in ("disable", "ping"):
        refused = await alice.post(f"{address}/{verb}")
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_not_enabled")
    on = await alice.post(f"{address}/enable", json={"catch_up": False})
    assert (on.status_code, on.json()["state"]) == (200, "enabled")
    assert (await alice.post(f"{address}/enable", json={})).json()["code"] == "webhook_endpoint_not_disabled"
    assert (await alice.post(f"{address}/ping")).status_code == 200
    turned = await alice.post(f"{address}/rotate_secret", json={"grace_s": 0})
    assert turned.status_code == 200
    assert turned.json()["secret"] not in (None, made["secret"])
    assert (await alice.post(f"{address}/rotate_secret", json={"grace_s": 604_801})).status_code == 422
    assert (await alice.delete(address)).status_code == 204
    assert (await alice.get(address)).status_code == 404
    assert (await alice.get(PATH)).json()["data"] == []


async def test_deliveries_attempts_retry_and_recovery(
    alice: AsyncClient, database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    receiver.always("/hook", status(500, body=b"not today"))
    await stamp(database)
    made = await make_endpoint(database, tenant_id, receiver.url())
    address = f"{PATH}/{made.webhook_endpoint.id}"
    await make_events(database, tenant_id, 2)
    await fan_out_all(database)
    await deliver(database, http)
    page = (await alice.get(f"{address}/deliveries", params={"state": "pending", "limit": 1})).json()
    assert (len(page["data"]), page["has_more"]) == (1, True)
    rest = (await alice.get(f"{address}/deliveries", params={"cursor": page["next_cursor"], "state": "pending"})).json()
    assert (len(rest["data"]), rest["has_more"]) == (1, False)
    assert (await alice.get(f"{address}/deliveries", params={"state": "delivered"})).json()["data"] == []
    assert (await alice.get(f"{address}/deliveries", params={"state": "leased"})).status_code == 422
    of_event = (await alice.get(f"{address}/deliveries", params={"event": page["data"][0]["event_id"]})).json()
    assert of_event["data"] == page["data"]
    one = f"/v1/deliveries/{rest['data'][0]['id']}"
    read = (await alice.get(one)).json()
    assert read["delivery"] == rest["data"][0]
    assert [(tried["status"], tried["response"]) for tried in read["attempts"]] == [(500, "not today")]
    receiver.always("/hook", status(204))
    again = await alice.post(f"{one}/retry")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (200, "pending", 0)
    await deliver(database, http)
    assert (await alice.get(one)).json()["delivery"]["state"] == "delivered"
    now = system_now()
    span = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}
    job = await alice.post(f"{address}/recover", json=span)
    assert (job.status_code, job.json()["kind"], job.json()["state"]) == (202, "webhook_endpoint.recover", "queued")
    assert (await alice.get(f"/v1/jobs/{job.json()['id']}")).status_code == 200
    turned = {"since": span["until"], "until": span["since"]}
    assert (await alice.post(f"{address}/recover", json=turned)).json()["code"] == "span_invalid"


async def test_foreign_endpoint_and_delivery_are_like_none(
    bob: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    made = await make_endpoint(database, tenant_id)
    await make_events(database, tenant_id)
    await fan_out_all(database)
    async with database.pump() as session:
        delivery_id = (await session.execute(text("select id from app.delivery limit 1"))).scalar_one()
    now = system_now()
    span = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}
    calls: list[tuple[str, str, object]] = [
        ("GET", "{}", None),
        ("PATCH", "{}", {"types": ["*"]}),
        ("DELETE", "{}", None),
        ("POST", "{}/enable", {}),
        ("POST", "{}/disable", None),
        ("POST", "{}/ping", None),
        ("POST", "{}/rotate_secret", {"grace_s": 0}),
        ("POST", "{}/recover", span),
        ("GET", "{}/deliveries", None),
    ]
    of_endpoints = [(method, f"{PATH}/{path}", body, "whe", key_of(made)) for method, path, body in calls]
    of_deliveries = [
        (method, f"/v1/deliveries/{path}", None, "dlv", delivery_id)
        for method, path in (("GET", "{}"), ("POST", "{}/retry"))
    ]
    for method, path, body, prefix, mine in of_endpoints + of_deliveries:
        foreign, absent = [
            await bob.request(method, path.format(ids.encode(prefix, object_id)), json=body)
            for object_id in (mine, ids.new_id())
        ]
        assert (foreign.status_code, absent.status_code) == (404, 404), path
        assert foreign.content == absent.content, path
    assert (await bob.get(PATH)).json()["data"] == []
