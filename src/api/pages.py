"""Lists: a keyset page at a time, an opaque signed cursor, and no total.

rows = await queries.holds(session, debtor_id=…, after=page.after, limit=page.fetch)
return page.of(rows, HoldView.of, lambda row: [row.id.hex])
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

from litestar.params import QueryParameter
from msgspec import Struct

from api.exchange import Exchange
from kernel import cursors

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 25
MAX_CURSOR: Final = 500
_VERSION: Final = "1"  # of what a position holds; raised when a list changes its order

R = TypeVar("R")
V = TypeVar("V")

Limit = Annotated[
    int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many at most; the next page follows by next_cursor.")
]
Cursor = Annotated[
    str | None,
    QueryParameter(
        min_length=1, max_length=MAX_CURSOR, description="next_cursor of the page before, else the first page."
    ),
]


class PageOf(Struct, Generic[V], frozen=True, kw_only=True):
    """One page of a list."""

    data: list[V]
    has_more: bool
    next_cursor: str | None


class Page(Struct, frozen=True):
    """Which page was asked for: `limit` rows after the position `after` (None: from the start)."""

    limit: int
    after: list[Any] | None  # Any: what the list's sort key holds
    scope: str
    secret: bytes
    exchange: Exchange

    @property
    def fetch(self) -> int:
        """How many rows to read: one more than are shown tells whether there are more."""
        return self.limit + 1

    def after_id(self) -> UUID | None:
        """The position where it is one id."""
        return None if self.after is None else UUID(hex=self.after[0])

    def after_int(self) -> int | None:
        """The position where it is one number."""
        return None if self.after is None else int(self.after[0])

    def of(
        self,
        rows: Sequence[R],
        view: Callable[[R], V],
        position: Callable[[R], list[Any]],  # Any: what the list's sort key holds
        *,
        grows: bool = False,
    ) -> PageOf[V]:
        """Show the page; `position` gives a row's sort key, which the next page begins after.

        A list that `grows` at its end gives a cursor also where there is no more yet: it goes on with what comes.
        """
        shown = rows[: self.limit]
        has_more = len(rows) > self.limit
        cursor = None
        if has_more or grows:
            last = position(shown[-1]) if shown else self.after
            cursor = None if last is None else cursors.seal(self.secret, self.scope, last)
        if has_more and cursor is not None:
            self.exchange.headers.append((b"link", f'<{self._address(cursor)}>; rel="next"'.encode()))
        return PageOf(data=[view(row) for row in shown], has_more=has_more, next_cursor=cursor)

    def _address(self, cursor: str) -> str:
        kept = [(name, value) for name, value in _query(self.exchange) if name != "cursor"]
        return f"{quote(self.exchange.path)}?{urlencode([*kept, ('cursor', cursor)])}"


def page_of(exchange: Exchange, secret: bytes, limit: int, cursor: str | None) -> Page:
    """Read which page is asked for; raises CursorInvalid for a cursor of another list, filter or tenant."""
    filters = sorted((name, value) for name, value in _query(exchange) if name not in {"cursor", "limit"})
    described = f"{_VERSION}|{exchange.tenant_id}|{exchange.path}|{urlencode(filters)}"
    scope = hashlib.sha256(described.encode()).hexdigest()
    after = None if cursor is None else cursors.open_(secret, scope, cursor)
    return Page(limit, after, scope, secret, exchange)


def _query(exchange: Exchange) -> list[tuple[str, str]]:
    return parse_qsl(exchange.query_string.decode("latin-1"), keep_blank_values=True)
