"""What every operation passes before its handler runs, and its answer before it is sent.

In this order: who is it (401), may it (403), how often (429), which version, can it be read (400, 415, 422), was it
asked before (a replay), then the handler inside one transaction. The transaction ends here, before the first byte of
the answer leaves: a commit that fails is an error the caller sees, and the kept answer of an Idempotency-Key is part
of the same commit. This is a middleware and not a dependency because only here are the bytes of the answer known.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from api import bodies, idempotency, versions
from api.answers import with_expanded
from api.auth import Doorkeeper
from api.errors import (
    BodyNotTaken,
    BodyTooLarge,
    NotAcceptable,
    RateLimited,
    Unavailable,
    UnsupportedMediaType,
)
from api.etags import is_known
from api.exchange import Exchange, Plan, QueryKind, exchange_of
from api.files import JSON as JSON_MEDIA
from api.files import accepted
from api.problems import refusal_of, written
from api.resources import MAX_BODY_BYTES, Allowance, ApiSettings, Resources
from api.spooling import Spool
from kernel.errors import AppError, Fault, Forbidden, Invalid, Malformed
from runtime import logs
from storage import idempotency as kept_answers
from storage.idempotency import Kept
from tenants.caller import require

JSON: Final = frozenset({b"application/json", b"application/merge-patch+json"})
FILES: Final = frozenset(
    {
        b"application/octet-stream", b"text/csv", b"text/plain", b"text/tab-separated-values", b"application/csv",
        b"application/x-ndjson", b"application/ndjson", b"application/jsonl",
        b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"application/vnd.ms-excel",
        b"application/pdf", b"application/xml", b"text/xml", b"application/zip",
    }
)  # fmt: skip
MAX_SPOOLS: Final = 8  # files that one process takes in at once
_BODIES: Final = frozenset({"POST", "PUT", "PATCH"})
_REFUSED: Final = 400
_NOT_MODIFIED: Final = 304
_OK: Final = 200


class _RollBack(Exception):
    """Ends a transaction whose request was refused."""


class Gateway(ASGIMiddleware):
    """Stands before every handler; `plans` is filled when the application knows its routes."""

    def __init__(self, resources: Resources, settings: ApiSettings) -> None:
        self._resources, self._settings = resources, settings
        self._doorkeeper = Doorkeeper(resources, settings.key_cache_s)
        self.plans: dict[HTTPRouteHandler, Plan] = {}
        self._spooling = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scope = cast("HTTPScope", scope)
        plan = self.plans.get(cast("HTTPRouteHandler", scope["route_handler"]))
        if plan is None or plan.scope is None:  # OPTIONS, health, documents
            await next_app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        exchange.plan = plan
        headers = dict(scope["headers"])
        await self._admit(exchange, plan, plan.scope, headers)
        with logs.context(tenant_id=exchange.tenant_id, actor=_caller_id(exchange)):
            try:
                await self._serve(scope, receive, send, next_app, headers)
            finally:
                if exchange.spool is not None:
                    exchange.spool.close()

    async def _serve(
        self, scope: HTTPScope, receive: Receive, send: Send, next_app: ASGIApp, headers: Mapping[bytes, bytes]
    ) -> None:
        exchange, method = exchange_of(scope), str(scope["method"])
        plan = cast("Plan", exchange.plan)
        exchange.api_version = versions.version_of(_text(headers, versions.HEADER), exchange.api_version)
        exchange.headers.append((versions.HEADER, exchange.api_version.encode()))
        exchange.media = _answer_media(headers, plan)
        _check_query(exchange, plan)
        key = None
        if method in _BODIES:
            await self._take_in(exchange, plan, headers, receive)
            receive = _already(exchange.body)
            key = idempotency.key_of(_text(headers, idempotency.HEADER), plan) if method == "POST" else None
        outbox = Outbox()
        try:
            kept = None if key is None else await self._begin(exchange, method, key)
            if kept is None:
                await next_app(scope, receive, outbox.take)
                outbox.expand(exchange)
                await self._end(exchange, plan, key, outbox)
            else:
                self._resources.metrics.idempotency_replays_total.inc()
                outbox.replay(kept)
                await close(exchange, keep=False)
        except Exception as error:
            await close(exchange, keep=False)
            if not outbox.status:
                raise
            outbox.refuse(refusal_of(error, scope), self._settings.public_url)  # it ended well, its commit did not
        except BaseException:
            await close(exchange, keep=False)
            raise
        outbox.conclude(exchange, plan, _text(headers, b"if-none-match") if method == "GET" else None)
        await outbox.send(send)

    async def _admit(self, exchange: Exchange, plan: Plan, scope: str, headers: Mapping[bytes, bytes]) -> None:
        found = await self._doorkeeper.recognise(_text(headers, b"authorization"), exchange.request_id)
        exchange.caller, exchange.tenant_id = found.caller, found.tenant_id
        exchange.api_version = found.api_version
        if self._resources.limiter is not None:
            allowance = await self._resources.limiter.take(found.caller.id, found.tenant_id.hex)
            if allowance is not None:
                exchange.headers += limit_headers(allowance)
                if not allowance.allowed:
                    raise RateLimited(allowance.retry_after_s)
        try:
            require(found.caller, scope)
        except Forbidden:
            await self._doorkeeper.note_forbidden(exchange, plan.operation_id, scope)
            raise

    async def _take_in(self, exchange: Exchange, plan: Plan, headers: Mapping[bytes, bytes], receive: Receive) -> None:
        if plan.upload is not None:
            await self._spool(exchange, plan.upload, headers, receive)
            return
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                body = await _read(headers, receive)
        except TimeoutError:
            raise Malformed("The body did not arrive in time.") from None
        if body and _media(headers) not in JSON:
            raise UnsupportedMediaType
        bodies.decode(exchange, body)
        if plan.body is None and not bodies.is_empty(exchange.content):
            raise BodyNotTaken
        if plan.body is not None and not body:
            raise Malformed("The body is missing.")

    async def _spool(self, exchange: Exchange, limit: int, headers: Mapping[bytes, bytes], receive: Receive) -> None:
        """Take a file in; what announces itself as too large is refused before it is read."""
        if _media(headers) not in FILES:
            raise UnsupportedMediaType("Send the bytes of the file as application/octet-stream.")
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit():
            raise Malformed
        if int(announced[:20]) > limit:
            raise BodyTooLarge
        if self._spooling >= MAX_SPOOLS:
            raise Unavailable
        self._spooling += 1
        exchange.spool = Spool()
        try:
            timeout_s = self._settings.body_timeout_s
            await exchange.spool.take(receive, limit=limit, too_large=BodyTooLarge, timeout_s=timeout_s)
        finally:
            self._spooling -= 1

    async def _begin(self, exchange: Exchange, method: str, key: str) -> Kept | None:
        session = await exchange.open()
        ring, print_ = self._resources.database.keys, idempotency.fingerprint(method, exchange)
        return await kept_answers.begin(  # allow: commit, what begins is the request, not a transaction
            session, ring, _caller_id(exchange), key, print_
        )

    async def _end(self, exchange: Exchange, plan: Plan, key: str | None, outbox: "Outbox") -> None:
        if outbox.status >= _REFUSED or exchange.looks_only:
            await close(exchange, keep=False)
            return
        if key is not None:
            session = await exchange.open()
            headers = [*outbox.headers, *exchange.headers]
            kept = idempotency.kept_of(outbox.status, headers, outbox.body, plan)
            await kept_answers.finish(session, self._resources.database.keys, _caller_id(exchange), key, kept)
        await close(exchange, keep=True)


async def close(exchange: Exchange, *, keep: bool) -> None:
    """End the request's transaction, if it has begun: commit it, or roll it back."""
    unit, exchange.unit, exchange.session = exchange.unit, None, None
    if unit is None:
        return
    if keep:
        await unit.__aexit__(None, None, None)
        return
    refused = _RollBack()
    await unit.__aexit__(_RollBack, refused, None)


