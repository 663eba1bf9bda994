"""One request and its answer, as the layers of the API hand them on."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, cast
from uuid import UUID

from litestar.types import HTTPScope, Scope
from msgspec import Struct

from api.spooling import Spool
from storage.database import Database
from storage.session import TenantSession
from tenants.caller import Caller

_PLACE: Final = "relance"
KeyUse = Literal["optional", "required"]
QueryKind = Literal["text", "truth", "other"]


class Plan(Struct, frozen=True, kw_only=True):
    """What is known of a handler before any request comes; see `routes.needs`."""

    operation_id: str
    scope: str | None  # None: open to everybody
    query: dict[str, QueryKind]  # parameters by their names on the wire
    pointers: dict[str, str]  # where a handler's argument comes from
    body: Any  # Any: the type of the handler's input; None where it takes none
    key: KeyUse
    expand: tuple[str, ...]  # what can be expanded
    media: tuple[str, ...] = ()  # what it answers besides JSON
    one_time: tuple[str, ...]  # fields of the answer that a replay answers with null
    upload: int | None = None  # the body is a file of at most so many bytes, kept aside and not read as JSON
    own_media: bytes = b"application/json"  # of the answer where nothing else is asked for


class Exchange:
    """What has been found out about a request so far, and what its answer is to carry."""

    __slots__ = (
        "api_version", "body", "caller", "content", "database", "expanded", "expands", "headers", "looks_only", "media",
        "path", "plan", "query_string", "request_id", "session", "spool", "tenant_id", "unit",
    )  # fmt: skip

    def __init__(self, request_id: str, path: str, query_string: bytes, database: Database) -> None:
        self.request_id = request_id
        self.path = path
        self.query_string = query_string
        self.database = database
        self.headers: list[tuple[bytes, bytes]] = []  # of the answer
        self.api_version = ""
        self.media = "application/json"  # which form of the answer the Accept header asks for
        self.body = b""
        self.plan: Plan | None = None
        self.content: object = None  # the body, read as JSON
        self.expanded: dict[str, object] = {}  # objects that the answer names, by id
        self.expands = False
        self.spool: Spool | None = None  # the file that came as the body
        self.looks_only = False  # what the handler has written is rolled back, and its answer sent
        self.caller: Caller | None = None
        self.tenant_id: UUID | None = None
        self.session: TenantSession | None = None
        self.unit: AbstractAsyncContextManager[TenantSession] | None = None

    def say(self, name: str, value: str) -> None:
        """Add a header to the answer."""
        self.headers.append((name.lower().encode(), value.encode()))

    async def open(self) -> TenantSession:
        """The request's one transaction in its caller's tenant, begun when first asked for."""
        if self.session is None:
            if self.caller is None or self.tenant_id is None:
                raise RuntimeError("a handler without a scope has no tenant to open")
            self.unit = self.database.tenant(self.tenant_id, self.caller.cause(self.request_id))
            self.session = await self.unit.__aenter__()
        return self.session


def put(scope: Scope, exchange: Exchange) -> None:
    """Keep the exchange with its request."""
    cast("dict[str, object]", scope["state"])[_PLACE] = exchange


def route_of(scope: Scope | HTTPScope) -> str:
    """The template of the route that the request was sent to; empty where there is none."""
    return cast("dict[str, str]", scope).get("path_template", "")


def exchange_of(scope: Scope | HTTPScope) -> Exchange:
    """The exchange that a request belongs to."""
    return cast("Exchange", scope["state"][_PLACE])
