"""What dunning does when facts change elsewhere: begin a course, restart one, or look again."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dunning import courses
from receivables.access import instalments
from storage.events import EventRow
from storage.registry import reacts_to
from storage.session import TenantSession


@reacts_to("invoice.opened")
async def enter(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """A new debt begins its course."""
    lines = await instalments(session, {event.object_id for event in events})
    await courses.begin(session, [line.id for of_invoice in lines.values() for line in of_invoice], now)


@reacts_to("invoice.reopened")
async def start_again(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """A settled debt has come back: a new cycle."""
    await courses.restart(session, sorted({event.object_id for event in events}), now)


@reacts_to(
    "invoice.updated",
    "invoice.voided",
    "invoice.settled",
    "invoice.payment_updated",
    "receipt.recorded",
    "receipt.finalised",
    "receipt.reversed",
    "receipt.allocated",
    "receipt.unallocated",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.allocated",
    "credit_note.unallocated",
    "credit_note.voided",
    "hold.set",
    "hold.changed",
    "hold.released",
    "hold.ended",
    "handling.changed",
    "debtor.updated",
    "contact.created",
    "contact.updated",
    "contact.archived",
    "opt_out.created",
)
async def look_again(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """Look at the debtors' courses now; run twice, it changes nothing more."""
    debtors: set[UUID] = {event.debtor_id for event in events if event.debtor_id is not None}
    await courses.look_again(session, now, debtors=debtors)


@reacts_to("tenant.mode_changed", "tenant.resumed")
async def look_at_all(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """What the whole tenant waited for has come: look at every course."""
    del events
    await courses.look_again(session, now)