class Outbox:
    """Holds an answer back until the transaction has ended."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return b"".join(self._parts)

    async def take(self, message: Message) -> None:
        """What the handler sends."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self._parts.append(message["body"])

    def expand(self, exchange: Exchange) -> None:
        """Give along what was asked for."""
        if self.status < _REFUSED:
            self._parts = [with_expanded(self.body, exchange)]

    def replay(self, kept: Kept) -> None:
        """Answer as before."""
        self.status, self._parts = kept.status, [kept.body]
        self.headers = [(name.encode(), value.encode()) for name, value in kept.headers.items()]
        self.headers.append(idempotency.REPLAYED)

    def refuse(self, error: AppError, public_url: str) -> None:
        """Answer a failure in place of what the handler had answered."""
        self.status, self.headers, body = written(error, public_url)
        self._parts = [body]

    def conclude(self, exchange: Exchange, plan: Plan, if_none_match: str | None) -> None:
        """Write the answer for the caller's version, or say that it holds it already."""
        if self.status >= _REFUSED:
            return
        etag = next((value for name, value in self.headers if name == b"etag"), None)
        if etag is not None and self.status == _OK and is_known(if_none_match, etag.decode()):
            self.status, self._parts = _NOT_MODIFIED, []
            self.headers = [(name, value) for name, value in self.headers if name == b"etag"]
            return
        self._parts = [versions.rewritten(self.body, plan.operation_id, exchange.api_version)]

    async def send(self, send: Send) -> None:
        """Let the answer go."""
        body = self.body
        headers = [(name, value) for name, value in self.headers if name != b"content-length"]
        if self.status not in (204, _NOT_MODIFIED):
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def limit_headers(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """The `RateLimit` pair of draft-ietf-httpapi-ratelimit-headers-10."""
    return [(b"ratelimit-policy", allowance.policy.encode()), (b"ratelimit", allowance.left.encode())]


def _caller_id(exchange: Exchange) -> str:
    return "" if exchange.caller is None else exchange.caller.id


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def _answer_media(headers: Mapping[bytes, bytes], plan: Plan) -> str:
    """Which form of the answer is asked for; an operation that has only JSON is not particular."""
    accept = headers.get(b"accept", b"")
    if plan.media:
        found = accepted(accept.decode("latin-1"), (JSON_MEDIA, *plan.media))
        if found is not None:
            return found
    if not accept or b"*/*" in accept or b"json" in accept or b"application/*" in accept or plan.own_media in accept:
        return JSON_MEDIA
    raise NotAcceptable


def _media(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").split(b";")[0].strip().lower()


def _check_query(exchange: Exchange, plan: Plan) -> None:
    """Refuse a parameter that the operation does not know, or that comes twice: a typo must not answer everything."""
    if not exchange.query_string:
        return
    found: list[Fault] = []
    seen: set[str] = set()
    try:
        pairs = parse_qsl(
            exchange.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise Malformed("The query string cannot be read.") from None
    for name, value in pairs:
        pointer = f"/query/{bodies.shown(name)}"
        if name not in plan.query:
            found.append(Fault(pointer=pointer, code="unknown_parameter", message="no such parameter"))
        elif name in seen:
            found.append(Fault(pointer=pointer, code="repeated_parameter", message="given more than once"))
        elif "\0" in value:
            found.append(Fault(pointer=pointer, code="nul", message="text holds no NUL character"))
        elif not _is_plain(plan.query[name], value):
            found.append(Fault(pointer=pointer, code="invalid_value", message="not a value of this parameter"))
        seen.add(name)
    if found:
        raise Invalid(errors=found[: bodies.MAX_FAULTS])


def _is_plain(kind: QueryKind, value: str) -> bool:
    if kind == "truth":
        return value in {"true", "false"}
    return kind == "text" or value.lower() != "null"


async def _read(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit() or int(announced[:20]) > MAX_BODY_BYTES:
        raise BodyTooLarge if announced.isdigit() else Malformed
    parts: list[bytes] = []
    size = 0
    while True:
        message = cast("HTTPReceiveMessage", await receive())
        if message["type"] == "http.disconnect":
            raise Malformed("The body did not arrive.")
        part: bytes = message["body"]
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _already(body: bytes) -> Receive:
    """A body that was read, for the framework to read again."""

    async def receive() -> Any:  # Any: one of the framework's messages
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
