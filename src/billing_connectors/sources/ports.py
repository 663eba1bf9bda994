"""What a connector is, as far as reading goes: pages with a cursor, and one record at once.

The connector translates: what it hands over are canonical documents. It keeps nothing between two calls, and raises
`SourceAway` where the tool does not answer and `CursorExpired` where it no longer knows the cursor.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from billing_connectors.documents.canonical import Document, Kind, Refusal
from billing_connectors.sources.models import Absence


class SourceAway(Exception):
    """The tool does not answer, or not us: nothing is known about its records."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code  # a word of the connectors' error taxonomy, such as timeout or reauth_required


class CursorExpired(Exception):
    """The tool no longer knows the cursor: everything is to be read from the start."""


class Record(Struct, frozen=True, kw_only=True):
    """One record as it was read; `content` is the canonical document, or why there is none."""

    kind: Kind
    remote_id: str
    content: Document | Refusal
    raw: bytes  # as the tool answered, to be mapped again without asking it again
    revision: int | None = None  # grows with each change in the tool: a sequence, or its instant in microseconds


class Gone(Struct, frozen=True, kw_only=True):
    """A record that is in its tool no more."""

    kind: Kind
    remote_id: str
    absence: Absence
    revision: int | None = None


class Page(Struct, frozen=True, kw_only=True):
    """Records that one transaction brings in, and where to go on after them."""

    records: tuple[Record, ...] = ()
    gone: tuple[Gone, ...] = ()
    next_cursor: str | None
    complete: bool = False  # nothing is left to read now


class Connector(Protocol):
    """One tool, asked for one tenant."""

    def read(self, cursor: str | None) -> AsyncIterator[Page]:
        """Everything from a cursor on, page by page; None reads from the start."""
        ...

    async def get(self, kind: Kind, remote_id: str) -> Record | Gone:
        """One record as it is now."""
        ...
