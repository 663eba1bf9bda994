"""What every answer carries, how versions are compared, how lists are walked."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from asyncpg.exceptions import DeadlockDetectedError, UniqueViolationError
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy.exc import DBAPIError

from api import versions
from api.problems import is_passing
from api.resources import ApiSettings, Resources
from storage.database import Database
from support.api import app_of, client_of, make_key
from support.planted import ROWS, Things


@pytest.fixture
async def app(resources: Resources) -> AsyncGenerator[Litestar]:
    app = app_of(resources, controllers=[Things])
    async with app.lifespan():
        yield app


async def test_every_answer_is_named_private_and_not_kept(alice: AsyncClient) -> None:
    addresses = ("/v1/things", "/v1/nothing", "/v1/things/", "/v1/things?x=1", "/health/live", "/docs")
    answers = [await alice.get(address) for address in addresses]
    answers += [await alice.delete("/v1/things"), await alice.options("/v1/things"), await alice.head("/v1/things")]
    for answer in answers:
        assert answer.headers["Request-Id"].startswith("req_")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Vary"] == "Authorization, Accept, Relance-Version"
    assert len({answer.headers["Request-Id"] for answer in answers}) == len(answers)


async def test_a_secure_address_asks_for_security(resources: Resources) -> None:
    for url, expected in (("https://api.example.com", True), ("http://127.0.0.1:8000", False)):
        app = app_of(resources, ApiSettings(public_url=url), controllers=[Things])
        async with app.lifespan(), client_of(app, None) as client:
            answer = await client.get("/v1/nothing")
        assert ("Strict-Transport-Security" in answer.headers) is expected
        assert answer.json()["type"] == f"{url}/docs/problems/not_found"


async def test_a_problem_has_a_page(alice: AsyncClient) -> None:
    problem = (await alice.get("/v1/nothing")).json()
    assert set(problem) == {"type", "title", "status", "code", "remedy"}
    page = await alice.get(problem["type"])
    assert (page.status_code, problem["title"] in page.text, problem["remedy"] in page.text) == (200, True, True)
    assert (await alice.get("/docs/problems/none_such")).status_code == 404


async def test_an_unmet_precondition_changes_nothing(alice: AsyncClient) -> None:
    missing = await alice.patch("/v1/things/x", json={})
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    for tag in ('"6"', "7", "null", 'W/"7"', '"7', '"x"', '"99999999999999999999"', "\u00e9"):
        stale = await alice.patch("/v1/things/x", json={}, headers={b"If-Match": tag.encode()})
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed"), tag
    for tag in ('"7"', "*", ' "7" '):
        good = await alice.patch("/v1/things/x", json={}, headers={"If-Match": tag})
        assert (good.status_code, good.headers["ETag"]) == (200, '"8"'), tag
    assert (await alice.post("/v1/things/x/touch")).status_code == 200  # where it is optional
    assert (await alice.post("/v1/things/x/touch", headers={"If-Match": '"6"'})).status_code == 412


async def test_who_holds_the_version_is_sent_nothing(alice: AsyncClient) -> None:
    for tags in ('"7"', '"6", "7"', 'W/"7"', "*"):
        held = await alice.get("/v1/things/x", headers={"If-None-Match": tags})
        assert (held.status_code, held.content, held.headers["ETag"]) == (304, b"", '"7"'), tags
    for tags in ('"6"', "7", ""):
        assert (await alice.get("/v1/things/x", headers={"If-None-Match": tags})).status_code == 200, tags
    assert (await alice.head("/v1/things/x", headers={"If-None-Match": '"7"'})).status_code == 304
    assert (await alice.get("/v1/things/x?expand=owner", headers={"If-None-Match": '"7"'})).status_code == 200


async def walk(client: AsyncClient, address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = await client.get(address)
        page = answer.json()
        found += page["data"]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            assert "Link" not in answer.headers
            return found
        address = answer.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_a_walk_shows_every_row_once(alice: AsyncClient, limit: int) -> None:
    rows = await walk(alice, f"/v1/things?limit={limit}&due_on[gte]=2026-01-01")
    assert rows == [{"id": str(row), "due_on": "2026-01-01"} for row in ROWS]


async def test_a_cursor_belongs_to_its_list_filter_and_tenant(alice: AsyncClient, bob: AsyncClient) -> None:
    cursor = (await alice.get("/v1/things?limit=2&label=a")).json()["next_cursor"]
    good = await alice.get("/v1/things", params={"limit": 3, "label": "a", "cursor": cursor})
    assert [row["id"] for row in good.json()["data"]] == ["3", "4", "5"]  # the size of a page may change
    for client, params in (
        (alice, {"label": "b", "cursor": cursor}),
        (alice, {"cursor": cursor}),
        (bob, {"label": "a", "cursor": cursor}),
        (alice, {"label": "a", "cursor": cursor[:-2]}),
        (alice, {"label": "a", "cursor": "A" + cursor[1:]}),
        (alice, {"label": "a", "cursor": "é"}),
    ):
        bad = await client.get("/v1/things", params=params)
        assert (bad.status_code, bad.json()["code"]) == (422, "cursor_invalid")


async def test_the_version_is_the_keys_unless_the_request_says_otherwise(alice: AsyncClient) -> None:
    pinned = await alice.get("/v1/things")
    assert pinned.headers["Relance-Version"] == "2026-11-01"
    assert (await alice.get("/v1/things", headers={"Relance-Version": "2026-11-01"})).status_code == 200
    for unknown in ("2020-01-01", "", "newest"):
        refused = await alice.get("/v1/things", headers={"Relance-Version": unknown})
        assert (refused.status_code, refused.json()["code"]) == (400, "version_unknown")


def test_an_answer_is_written_for_an_older_version_step_by_step() -> None:
    first = versions.Change("2027-01-01", frozenset({"getThing"}), lambda body: body | {"label": body["name"]})
    second = versions.Change("2027-06-01", frozenset({"getThing"}), lambda body: {"name": body["title"]})
    changes = (first, second)
    now = b'{"title":"a"}'
    assert versions.rewritten(now, "getThing", "2027-06-01", changes) == now
    assert versions.rewritten(now, "getThing", "2027-01-01", changes) == b'{"name":"a"}'
    assert versions.rewritten(now, "getThing", "2026-11-01", changes) == b'{"name":"a","label":"a"}'
    assert versions.rewritten(now, "listThings", "2026-11-01", changes) == now
    assert versions.version_of(None, "2026-11-01") == "2026-11-01"
    assert versions.version_of(None, "1999-01-01") == versions.NEWEST  # a version that was withdrawn


async def test_on_the_way_out_readiness_fails_and_requests_are_still_answered(
    alice: AsyncClient, resources: Resources
) -> None:
    assert (await alice.get("/health/ready")).status_code == 200
    resources.drain.start()
    leaving = await alice.get("/health/ready")
    assert (leaving.status_code, leaving.json()["code"], leaving.headers["Retry-After"]) == (503, "unavailable", "1")
    served = await alice.get("/v1/things")
    assert (served.status_code, served.headers["Connection"]) == (200, "close")
    assert (await alice.get("/health/live")).status_code == 200


async def test_without_its_database_the_service_says_so(app: Litestar, database: Database, tenant_id: Any) -> None:
    secret = await make_key(database, tenant_id)
    engine = database.engine("app")
    await engine.dispose()
    database.urls = type(database.urls)(app="postgresql+asyncpg://nobody:x@127.0.0.1:1/none")
    await database.close()
    async with client_of(app, secret) as client:
        answer = await client.get("/v1/things")
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200


def test_what_passes_is_told_from_what_is_broken() -> None:
    def failed(cause: type[Exception]) -> DBAPIError:
        return DBAPIError("select", None, cause("x"))

    assert is_passing(failed(DeadlockDetectedError))
    assert is_passing(TimeoutError())
    assert not is_passing(failed(UniqueViolationError))
    assert not is_passing(ValueError())
