"""The OpenAPI 3.1 document, made from what the handlers declare and from the structs that msgspec really checks.

It is written here and not by the framework, whose document says less than its reading does (reference/api section 6):
this one is generated from the same type information that validates, and closed inputs are closed in it.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute

from api import event_schemas, routes, schemas
from api.exchange import Plan
from api.fields import ID, pattern_of
from api.idempotency import PATTERN as KEY_PATTERN
from api.linking import ID_AT, link, shared
from api.problems import MEDIA_TYPE, Problem
from api.versions import NEWEST, VERSIONS

Json = dict[str, Any]  # Any: JSON

DESCRIPTION: Final = (
    "Relance gets invoices paid. Every state change is an event; every failure is a problem (RFC 9457) with a stable"
    " code and a page of its own. Inputs are strict: unknown fields and query parameters are refused. Answers may gain"
    " fields, and enumerations values, without notice."
)
_LIMIT: Final = {"schema": {"type": "string"}, "description": "What is left of the quota, and when it is whole again."}
_TEXT: Final = {"schema": {"type": "string"}}
HEADERS: Final[Json] = {
    "Request-Id": _TEXT | {"description": "Names this request in our logs and in the events that it caused."},
    "Relance-Version": _TEXT | {"description": "The version of the API in which this answer is written."},
    "RateLimit": _LIMIT,
    "RateLimit-Policy": _TEXT | {"description": "The quota of the key."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the next try."},
    "WWW-Authenticate": _TEXT | {"description": "How to authenticate."},
    "ETag": _TEXT | {"description": "The version of the object, quoted, for If-Match and If-None-Match."},
    "Location": _TEXT | {"description": "Where the new object is, or the job that makes it."},
    "Link": _TEXT | {"description": "The next page, with rel=next."},
    "Idempotency-Replayed": _TEXT | {"description": "`true` when the answer is that of an earlier request."},
}
_STATUS_HEADERS: Final = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",)}
_EXPANDED: Final = {
    "type": "object",
    "description": "The objects that were asked for by `expand`, by id.",
    "additionalProperties": {"type": "object"},
}
_WORDS: Final = {200: "Done.", 201: "Created.", 202: "Accepted: the work goes on.", 204: "Done; nothing to say."}


def document(app: Litestar, public_url: str) -> Json:
    """The whole document of an application."""
    operations = [
        (route, handler, plan)
        for route, handler, plan in routes.handlers(app)
        if handler.include_in_schema is not False
    ]
    kinds = [Problem, *_kinds(operations), *event_schemas.views()]
    reader = schemas.Reader(kinds)
    paths: Json = {}
    for route, handler, plan in operations:
        method = next(iter(handler.http_methods)).lower()
        paths.setdefault(route.path_format, {})[method] = _operation(reader, route, handler, plan, method)
    link(paths)
    tags = sorted({tag for methods in paths.values() for one in methods.values() for tag in one.get("tags", [])})
    content = {
        "openapi": "3.1.0",
        "info": {
            "title": "Relance", "version": NEWEST, "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "webhooks": {kind: _webhook(reader, kind) for kind in event_schemas.types()},
        "components": {
            "schemas": reader.components(),
            "headers": HEADERS,
            "responses": shared(paths),
            "securitySchemes": {
                "apiKey": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "rel_live_… or rel_test_…",
                    "description": "An API key. What it may do is its scopes; each operation names its own.",
                }
            },
        },
    }  # fmt: skip
    return cast("Json", msgspec.json.decode(msgspec.json.encode(content)))  # nothing in it but JSON


def written(content: Json) -> bytes:
    """A document as bytes, the same every time."""
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2) + b"\n"


def _kinds(operations: list[tuple[HTTPRoute, HTTPRouteHandler, Plan]]) -> Iterator[Any]:  # Any: types of every kind
    for _, handler, plan in operations:
        if plan.body is not None:
            yield plan.body
        if _returns(handler) is not None:
            yield _returns(handler)


def _returns(handler: HTTPRouteHandler) -> Any:  # Any: the type of an answer
    kind = handler.parsed_fn_signature.return_type.annotation
    if get_origin(kind) in (Union, UnionType):  # an object, or a file in its place
        (kind,) = (arm for arm in get_args(kind) if not _is_written(arm))
    return None if kind is type(None) or _is_written(kind) else kind


def _is_written(kind: Any) -> bool:  # Any: the type of an answer
    """Whether a handler writes the bytes of its answer itself: a page, a file."""
    plain = get_origin(kind) or kind
    return isinstance(plain, type) and issubclass(plain, Response)


def _operation(reader: schemas.Reader, route: HTTPRoute, handler: HTTPRouteHandler, plan: Plan, method: str) -> Json:
    said = (handler.fn.__doc__ or "").strip()
    parameters = list(_parameters(reader, route, handler, plan, method))
    operation: Json = {
        "operationId": plan.operation_id,
        "summary": said.splitlines()[0].rstrip(".") if said else plan.operation_id,
        "description": " ".join(said.split()),
        "tags": handler.resolve_tags(),
        "parameters": parameters,
        "responses": _responses(reader, handler, plan, method, parameters),
        "security": [] if plan.scope is None else [{"apiKey": [plan.scope]}],
    }
    if plan.body is not None:
        content = {"application/json": {"schema": reader.schema(plan.body)}}
        if method == "patch":
            content["application/merge-patch+json"] = content["application/json"]
        operation["requestBody"] = {"required": True, "content": content}
    if plan.upload is not None:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}}
        operation["requestBody"] = {"required": True, "content": content}
    inner = "" if "id" in reader.fields(_returns(handler)) else reader.holder_of_id(_returns(handler))
    if inner:
        operation[ID_AT] = f"/{inner}/id"
    if handler.deprecated:
        operation["deprecated"] = True
    return operation


def _parameters(
    reader: schemas.Reader, route: HTTPRoute, handler: HTTPRouteHandler, plan: Plan, method: str
) -> Iterator[Json]:
    for parameter in route.path_parameters.values():
        pattern = pattern_of(parameter.name) if parameter.name.endswith("_id") else schemas.NO_NUL
        schema = {"type": "string", "minLength": 1, "pattern": pattern}
        yield {"name": parameter.name, "in": "path", "required": True, "schema": schema}
    for name, field in sorted(routes.parameters(handler).items()):
        definition = cast("ParameterKwarg", field.kwarg_definition)
        schema = reader.parameter(field.annotation, definition)
        if field.has_default and field.default is not None:
            schema["default"] = msgspec.to_builtins(field.default)
        if schema.get("pattern") == ID:
            schema["pattern"] = pattern_of(name)
        required = field.is_required or (name == "If-Match" and _asks_for(handler, "required_version"))
        if name == "expand":
            names = "|".join(plan.expand)
            schema["pattern"] = f"^({names})(,({names}))*$"
        found: Json = {"name": name, "in": definition.param_type.value, "required": required, "schema": schema}
        if definition.description:
            found["description"] = definition.description
        yield found
    if plan.scope is None:
        return
    versions = {"type": "string", "enum": list(VERSIONS)}
    yield {"name": "Relance-Version", "in": "header", "required": False, "schema": versions,
           "description": "The version of the API, else the one that the key is pinned to."}  # fmt: skip
    if method == "post":
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": plan.key == "required",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{KEY_PATTERN}$"},
            "description": "Unique to the request: sent again with it, the request has its effect once and is answered"
            " alike. Kept for 30 days.",
        }
    if method == "get" and "ETag" in _answer_headers(reader, handler):
        yield {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"},
               "description": "The ETag that the caller holds: answered 304 while it is current."}  # fmt: skip


def _asks_for(handler: HTTPRouteHandler, dependency: str) -> bool:
    return dependency in handler.parsed_fn_signature.parameters


def _responses(
    reader: schemas.Reader, handler: HTTPRouteHandler, plan: Plan, method: str, parameters: list[Json]
) -> Json:
    status = handler.status_code or 200
    kind = _returns(handler)
    good: Json = {
        "description": _WORDS.get(status, "Done."),
        "headers": _headers(plan, *_answer_headers(reader, handler)),
    }
    if kind is not None:
        schema = reader.schema(kind)
        if plan.expand:
            schema = {"allOf": [schema, {"type": "object", "properties": {"expanded": _EXPANDED}}]}
        files = {media: {"schema": {"type": "string", "contentMediaType": media}} for media in plan.media}
        good["content"] = {"application/json": {"schema": schema}} | files
    elif _is_written(handler.parsed_fn_signature.return_type.annotation):
        good["content"] = {str(handler.media_type or "text/plain"): {"schema": {"type": "string"}}}
    found: Json = {str(status): good}
    declared: Mapping[int, ResponseSpec] = handler.responses or {}
    words: dict[str, str] = {str(code): spec.description for code, spec in declared.items()}
    for code, more in _by_shape(plan, method, parameters).items():
        words[code] = f"{words[code]}\n{more}" if code in words and more not in words[code] else words.get(code, more)
    for code, text in sorted(words.items()):
        if plan.scope is None and code in {"401", "403", "406", "429"}:
            continue
        found[code] = {
            "description": text,
            "headers": _headers(plan, *_STATUS_HEADERS.get(code, ())),
            "content": {MEDIA_TYPE: {"schema": reader.schema(Problem)}},
        }
    if any(parameter["name"] == "If-None-Match" for parameter in parameters):
        found["304"] = {"description": "The caller holds the current version.", "headers": _headers(plan, "ETag")}
    return found


def _by_shape(plan: Plan, method: str, parameters: list[Json]) -> Mapping[str, str]:
    """What an operation may answer because of what it is made of."""
    found: dict[str, str] = {}
    names = {parameter["name"] for parameter in parameters}
    if any(parameter["in"] == "path" for parameter in parameters):
        found["404"] = "* `not_found`: There is no such object."
    if "If-Match" in names:
        found["412"] = "* `precondition_failed`: The object has changed since the version that If-Match names."
    if method in {"post", "put", "patch"} and plan.scope is not None:
        found["413"] = "* `body_too_large`: The request body is larger than this operation takes."
        found["415"] = "* `unsupported_media_type`: The request body is not JSON."
    if method == "post" and plan.scope is not None:
        found["409"] = "* `idempotency_key_in_use`: A request with this Idempotency-Key is still being carried out."
        found["422"] = "* `idempotency_key_reused`: The Idempotency-Key was used before with another request."
    if method == "post" and plan.scope is not None and plan.key == "required":
        found["400"] = "* `idempotency_key_missing`: This operation must come with an Idempotency-Key."
    if plan.scope is not None:
        more = "* `version_unknown`: There is no such version of the API."
        found["400"] = f"{found['400']}\n{more}" if "400" in found else more
    return found


def _answer_headers(reader: schemas.Reader, handler: HTTPRouteHandler) -> tuple[str, ...]:
    kind = _returns(handler)
    fields = reader.fields(kind)
    names: list[str] = []
    if "version" in fields:
        names.append("ETag")
    if handler.status_code == 202 or (handler.status_code == 201 and "id" in fields):  # noqa: PLR2004 - HTTP's own
        names.append("Location")
    if "next_cursor" in fields:
        names.append("Link")
    if next(iter(handler.http_methods)) == "POST":
        names.append("Idempotency-Replayed")
    return tuple(names)


def _headers(plan: Plan, *more: str) -> Json:
    always = (
        ("Request-Id",) if plan.scope is None else ("Request-Id", "Relance-Version", "RateLimit", "RateLimit-Policy")
    )
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*always, *more)}


def _webhook(reader: schemas.Reader, kind: str) -> Json:
    return {
        "post": {
            "operationId": f"on_{kind.replace('.', '_')}",
            "summary": event_schemas.summary(kind),
            "tags": ["Webhooks"],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": event_schemas.envelope(kind, reader)}},
            },
            "responses": {"2XX": {"description": "Taken. Anything else is tried again."}},
        }
    }
