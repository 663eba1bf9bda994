"""What receivables do when something has happened: look whether a debtor who came or changed is somebody known."""

from collections.abc import Sequence
from datetime import datetime

from receivables import suggestions
from storage.events import EventRow
from storage.registry import reacts_to
from storage.session import TenantSession


@reacts_to("debtor.created", "debtor.updated")
async def look_for_twins(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """Suggest who may be one with these debtors; run twice, it suggests nothing twice."""
    await suggestions.suggest(session, {event.object_id for event in events}, now)
