"""`?expand=debtor,payments`: objects that an answer names by id, given along in `expanded`, by id.

    if expand.wants("debtor"):
        expand.put(await queries.debtors_by_id(session, {view.debtor_id for view in views}))

One query per kind whatever the size of the page; an answer with expanded objects carries no ETag.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Protocol

from litestar.params import QueryParameter
from msgspec import Struct

from api.exchange import Exchange
from kernel.errors import Fault, Invalid

MAX_EXPAND: Final = 200

ExpandQuery = Annotated[
    str | None,
    QueryParameter(
        name="expand",
        min_length=1,
        max_length=MAX_EXPAND,
        description="What the answer names by id and is to be given along, separated by commas.",
    ),
]


class Named(Protocol):
    """A view with an id."""

    @property
    def id(self) -> str:
        """The prefixed id."""
        ...


class Expand(Struct, frozen=True):
    """What a request wants expanded."""

    names: frozenset[str]
    exchange: Exchange

    def wants(self, name: str) -> bool:
        """Whether objects of a kind were asked for."""
        return name in self.names

    def put(self, views: Iterable[Named]) -> None:
        """Give these along."""
        self.exchange.expanded.update((view.id, view) for view in views)


def expand_of(exchange: Exchange, asked: str | None, possible: Iterable[str]) -> Expand:
    """Read what is to be expanded; raises Invalid for what the operation cannot."""
    if asked is None:
        return Expand(frozenset(), exchange)
    names, known = frozenset(asked.split(",")), frozenset(possible)
    if not names <= known:
        message = f"one or more of {', '.join(sorted(known))}, separated by commas"
        raise Invalid(errors=[Fault(pointer="/query/expand", code="invalid_value", message=message)])
    exchange.expands = True
    return Expand(names, exchange)
