"""Import addresses and what came in, as the world sees them."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from billing_connectors.documents.report import Verdict
from billing_connectors.intakes.models import Channel, Inbox, Intake, IntakeState
from kernel import ids
from receivables.views import encoded

INBOX: Final = "inb"
INTAKE: Final = "itk"


class InboxView(Struct, frozen=True, kw_only=True):
    """An import address: its local part is the id, its domain that of the deployment."""

    id: str
    version: int
    creditor_id: str | None
    senders: list[str]
    closed_at: datetime | None

    @classmethod
    def of(cls, row: Inbox) -> "InboxView":
        """Show an import address."""
        return cls(
            id=ids.encode(INBOX, row.id),
            version=row.version,
            creditor_id=encoded("crd", row.creditor_id),
            senders=row.senders.split("\n") if row.senders else [],
            closed_at=row.closed_at,
        )


class IntakeView(Struct, frozen=True, kw_only=True):
    """Files that came in together, and how many of their documents became what."""

    id: str
    version: int
    channel: Channel
    state: IntakeState
    inbox_id: str | None
    creditor_id: str | None
    size_bytes: Annotated[int, Meta(ge=0)]
    received_at: datetime
    finished_at: datetime | None
    imported: int
    updated: int
    unchanged: int
    rejected: int
    quarantined: int

    @classmethod
    def of(cls, row: Intake) -> "IntakeView":
        """Show an intake."""
        return cls(
            id=ids.encode(INTAKE, row.id),
            version=row.version,
            channel=row.channel,
            state=row.state,
            inbox_id=encoded(INBOX, row.inbox_id),
            creditor_id=encoded("crd", row.creditor_id),
            size_bytes=row.size,
            received_at=row.received_at,
            finished_at=row.finished_at,
            imported=row.imported,
            updated=row.updated,
            unchanged=row.unchanged,
            rejected=row.rejected,
            quarantined=row.quarantined,
        )


class ReportLine(Struct, frozen=True, kw_only=True):
    """What became of one document."""

    verdict: Verdict
    line: int | None
    detail: str | None


class IntakeReport(Struct, frozen=True, kw_only=True):
    """What became of each document of an intake, in order; `reason` where nothing of it could be read."""

    intake_id: str
    reason: str | None
    is_cut: bool  # there were more documents than a report keeps; the counts are of all
    documents: list[ReportLine]
