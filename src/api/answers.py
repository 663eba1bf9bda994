"""Answers as they go out: `ETag` of a versioned object, `Location` of a new one, what was expanded."""

from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from msgspec import Struct

from api.etags import etag_of
from api.exchange import Exchange, exchange_of

T = TypeVar("T")
_CREATED: Final = 201


class Answer(Response[T]):
    """What a handler's return value becomes."""

    def to_asgi_response(
        self,
        app: Litestar | None,
        request: Request[Any, Any, Any],  # Any: there is no user and no auth of the framework's
        **options: Any,  # Any: as the framework has them
    ) -> ASGIResponse:
        content: object = self.content
        if isinstance(content, Struct):
            self._describe(content, exchange_of(request.scope), self.status_code or options.get("status_code"))
        return super().to_asgi_response(app, request, **options)  # pyright: ignore[reportUnknownMemberType]

    def _describe(self, content: Struct, exchange: Exchange, status: int | None) -> None:
        version = getattr(content, "version", None)
        if isinstance(version, int) and not exchange.expands:
            self.headers.setdefault("ETag", etag_of(version))
        made = getattr(content, "id", None)
        if status == _CREATED and isinstance(made, str):
            self.headers.setdefault("Location", f"{quote(exchange.path)}/{made}")


def with_expanded(body: bytes, exchange: Exchange) -> bytes:
    """The answer's object with `expanded` as its last field."""
    if not exchange.expands or not body.endswith(b"}") or body == b"{}":
        return body
    return body[:-1] + b',"expanded":' + msgspec.json.encode(exchange.expanded) + b"}"
