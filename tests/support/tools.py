"""An accounting tool for tests of the seam: invoices that change, pages with a cursor, faults on demand."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import msgspec
from msgspec import structs

from billing_connectors.documents.canonical import Document, Kind, Party, Refusal
from billing_connectors.sources.models import Absence
from billing_connectors.sources.ports import Gone, Page, Record, SourceAway

ISSUED = date(2026, 2, 18)


class Tool:
    """A ledger of its own. Each change has the next revision, which is also the cursor."""

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.revision = 0
        self.now: dict[str, Document | Refusal | Absence] = {}
        self.changed: dict[str, int] = {}
        self.away: str | None = None
        self.asked: list[str] = []

    def put(self, remote_id: str, **facts: Any) -> None:  # Any: fields of a document
        """An invoice is written or changed."""
        known = self.now.get(remote_id)
        document = known if isinstance(known, Document) else invoice(remote_id)
        self._set(remote_id, structs.replace(document, **facts))

    def pay(self, remote_id: str, left_minor: int) -> None:
        """Some of it was paid."""
        self.put(remote_id, amount_due_minor=left_minor)

    def spoil(self, remote_id: str, reason: str = "bad_amount") -> None:
        """It can no longer be read."""
        self._set(remote_id, Refusal(reason=reason, detail="total: not a number"))

    def remove(self, remote_id: str, absence: Absence = Absence.DELETED) -> None:
        """It is there no more."""
        self._set(remote_id, absence)

    def _set(self, remote_id: str, what: Document | Refusal | Absence) -> None:
        self.revision += 1
        self.now[remote_id], self.changed[remote_id] = what, self.revision

    def record(self, remote_id: str) -> Record | Gone:
        """A record as it is now."""
        what, revision = self.now[remote_id], self.changed[remote_id]
        if isinstance(what, Absence):
            return Gone(kind="invoice", remote_id=remote_id, absence=what, revision=revision)
        raw = msgspec.json.encode({"id": remote_id, "revision": revision})
        return Record(kind="invoice", remote_id=remote_id, content=what, raw=raw, revision=revision)

    async def read(self, cursor: str | None) -> AsyncIterator[Page]:
        """What has changed after a cursor, in the order of its changes."""
        self._answer()
        waiting = sorted((when, name) for name, when in self.changed.items() if when > int(cursor or 0))
        for start in range(0, len(waiting) or 1, self.page):
            part = waiting[start : start + self.page]
            read = [self.record(name) for _, name in part]
            yield Page(
                records=tuple(each for each in read if isinstance(each, Record)),
                gone=tuple(each for each in read if isinstance(each, Gone)),
                next_cursor=str(part[-1][0]) if part else cursor,
                complete=start + self.page >= len(waiting),
            )

    async def get(self, kind: Kind, remote_id: str) -> Record | Gone:
        """One record as it is now."""
        del kind
        self._answer()
        self.asked.append(remote_id)
        return self.record(remote_id)

    def _answer(self) -> None:
        if self.away is not None:
            raise SourceAway(self.away)


def invoice(number: str) -> Document:
    """An invoice of 120.00 to one buyer, due in thirty days."""
    return Document(
        kind="invoice", format="tool", number=number, issued_on=ISSUED, due_on=ISSUED + timedelta(days=30),
        due_on_source="document", currency="EUR", total_minor=120_00, amount_due_minor=120_00,
        seller=Party(), buyer=Party(name="Boulangerie Martin", email="compta@martin.example", account_code="C1"),
    )  # fmt: skip
