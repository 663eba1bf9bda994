"""A desk: where documents are brought in, and what it answers about each."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy.exc import DBAPIError

from billing_connectors.batches import Item
from billing_connectors.csv_files.mapping import CsvMapping
from billing_connectors.documents.canonical import Document, Refusal
from billing_connectors.documents.report import Verdict, judged, refused
from billing_connectors.sellers import Creditors, seller_of
from billing_connectors.terms import Agreed, with_terms
from receivables.errors import IdentifierTaken
from storage.blobs import PostgresBlobs
from storage.encryption import KeyRing
from storage.session import TenantSession

if TYPE_CHECKING:  # a worker's start waits for no reader of documents
    from billing_connectors.documents.confined import ConfinedReader

TRIES: Final = 3  # of a transaction that met another: a deadlock, or a debtor who got the same legal id meanwhile
_MET_ANOTHER: Final = frozenset({"40001", "40P01"})


class Judged(Struct, frozen=True):
    """A verdict, with the line of an export that it is about and the reason in words."""

    verdict: Verdict
    line: int | None = None
    detail: str | None = None


class Desk(Struct, frozen=True, kw_only=True):
    """Where documents are brought in: one tenant, its creditor where one was named, how its exports are read."""

    open: Callable[[], AbstractAsyncContextManager[TenantSession]]
    keys: KeyRing
    blobs: PostgresBlobs
    reader: "ConfinedReader"
    mapping: CsvMapping
    creditor_id: UUID | None = None
    agreed: Agreed = Agreed()  # said for these documents, before what their creditor states


class Read(Struct, frozen=True):
    """A document with its place in the file and the digest of what it says."""

    place: str
    document: Document
    said: bytes


def item_of(desk: Desk, read: Read, creditors: Creditors) -> Item:
    """A document with its creditor, or refused because it has none."""
    seller = seller_of(read.document, creditors)
    item = Item(place=read.place, document=read.document, said=read.said)
    if seller.creditor_id is None:
        item.settle("rejected", seller.reason)
        return item
    item.belong_to(seller.creditor_id)
    item.document = with_terms(read.document, creditors.agreed(seller.creditor_id, desk.agreed))
    if seller.unchecked:
        item.warnings.append("seller_unchecked")
    return item


def met_another(error: Exception) -> bool:
    """Whether a transaction may be tried again: it lost to another one."""
    if isinstance(error, IdentifierTaken):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _MET_ANOTHER


def judgement(name: str, item: Item) -> Judged:
    """What became of an item."""
    verdict = judged(name, item.document, item.status or "rejected", reason=item.reason, warnings=item.warnings)
    return Judged(verdict, int(item.place) if item.place else None, item.detail)


def refusal(name: str, said: Refusal, line: int | None = None) -> Judged:
    """What could not be read."""
    detail = f"{said.column}: {said.detail}" if said.column else said.detail
    return Judged(refused(name, said), line, detail or None)
