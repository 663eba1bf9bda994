"""A batch: the documents that one transaction brings in, and what becomes of each."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from billing_connectors.documents.canonical import Document, Kind
from billing_connectors.documents.report import Status
from kernel.errors import AppError
from storage.encryption import KeyRing
from storage.session import TenantSession

Identity = tuple[Kind, str]


class Item(Struct, kw_only=True):
    """One document on its way in; it is settled as soon as it has a status."""

    place: str  # '' for a whole file, else the line
    document: Document
    said: bytes  # the digest of what its source says of it
    creditor_id: UUID | None = None
    name: str = ""  # among the documents of its kind: creditor, year of issue, number
    debtor_id: UUID | None = None
    object_id: UUID | None = None  # the invoice or credit note that it is
    status: Status | None = None
    reason: str | None = None
    detail: str | None = None
    warnings: list[str] = field(default_factory=list[str])
    told: bool = False  # something that it says is new, of the document or of the debtor
    seen: bool = False  # it had been brought in before, word for word
    lead_id: UUID | None = None  # what its name in its source leads to since somebody settled that
    candidates: tuple[UUID, ...] = ()  # debtors, one of whom its buyer may be
    chosen_debtor_id: UUID | None = None  # by a person, whatever the buyer looks like
    is_new_debtor: bool = False  # says a person
    is_itself: bool = False  # says a person: its other names lead elsewhere and do not count

    @property
    def identity(self) -> Identity:
        """What identifies the document: its kind and its name."""
        return self.document.kind, self.name

    @property
    def reading_name(self) -> str:
        """The name of its reading: an export says one thing at a time, of e-invoices each is kept."""
        source = self.document.format
        return source if self.place else f"{source}:{self.said.hex()[:16]}"

    def belong_to(self, creditor_id: UUID) -> None:
        """Give it its creditor, and with it its name."""
        self.creditor_id = creditor_id
        self.name = f"{creditor_id}/{self.document.issued_on.year}/{self.document.number}"

    def settle(self, status: Status, reason: str | None = None, detail: str | None = None) -> None:
        """Say what became of it."""
        self.status, self.reason, self.detail = status, reason, detail


class Batch(Struct):
    """Documents of one file, and the transaction that brings them in."""

    session: TenantSession
    keys: KeyRing
    now: datetime
    items: list[Item]

    def open_items(self, kind: Kind | None = None) -> list[Item]:
        """What is not settled yet."""
        return [item for item in self.items if item.status is None and kind in {None, item.document.kind}]


def faults_of(error: AppError) -> str:
    """What is wrong, in words."""
    return "; ".join(f"{fault.pointer}: {fault.message}" for fault in error.errors) or error.detail or error.title()
