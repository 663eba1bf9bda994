"""The document: valid, the same every time, and as strict as the service."""

import re
from typing import Any

import pytest
from httpx import AsyncClient
from jsonschema import Draft202012Validator
from litestar import Litestar
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import event_schemas, export, openapi, routes
from api.edge import Api
from api.problems import catalogue
from storage.database import Database
from support.api import BASE_URL, number_events
from tenants.caller import SCOPES


@pytest.fixture
def document(app: Litestar) -> dict[str, Any]:
    assert isinstance(app, Api)
    return openapi.document(app, BASE_URL)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, said) for path, methods in document["paths"].items() for method, said in methods.items()]


def posted(event: dict[str, Any]) -> dict[str, Any]:
    """An event of the log as a webhook carries it."""
    named = {name: event[name] for name in ("id", "type", "data", "previous", "object_id", "sequence", "log_position")}
    return named | {"timestamp": event["occurred_at"], "tenant_id": "ten_1", "api_version": "2026-11-01"}


def is_valid(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))  # pyright: ignore[reportUnknownMemberType]


async def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_the_export_is_the_same_every_time_and_names_no_machine(alice: AsyncClient) -> None:
    first, again = export.openapi_text(), export.openapi_text()
    assert first == again
    assert "127.0.0.1" not in first
    assert export.event_schemas() == export.event_schemas()
    served = (await alice.get("/openapi.json")).text
    assert served == first.replace(export.PUBLIC_URL, BASE_URL)


async def test_every_operation_says_who_may_and_what_can_go_wrong(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len({said["operationId"] for _, _, said in found}) == len(found)
    for path, method, said in found:
        where = f"{method} {path}"
        assert said["summary"], where
        assert said["tags"], where
        assert {"422", "500", "503"} <= set(said["responses"]), where
        if path.startswith("/v1/"):
            (scope,) = said["security"][0]["apiKey"]
            assert scope in SCOPES, where
            assert scope.endswith(":read") == (method == "get"), where
            assert {"400", "401", "403", "406", "429"} <= set(said["responses"]), where
        if "{" in path:
            assert "404" in said["responses"], where
        for status, given in said["responses"].items():
            shared = given.get("$ref", "").rpartition("/")[2]
            answer = document["components"]["responses"][shared] if shared else given
            assert "Request-Id" in answer["headers"], where
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], where


async def test_no_route_is_left_out_but_the_documents_themselves(app: Litestar, document: dict[str, Any]) -> None:
    told = {(path, method) for path, method, _ in operations(document)}
    for route, handler, plan in routes.handlers(app):
        if (route.path_format, next(iter(handler.http_methods)).lower()) not in told:
            assert plan.scope is None, route.path
            assert route.path.startswith(("/docs", "/openapi.json", "/metrics", "/u/")), route.path


async def test_every_input_is_closed_and_every_text_and_number_bounded(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, method, said in operations(document):
        if "requestBody" not in said:
            continue
        for media, content in said["requestBody"]["content"].items():
            if media == "application/octet-stream":  # a file
                continue
            name = content["schema"]["$ref"].rpartition("/")[2]
            schema = schemas[name]
            assert schema["additionalProperties"] is False, name
            for field, kind in schema["properties"].items():
                for arm in kind.get("anyOf", [kind]):
                    where = f"{method} {path} {field}"
                    if arm.get("type") == "string" and "format" not in arm and "enum" not in arm:
                        assert {"maxLength", "pattern"} <= set(arm), where
                    if arm.get("type") == "integer":
                        assert {"minimum", "maximum"} <= set(arm), where
                    if arm.get("type") == "array":
                        assert "maxItems" in arm, where


async def test_every_failure_is_documented_and_has_its_page(alice: AsyncClient, document: dict[str, Any]) -> None:
    codes = set(catalogue())
    told = set(re.findall(r"\* `([a-z_]+)`", str(document["paths"]) + str(document["components"])))
    assert told <= codes
    for code in told:
        assert (await alice.get(f"/docs/problems/{code}")).status_code == 200, code
    for code, error in catalogue().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", code), code
        assert error.title().endswith("."), code
        assert error.remedy, code


async def test_events_are_webhooks_with_schemas(
    alice: AsyncClient, database: Database, document: dict[str, Any]
) -> None:
    assert set(document["webhooks"]) == set(event_schemas.types())
    await alice.post("/v1/tenant/stop", json={"reason": "a test"})
    await alice.post("/v1/tenant/resume", json={})
    await number_events(database)
    seen: set[str] = set()
    for event in (await alice.get("/v1/events")).json()["data"]:
        schema = event_schemas.files()[event["type"]]
        told = {
            name: event[name] for name in ("id", "type", "data", "previous", "object_id", "sequence", "log_position")
        }
        told |= {"timestamp": event["occurred_at"], "tenant_id": "ten_1", "api_version": "2026-11-01"}
        assert is_valid(schema, told), event
        seen.add(event["type"])
    assert {"api_key.created", "tenant.stopped", "tenant.resumed"} <= seen


async def test_a_wrong_event_is_not_valid(alice: AsyncClient, database: Database) -> None:
    await number_events(database)
    event = (await alice.get("/v1/events?type=tenant.created")).json()["data"][0]
    told = posted(event)
    schemas = event_schemas.files()
    assert is_valid(schemas["tenant.created"], told)
    assert not is_valid(schemas["tenant.stopped"], told)
    assert not is_valid(schemas["tenant.created"], told | {"data": {"id": "ten_1"}})
    assert not is_valid(schemas["tenant.created"], {name: told[name] for name in told if name != "sequence"})


async def test_the_pages_for_people_fetch_nothing(alice: AsyncClient) -> None:
    page = (await alice.get("/docs")).text
    assert "POST /v1/api_keys" in page
    assert "tenant.stopped" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!/)', page)
