"""What dunning does when facts change elsewhere: begin a course, restart one, or look again."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dunning import courses
from receivables.facts import instalments_of
from storage.events import EventRow
from storage.registry import reacts_to
from storage.session import TenantSession


@reacts_to("invoice.opened")
async def enter(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """A new debt begins its course."""
    instalments = await instalments_of(session, {event.object_id for event in events})
    await courses.begin(session, instalments, now)


@reacts_to("invoice.reopened")
async def start_again(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """A settled debt has come back: a new cycle."""
    await courses.restart(session, sorted({event.object_id for event in events}), now)


@reacts_to(
    "invoice.updated",
    "invoice.voided",
    "invoice.settled",
    "receipt.recorded",
    "receipt.finalised",
    "receipt.reversed",
    "receipt.allocated",
    "allocation.made",
    "allocation.undone",
    "credit_note.created",
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
