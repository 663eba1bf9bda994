"""What a handler declares about itself, read once when the application is built."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from litestar import Litestar
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from api.exchange import KeyUse, Plan, QueryKind
from tenants.caller import SCOPES

PUBLIC: Final[dict[str, object]] = {"public": True}  # no credential, no tenant, no transaction


def needs(
    scope: str,
    *,
    key: KeyUse = "optional",
    one_time: tuple[str, ...] = (),
    expand: tuple[str, ...] = (),
    media: tuple[str, ...] = (),
    upload: int | None = None,
) -> dict[str, object]:
    """The `opt` of a handler: which scope it asks for, and whether an Idempotency-Key must come with it.

    The key is required where money moves or people are written to. `one_time` names fields of the answer (secrets)
    that a repeated request answers with null; `expand` what `?expand=` may name; `media` the types of files that are
    answered in place of JSON. With `upload`, the body is a file of at most so many bytes, which the handler finds in
    `exchange.spool`.
    """
    if scope not in SCOPES:
        raise ValueError(f"{scope!r} is no scope: add its resource to tenants.caller.RESOURCES")
    return {
        "scope": scope, "key": key, "one_time": one_time, "expand": expand, "media": media, "upload": upload,
    }  # fmt: skip


def handlers(app: Litestar) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler, Plan]]:
    """Every operation of the application with its plan; the automatic OPTIONS are left out."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if handler.http_methods != {"OPTIONS"}:
                yield route, handler, _plan(route, handler)


def parameters(handler: HTTPRouteHandler) -> dict[str, FieldDefinition]:
    """The query and header parameters of a handler and of the dependencies that it asks for, by wire name."""
    found: dict[str, FieldDefinition] = {}
    known = handler.resolve_dependencies()
    waiting = [handler.parsed_fn_signature]
    seen: set[str] = set()
    while waiting:
        for name, field in waiting.pop().parameters.items():
            definition = field.kwarg_definition
            if name in known:
                if name not in seen:
                    seen.add(name)
                    waiting.append(known[name].parsed_fn_signature)
            elif isinstance(definition, ParameterKwarg) and definition.param_type in (
                ParamType.QUERY,
                ParamType.HEADER,
            ):
                found[definition.name or name] = field
    return found


def _strictness(kind: Any) -> QueryKind:  # Any: the type of a parameter
    """How the text of a query parameter is read: the framework takes "1" for true and "null" for nothing."""
    arms = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    plain = {arm for arm in arms if arm is not type(None)}
    return "text" if plain == {str} else "truth" if plain == {bool} else "other"


def _plan(route: HTTPRoute, handler: HTTPRouteHandler) -> Plan:
    opt = handler.opt
    if "scope" not in opt and "public" not in opt:
        raise RuntimeError(f"{route.path}: the handler declares neither a scope (routes.needs) nor routes.PUBLIC")
    method = next(iter(handler.http_methods))
    _, kwargs = route.route_handler_map[method]
    data = handler.parsed_data_field
    body: Any = None if data is None else data.annotation  # Any: the type of an input
    operation_id = handler.operation_id
    if not isinstance(operation_id, str):
        raise TypeError(f"{method} {route.path}: the handler has no operation_id")
    return Plan(
        operation_id=operation_id,
        scope=opt.get("scope"),
        query={
            name: _strictness(field.annotation)
            for name, field in parameters(handler).items()
            if isinstance(field.kwarg_definition, ParameterKwarg)
            and field.kwarg_definition.param_type is ParamType.QUERY
        },
        pointers={
            parameter.field_name: f"/{parameter.param_type.value}/{parameter.field_alias}"
            for parameter in (*kwargs.expected_query_params, *kwargs.expected_header_params)
        },
        body=body,
        key=opt.get("key", "optional"),
        expand=tuple(opt.get("expand", ())),
        media=tuple(opt.get("media", ())),
        one_time=tuple(opt.get("one_time", ())),
        upload=opt.get("upload"),
        own_media=str(handler.media_type or "application/json").encode(),
    )
