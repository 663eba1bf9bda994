"""What a request may look like: bodies, queries, paths, methods, content types."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from litestar import Litestar

from api import openapi
from api.edge import Api
from api.resources import MAX_BODY_BYTES, ApiSettings, Resources
from storage.database import Database
from support.api import BASE_URL, app_of, client_of, make_key
from support.planted import Things

THING = {"name": "a", "currency": "EUR"}


@pytest.fixture
async def app(resources: Resources) -> AsyncGenerator[Litestar]:
    app = app_of(resources, controllers=[Things])
    async with app.lifespan():
        yield app


async def make(client: AsyncClient, body: Any, key: str = "k1") -> tuple[int, dict[str, Any]]:
    answer = await client.post("/v1/things", json=body, headers={"Idempotency-Key": key})
    return answer.status_code, answer.json()


async def test_every_fault_of_a_body_is_told_at_once(alice: AsyncClient) -> None:
    body = {"name": "", "currency": "eur\n", "at": "2026-01-01T00:00:00", "extra": 1,
            "lines": [{"label": "x", "amount_minor": 1}, {"amount_minor": "1", "a/b~c": None}]}  # fmt: skip
    status, problem = await make(alice, body)
    assert (status, problem["code"]) == (422, "invalid")
    assert {(fault["pointer"], fault["code"]) for fault in problem["errors"]} == {
        ("/body/extra", "unknown_field"),
        ("/body/name", "invalid_value"),
        ("/body/currency", "invalid_value"),
        ("/body/at", "invalid_value"),
        ("/body/lines/1/a~1b~0c", "unknown_field"),
        ("/body/lines/1/label", "required"),
        ("/body/lines/1/amount_minor", "invalid_value"),
    }
    assert (await make(alice, THING))[0] == 201


@pytest.mark.parametrize("amount", ["1", 1.5, 1e300, float(2**53), True, None, -1, 2**53, 10**30, "NaN"])
async def test_nothing_is_coerced_or_unbounded(alice: AsyncClient, amount: object) -> None:
    body = THING | {"lines": [{"label": "x", "amount_minor": amount}]}
    status, problem = await make(alice, body)
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["/body/lines/0/amount_minor"])
    for good in (2**53 - 1, 0, 1.0, 1e3):  # JSON has one kind of number: 1.0 is an integer
        body = THING | {"lines": [{"label": "x", "amount_minor": good}]}
        assert (await make(alice, body, key=f"k{good}"))[0] == 201


async def test_too_long_a_list_is_refused_once(alice: AsyncClient) -> None:
    line = {"label": "x", "amount_minor": 1}
    status, problem = await make(alice, THING | {"lines": [line] * 6})
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["/body/lines"])
    assert (await make(alice, THING | {"lines": [line] * 5}))[0] == 201


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"name": "\\ud800", "currency": "EUR"}', b"nul", b"{}x"])
async def test_what_is_no_json_is_malformed(alice: AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await alice.post("/v1/things", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_a_deep_body_is_refused_and_harms_nobody(alice: AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"\\u0061":' * 50 + b"1" + b"}" * 50):
        answer = await alice.post("/v1/things", content=body, headers=headers)
        assert answer.status_code in (400, 422)
    assert (await make(alice, THING))[0] == 201


@pytest.mark.parametrize("body", [{"name": "a\0b", "currency": "EUR"}, THING | {"x\0": 1}, [["\0"]]])
async def test_nul_is_refused_wherever_it_stands(alice: AsyncClient, body: object) -> None:
    status, problem = await make(alice, body)
    assert (status, problem["errors"][0]["code"]) == (422, "nul")


async def test_an_escaped_backslash_is_no_nul(alice: AsyncClient) -> None:
    status, thing = await make(alice, THING | {"name": "a\\u0000"})
    assert (status, thing["name"]) == (201, "a\\u0000")


async def test_text_is_brought_to_nfc(alice: AsyncClient) -> None:
    status, thing = await make(alice, THING | {"name": "Socie\u0301te\u0301"})
    assert (status, thing["name"]) == (201, "Soci\u00e9t\u00e9")


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_read(alice: AsyncClient, kind: str) -> None:
    headers = {"Content-Type": kind, "Idempotency-Key": "k"}
    answer = await alice.post("/v1/things", content=b'{"name":"a","currency":"EUR"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    headers["Content-Type"] = "Application/JSON; charset=utf-8"
    answer = await alice.post("/v1/things", content=b'{"name":"a","currency":"EUR"}', headers=headers)
    assert answer.status_code == 201


async def test_a_body_has_a_limit_whether_announced_or_not(alice: AsyncClient) -> None:
    async def stream(size: int) -> AsyncIterator[bytes]:
        head, tail = b'{"currency":"EUR","name":"', b'"}'
        yield head
        yield b"x" * (size - len(head) - len(tail))
        yield tail

    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    for content in (stream(MAX_BODY_BYTES + 1), b" " * (MAX_BODY_BYTES + 1)):
        answer = await alice.post("/v1/things", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    answer = await alice.post("/v1/things", content=stream(MAX_BODY_BYTES), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")  # read whole: the name is too long


async def test_a_body_that_stops_half_way_is_not_waited_for(
    resources: Resources, database: Database, tenant_id: UUID
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'{"name":'
        await asyncio.Event().wait()

    app = app_of(resources, ApiSettings(public_url=BASE_URL, body_timeout_s=0.02), controllers=[Things])
    async with app.lifespan(), client_of(app, await make_key(database, tenant_id)) as client:
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
        answer = await client.post("/v1/things", content=half(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_an_operation_without_a_body_takes_none(alice: AsyncClient) -> None:
    assert (await alice.post("/v1/things/x/touch", json={"a": 1})).json()["code"] == "body_not_taken"
    assert (await alice.post("/v1/things/x/touch", json={})).status_code == 200
    assert (await alice.post("/v1/things/x/touch")).status_code == 200


async def test_a_patch_tells_absent_from_null(alice: AsyncClient) -> None:
    for body, name in (({}, "kept"), ({"name": None}, None), ({"name": "b"}, "b")):
        answer = await alice.patch("/v1/things/x", json=body, headers={"If-Match": "*"})
        assert answer.json()["name"] == name
    headers = {"If-Match": "*", "Content-Type": "application/merge-patch+json"}
    assert (await alice.patch("/v1/things/x", content=b'{"name":"c"}', headers=headers)).json()["name"] == "c"


async def test_a_query_is_as_strict_as_a_body(alice: AsyncClient) -> None:
    refused = {
        "due=2026-01-01": "/query/due",
        "due_on[gte]=2026-01-01&due_on[gte]=2026-01-02": "/query/due_on[gte]",
        "due_on[gte]=soon": "/query/due_on[gte]",
        "label=a%00": "/query/label",
        "label=sixsix": "/query/label",
        "limit=0": "/query/limit",
        "limit=101": "/query/limit",
        "limit=": "/query/limit",
        "cursor=": "/query/cursor",
        "expand=else": "/query/expand",
        "due_on[gte]=null": "/query/due_on[gte]",
        "limit=NULL": "/query/limit",
        "open=1": "/query/open",
        "open=null": "/query/open",
    }
    for query, pointer in refused.items():
        answer = await alice.get(f"/v1/things?{query}")
        assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (422, [pointer]), query
    answer = await alice.get("/v1/things?due_on[gte]=2026-01-01&label=null&limit=1&open=true")
    assert (answer.status_code, answer.json()["data"]) == (200, [{"id": "1", "due_on": "2026-01-01"}])


async def test_a_query_that_is_no_text_is_malformed(alice: AsyncClient) -> None:
    answer = await alice.get("/v1/things?label=%ff")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert (await alice.get("/v1/things?label=%c3%a9")).status_code == 200


async def test_an_answer_that_nobody_accepts_is_not_made(alice: AsyncClient) -> None:
    answer = await alice.get("/v1/things", headers={"Accept": "application/xml"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    for accept in ("*/*", "application/*;q=0.1", "text/html, application/json", "application/problem+json"):
        assert (await alice.get("/v1/things", headers={"Accept": accept})).status_code == 200


async def test_a_resource_has_one_address(alice: AsyncClient) -> None:
    for address in ("/v1/things/", "/v1//things", "/V1/things", "/v1/things/x/"):
        answer = await alice.get(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), address


async def test_head_answers_as_get_without_its_body(alice: AsyncClient) -> None:
    got, head = await alice.get("/v1/things/x"), await alice.head("/v1/things/x")
    assert (head.status_code, head.content) == (200, b"")
    varying = {"request-id", "date"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in got.headers.items() if k not in varying
    }
    assert (await alice.head("/v1/things/x/touch")).status_code == 405


async def test_allow_tells_the_truth(alice: AsyncClient) -> None:
    for address, allow in (("/v1/things", "GET, HEAD, OPTIONS, POST"), ("/v1/things/x", "GET, HEAD, OPTIONS, PATCH"),
                           ("/v1/things/x/touch", "OPTIONS, POST")):  # fmt: skip
        options, refused = await alice.options(address), await alice.delete(address)
        assert (options.status_code, options.headers["Allow"]) == (204, allow)
        assert (refused.status_code, refused.headers["Allow"]) == (405, allow)
        assert refused.json()["code"] == "method_not_allowed"
    assert (await alice.request("PROPFIND", "/v1/things")).status_code == 405


async def test_the_document_tells_what_can_be_expanded_and_what_must_be_named(app: Litestar) -> None:
    assert isinstance(app, Api)
    paths = openapi.document(app, BASE_URL)["paths"]
    parameters = {each["name"]: each for each in paths["/v1/things"]["get"]["parameters"]}
    assert parameters["expand"]["schema"]["pattern"] == "^(owner)(,(owner))*$"
    assert parameters["due_on[gte]"]["schema"] == {"type": "string", "format": "date"}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}
    schema = paths["/v1/things"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "expanded" in schema["allOf"][1]["properties"]
    needed = {
        (path, each["name"]): each["required"]
        for path, methods in paths.items()
        for method, said in methods.items()
        if method in ("post", "patch")
        for each in said["parameters"]
        if each["name"] in ("If-Match", "Idempotency-Key")
    }
    assert needed == {
        ("/v1/things", "Idempotency-Key"): True,
        ("/v1/things/{thing_id}", "If-Match"): True,
        ("/v1/things/{thing_id}/touch", "If-Match"): False,
        ("/v1/things/{thing_id}/touch", "Idempotency-Key"): False,
    }


async def test_what_is_expanded_is_given_along_by_id(alice: AsyncClient) -> None:
    plain, expanded = await alice.get("/v1/things/x"), await alice.get("/v1/things/x?expand=owner")
    assert ("expanded" in plain.json(), plain.headers["ETag"]) == (False, '"7"')
    assert expanded.json()["expanded"] == {"thg_1": {"id": "thg_1", "version": 1, "name": "owner"}}
    assert "ETag" not in expanded.headers
    page = (await alice.get("/v1/things?expand=owner&label=a&limit=2")).json()
    assert (len(page["data"]), page["expanded"]["thg_1"]["name"]) == (2, "a")
