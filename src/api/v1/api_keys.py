"""API keys: the credentials of programs. The model for a resource module; docs/api-handlers.md walks through it."""

from datetime import datetime, timedelta
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.fields import Instant, Name
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from storage.session import TenantSession
from tenants import access, keys, queries
from tenants.caller import SCOPE_WORDS, Caller
from tenants.errors import ApiKeyNotActive, ApiKeyNotFound, ScopeNotHeld, ScopeUnknown
from tenants.views import ApiKeyView, NewApiKey

MAX_SCOPES = 100
Scope = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=60,
        description="A scope, or several by a star: `invoices:*`, `*:read`, `*`.",
        extra_json_schema={"enum": list(SCOPE_WORDS)},
    ),
]


class ApiKeyIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=MAX_SCOPES)]
    expires_at: Instant | None = None


class Rotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a key is to be replaced."""

    grace_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400  # how long the old key still works


class ApiKeys(Controller):
    """The keys of the tenant; a key's secret is shown once."""

    path = "/v1/api_keys"
    tags = ["API keys"]

    @post(
        operation_id="createApiKey",
        opt=needs("api_keys:write", one_time=("secret",)),
        responses=problems(ScopeUnknown, ScopeNotHeld),
    )
    async def create(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        caller: NamedDependency[Caller],
        data: JSONBody[ApiKeyIn],
    ) -> NewApiKey:
        """Make a key. It can carry only scopes that the calling key carries."""
        return await keys.create(
            session, name=data.name, scopes=data.scopes, expires_at=data.expires_at, now=now, by=caller
        )

    @get(operation_id="listApiKeys", opt=needs("api_keys:read"), responses=problems(CursorInvalid))
    async def index(self, session: NamedDependency[TenantSession], page: NamedDependency[Page]) -> PageOf[ApiKeyView]:
        """List the keys, the newest first, the ended ones included."""
        rows = await queries.api_keys(session, after=page.after_id(), limit=page.fetch)
        return page.of(rows, ApiKeyView.of, lambda row: [row.id.hex])

    @get("/{key_id:str}", operation_id="getApiKey", opt=needs("api_keys:read"), responses=problems(ApiKeyNotFound))
    async def read(self, session: NamedDependency[TenantSession], key_id: FromPath[str]) -> ApiKeyView:
        """Read one key, without its secret."""
        return ApiKeyView.of(await access.api_key(session, ids.decode("key", key_id)))

    @post(
        "/{key_id:str}/rotate",
        operation_id="rotateApiKey",
        opt=needs("api_keys:write", one_time=("secret",)),
        responses=problems(ApiKeyNotFound, ApiKeyNotActive, PreconditionFailed),
    )
    async def rotate(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        key_id: FromPath[str],
        data: JSONBody[Rotation],
    ) -> NewApiKey:
        """Replace a key by a new one of the same scopes; the old one works until its grace is over."""
        return await keys.rotate(
            session,
            ids.decode("key", key_id),
            grace=timedelta(seconds=data.grace_s),
            now=now,
            expected_version=expected_version,
        )

    @post(
        "/{key_id:str}/revoke",
        operation_id="revokeApiKey",
        status_code=200,
        opt=needs("api_keys:write"),
        responses=problems(ApiKeyNotFound, ApiKeyNotActive, PreconditionFailed),
    )
    async def revoke(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        key_id: FromPath[str],
    ) -> ApiKeyView:
        """End a key. Every process refuses it within five seconds."""
        return await keys.revoke(session, ids.decode("key", key_id), now, expected_version=expected_version)
