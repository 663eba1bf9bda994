"""What a handler may ask for by name: `session`, `now`, `caller`, `page`, `expected_version`, `required_version`."""

from datetime import datetime
from typing import Annotated, Any

from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter
from litestar.types import Scope

from api import etags
from api.exchange import Exchange, exchange_of
from api.expanding import Expand, ExpandQuery, expand_of
from api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from api.resources import Resources
from storage.clocks import now_of
from storage.idempotency import Opening
from storage.session import TenantSession, memory
from tenants.caller import Caller

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag of the version that is to be changed.")
]


async def session(scope: Scope) -> TenantSession:
    """The request's transaction in its caller's tenant; the gateway commits it before the answer leaves."""
    return await exchange_of(scope).open()


async def now(session: NamedDependency[TenantSession]) -> datetime:
    """The tenant's business time, read once and passed down; taking an Idempotency-Key has brought it along."""
    return memory(session, Opening).now_at or await now_of(session)


def caller(scope: Scope) -> Caller:
    """Who is asking."""
    found = exchange_of(scope).caller
    if found is None:
        raise RuntimeError("a handler without a scope has no caller")
    return found


def exchange(scope: Scope) -> Exchange:
    """The request as the layers see it, for a header of the answer."""
    return exchange_of(scope)


def expected_version(if_match: IfMatch = None) -> int | None:
    """The version named by If-Match, or None when anything may be changed."""
    return etags.expected_version(if_match)


def required_version(if_match: IfMatch = None) -> int | None:
    """The same where If-Match must be sent."""
    return etags.required_version(if_match)


def dependencies(resources: Resources) -> dict[str, Provide | Any]:  # Any: the framework's own type of this mapping
    """Everything by name."""

    def page(scope: Scope, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page:
        return page_of(exchange_of(scope), resources.signing_secret, limit, cursor)

    def expand(scope: Scope, asked: ExpandQuery = None) -> Expand:
        return expand_of(exchange_of(scope), asked, scope["route_handler"].opt.get("expand", ()))

    def everything() -> Resources:
        return resources

    return {
        "session": Provide(session),
        "now": Provide(now),
        "caller": Provide(caller, sync_to_thread=False),
        "exchange": Provide(exchange, sync_to_thread=False),
        "expand": Provide(expand, sync_to_thread=False),
        "page": Provide(page, sync_to_thread=False),
        "expected_version": Provide(expected_version, sync_to_thread=False),
        "required_version": Provide(required_version, sync_to_thread=False),
        "resources": Provide(everything, sync_to_thread=False),
    }
