"""The outermost layer: request ids, HEAD, addresses, and the headers that every answer carries, also a 404 or a 500."""

import secrets
import time
from typing import Final, cast

from litestar import Litestar
from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Message, Receive, Scope, Send

from api import exchange as exchanges
from api import problems
from api.exchange import Exchange
from api.resources import ApiSettings, Resources
from kernel.errors import AppError, Malformed, NotFound
from runtime import logs

_STANDING: Final = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"vary", b"Authorization, Accept, Relance-Version"),
]
_SECURE: Final = (b"strict-transport-security", b"max-age=31536000")


class Api(Litestar):
    """The application with its edge around it."""

    resources: Resources
    settings: ApiSettings

    def stand(self, resources: Resources, settings: ApiSettings) -> None:
        """Give the edge what it needs; `create_app` does this."""
        self.resources, self.settings = resources, settings

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        await self._answer(scope, cast("Receive", receive), cast("Send", send))

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = f"req_{secrets.token_hex(12)}"
        exchange = Exchange(request_id, scope["path"], scope["query_string"], self.resources.database)
        asked = scope["method"]
        headers = dict(scope["headers"])
        inner = cast("HTTPScope", scope | {"state": dict(cast("dict[str, dict[str, object]]", scope).get("state", {}))})
        if asked == "HEAD":
            inner["method"] = "GET"
        exchanges.put(inner, exchange)
        status = 0

        async def decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name.lower() for name, _ in message["headers"]}  # a page may have a policy of its own
                more = [header for header in self._standing(exchange) if header[0] not in own]
                message["headers"] = [*message["headers"], *more]
                if asked == "OPTIONS":
                    message["headers"] = _with_allow(inner, message["headers"])
            elif message["type"] == "http.response.body" and asked == "HEAD":
                message["body"] = b""
            await send(message)

        with logs.context(request_id=request_id):
            refused = _address_fault(scope, headers)
            if refused is None:
                await super().__call__(inner, receive, decorated)
            else:
                await self._refuse(refused, decorated)
        route = exchanges.route_of(inner) or "none"
        self.resources.metrics.observe_request(asked, route, status, time.perf_counter() - began)

    def _standing(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        more = [(b"request-id", exchange.request_id.encode()), *exchange.headers, *_STANDING]
        if self.settings.public_url.startswith("https:"):
            more.append(_SECURE)
        if self.resources.drain.begun:
            more.append((b"connection", b"close"))
        return more

    async def _refuse(self, error: AppError, send: Send) -> None:
        status, headers, body = problems.written(error, self.settings.public_url)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _address_fault(scope: HTTPScope, headers: dict[bytes, bytes]) -> AppError | None:
    """A resource has one address, and no part of a request holds a NUL."""
    path = scope["path"]
    if (path.endswith("/") and path != "/") or "//" in path or "\0" in path:
        return NotFound()
    if any(b"\0" in value for value in headers.values()):
        return Malformed("A header holds a NUL character.")
    return None


def _with_allow(scope: HTTPScope, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The methods of the address: the framework's own list misses those that were registered later."""
    template = exchanges.route_of(scope)
    routes = scope["litestar_app"].routes
    methods = {str(method) for route in routes if route.path_format == template for method in route.methods}
    others = [(name, value) for name, value in headers if name.lower() != b"allow"]
    return [*others, (b"allow", ", ".join(sorted(problems.allowed(methods))).encode())]
