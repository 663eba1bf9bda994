"""Holds, handling and tasks over HTTP."""

from typing import Any

import pytest
from httpx import AsyncClient

from kernel import ids

Json = dict[str, Any]  # Any: a body


@pytest.fixture
async def debtor(alice: AsyncClient) -> Json:
    return (await alice.post("/v1/debtors", json={"name": "Boulangerie Petit"})).json()


@pytest.fixture
async def creditor(alice: AsyncClient) -> Json:
    return (await alice.post("/v1/creditors", json={"name": "Atelier Nord"})).json()


async def test_a_hold_is_set_changed_and_released_once(alice: AsyncClient, debtor: Json) -> None:
    made = await alice.post("/v1/holds", json={"debtor_id": debtor["id"], "note": "Ill", "reason": "promise"})
    hold = made.json()
    path = f"/v1/holds/{hold['id']}"
    assert (made.status_code, hold["reason"], hold["source"], hold["version"]) == (201, "promise", "user", 1)
    moved = await alice.patch(path, json={"ends_at": "2026-03-09T12:00:00+01:00"})
    assert (moved.json()["ends_at"], moved.json()["version"]) == ("2026-03-09T11:00:00Z", 2)
    past = await alice.patch(path, json={"ends_at": "2020-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/body/ends_at")
    first, again = [await alice.post(f"{path}/release") for _ in range(2)]
    assert (first.status_code, first.json()["version"]) == (200, 3)
    assert (again.status_code, again.json()["code"]) == (409, "hold_not_open")
    listed = await alice.get("/v1/holds", params={"debtor": debtor["id"], "active": "true"})
    assert listed.json()["data"] == []


async def test_a_foreign_hold_is_like_no_hold(alice: AsyncClient, bob: AsyncClient, debtor: Json) -> None:
    hold = (await alice.post("/v1/holds", json={"debtor_id": debtor["id"]})).json()
    foreign = await bob.post(f"/v1/holds/{hold['id']}/release")
    absent = await bob.post(f"/v1/holds/{ids.encode('hld', ids.new_id())}/release")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


async def test_a_hold_names_what_it_holds(alice: AsyncClient, debtor: Json) -> None:
    nothing = await alice.post("/v1/holds", json={})
    amount = await alice.post("/v1/holds", json={"debtor_id": debtor["id"], "amount_minor": 5})
    nobody = await alice.post("/v1/holds", json={"debtor_id": ids.encode("dbt", ids.new_id())})
    assert [nothing.status_code, amount.status_code, nobody.status_code] == [422, 422, 404]
    assert amount.json()["errors"][0]["pointer"] == "/body/amount_minor"


async def test_handling_changes_hands(alice: AsyncClient, creditor: Json, debtor: Json) -> None:
    pair = {"creditor_id": creditor["id"], "debtor_id": debtor["id"]}
    versions = [
        (await alice.post("/v1/handlings", json={**pair, "kind": kind})).json()["version"]
        for kind in ("outsourced", "outsourced", "internal")
    ]
    assert versions == [1, 1, 2]
    half = await alice.post("/v1/handlings", json={"creditor_id": creditor["id"], "kind": "internal"})
    assert half.status_code == 422
    (row,) = (await alice.get("/v1/handlings", params={"debtor": debtor["id"]})).json()["data"]
    assert (await alice.get(f"/v1/handlings/{row['id']}")).json() == row


async def test_a_task_is_opened_by_hand_assigned_and_closed(alice: AsyncClient, debtor: Json) -> None:
    made = await alice.post("/v1/tasks", json={"title": "Call them", "debtor_id": debtor["id"]})
    task = made.json()
    assert (made.status_code, task["kind"], task["subject_id"], task["state"]) == (201, "by_hand", None, "open")
    path = f"/v1/tasks/{task['id']}"
    taken = await alice.post(f"{path}/assign", json={"assignee": "Claire"})
    closed = await alice.post(f"{path}/close", json={"state": "dismissed"})
    again = await alice.post(f"{path}/close", json={})
    assert (taken.json()["assignee"], closed.json()["state"], again.status_code) == ("Claire", "dismissed", 409)
    nobody = await alice.post("/v1/tasks", json={"title": "x", "debtor_id": ids.encode("dbt", ids.new_id())})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "debtor_not_found")
    assert len((await alice.get("/v1/tasks", params={"state": "dismissed"})).json()["data"]) == 1
