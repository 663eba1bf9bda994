"""Failures as RFC 9457 problems: stable codes, a pointer to what is wrong, a remedy, a page each.

The request id is a header and never in a body: the answer about another tenant's object and about one that never
existed are the same, byte for byte.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.types import HTTPScope, Scope
from msgspec import Struct
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from api.errors import (
    BodyTooLarge,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    Unavailable,
    UnsupportedMediaType,
)
from api.exchange import exchange_of, route_of
from kernel.errors import AppError, Fault, Forbidden, Invalid, Malformed, NotFound, Unauthenticated
from runtime import logs
from storage.session import TenantContextMissing
from storage.waiting import is_away

MEDIA_TYPE: Final = "application/problem+json"
PATH: Final = "/docs/problems/"
RETRY_AFTER_S: Final = 1

log = logs.logger(__name__)
_ALWAYS: Final = (
    Malformed,
    Unauthenticated,
    Forbidden,
    NotAcceptable,
    Invalid,
    RateLimited,
    InternalError,
    Unavailable,
)
_BY_STATUS: Final[dict[int, type[AppError]]] = {
    error.status: error for error in (*_ALWAYS, NotFound, MethodNotAllowed, BodyTooLarge, UnsupportedMediaType)
}
# Two transactions met, or one took too long: nothing is wrong with the request, and nothing of it was kept.
_PASSING: Final = ("40001", "40P01", "55P03", "57014")


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request could not be carried out (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    remedy: str
    detail: str = ""
    errors: tuple[Fault, ...] = ()


def problem_of(error: AppError, public_url: str) -> Problem:
    """An error as the world reads it."""
    return Problem(
        type=f"{public_url}{PATH}{error.code}",
        title=error.title(),
        status=error.status,
        code=error.code,
        remedy=error.remedy,
        detail=error.detail,
        errors=tuple(_placed(fault) for fault in error.errors),
    )


def _placed(fault: Fault) -> Fault:
    """A package points into what it was handed, which is the body."""
    if fault.pointer.startswith(("/body", "/query", "/header", "/path")):
        return fault
    return Fault(pointer=f"/body{fault.pointer}", code=fault.code, message=fault.message)


def headers_of(error: AppError) -> dict[str, str]:
    """What a failure says in headers."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="relance"'}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


def written(error: AppError, public_url: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """An error as it is sent: status, headers, body."""
    body = msgspec.json.encode(problem_of(error, public_url))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in headers_of(error).items()]
    return error.status, headers, body


def refusal_of(error: Exception, scope: Scope) -> AppError:
    """What a caller is told of an exception; a bug, or a server that is away, tells nothing of itself."""
    if isinstance(error, AppError):
        return error
    if is_passing(error):
        log.warning("request_could_not_be_served", error=type(error).__name__)
        return Unavailable()
    log.error("request_failed", exc_info=error, method=cast("HTTPScope", scope)["method"], route=route_of(scope))
    return InternalError()


def problems(*errors: type[AppError]) -> dict[int, ResponseSpec]:
    """Declare on a handler the failures of its own; those that every operation may answer are added.

    The document tells each code in the description of its status.
    """
    by_status: dict[int, dict[str, str]] = {}
    for error in (*_ALWAYS, *errors):
        by_status.setdefault(error.status, {})[error.code] = error.title()
    return {
        status: ResponseSpec(
            Problem,
            description="\n".join(f"* `{code}`: {title}" for code, title in codes.items()),
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status, codes in sorted(by_status.items())
    }


def catalogue() -> dict[str, type[AppError]]:
    """Every code that may be answered, with the first class that declares it."""
    found: dict[str, type[AppError]] = {}
    waiting: list[type[AppError]] = [AppError]
    while waiting:
        error = waiting.pop(0)
        waiting += error.__subclasses__()
        if error is not AppError:
            found.setdefault(error.code, error)
    return dict(sorted(found.items()))


class Answering:
    """The handlers of exceptions: one for our errors, one for the framework's, one for everything else."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url

    def app_error(self, request: Request[Any, Any, State], error: AppError) -> Response[Any]:  # Any: no user, no auth
        """A failure that a caller can act on."""
        del request
        return self._answer(error)

    def http_error(self, request: Request[Any, Any, State], error: HTTPException) -> Response[Any]:  # Any: as above
        """The framework's own refusals, in our words: its text may hold the query string."""
        if isinstance(error, ValidationException):
            plan = exchange_of(request.scope).plan
            return self._answer(Invalid(errors=_faults(error, {} if plan is None else plan.pointers)))
        known = _BY_STATUS.get(error.status_code)
        if known is None:
            known = Malformed if error.status_code < 500 else InternalError  # noqa: PLR2004 - HTTP's own border
        refused = known()
        answer = self._answer(refused)
        allow = (error.headers or {}).get("allow")
        if allow is not None:
            answer.headers["Allow"] = ", ".join(sorted(allowed(allow.split(", "))))
        return answer

    def unexpected(self, request: Request[Any, Any, State], error: Exception) -> Response[Any]:  # Any: as above
        """A bug, or a server that is away: nothing of it reaches the caller."""
        return self._answer(refusal_of(error, request.scope))

    def _answer(self, error: AppError) -> Response[Any]:  # Any: bytes, written already
        body = msgspec.json.encode(problem_of(error, self._public_url))
        return Response(body, status_code=error.status, headers=headers_of(error), media_type=MEDIA_TYPE)


def allowed(methods: Iterable[str]) -> set[str]:
    """The methods of a resource: wherever GET is, HEAD is."""
    found = set(methods)
    return found | {"HEAD"} if "GET" in found else found


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, TenantContextMissing):
        return False
    if is_away(error) or isinstance(error, InterfaceError | NoConnectionFree):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = cast("str", getattr(error.orig, "sqlstate", None) or "")
    return state.startswith(_PASSING)


def _faults(error: ValidationException, pointers: Mapping[str, str]) -> Sequence[Fault]:
    extra = cast("list[dict[str, str]]", error.extra if isinstance(error.extra, list) else [])
    return [
        Fault(
            pointer=pointers.get(part.get("key", ""), f"/query/{part.get('key', '')}"),
            code="invalid_value",
            message=part.get("message", ""),
        )
        for part in extra[:20]
    ]
