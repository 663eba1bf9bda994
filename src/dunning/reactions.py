"""What dunning does when facts change elsewhere: begin a course, restart one, or look again."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from dunning import courses
from kernel import ids
from receivables.access import instalments
from storage.events import EventRow
from storage.registry import reacts_to
from storage.session import TenantSession


@reacts_to("invoice.opened")
async def enter(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """A new debt begins its course."""
    lines = await instalments(session, {event.object_id for event in events})
    await courses.begin_courses(session, [line.id for of_invoice in lines.values() for line in of_invoice], now)


@reacts_to("invoice.updated")
async def follow(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """An instalment that a correction adds begins its course; one that gets another date may enter anew."""
    added: list[UUID] = []
    redated: dict[UUID, bool] = {}
    for before, after in _changes(events):
        if before is None:
            added.append(ids.decode("ins", after.id))
        elif before.due_on != after.due_on:
            redated.setdefault(ids.decode("ins", after.id), before.due_on is not None)
    await courses.begin_courses(session, added, now)
    await courses.redate(session, redated, now)


@reacts_to("invoice.reopened", "invoice.payment_updated", "invoice.updated")
async def start_again(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """A settled instalment has come back, also while others of its invoice stayed open: a new cycle."""
    reopened = {
        ids.decode("ins", after.id)
        for before, after in _changes(events)
        if before is not None and before.amount_minor > 0 and before.balance_minor == 0 and after.balance_minor > 0
    }
    await courses.restart(session, reopened, now)


class _Line(Struct, frozen=True):
    """What dunning reads of an instalment in an invoice's view."""

    id: str
    due_on: date | None
    amount_minor: int
    balance_minor: int


class _Lines(Struct, frozen=True):
    instalments: tuple[_Line, ...] = ()


class _Change(Struct, frozen=True):
    view: _Lines
    previous: _Lines


def _changes(events: Sequence[EventRow]) -> list[tuple[_Line | None, _Line]]:
    """The instalments that events tell of as changed or new, as they were and as they are."""
    found: list[tuple[_Line | None, _Line]] = []
    for event in events:
        change = msgspec.json.decode(event.payload, type=_Change)
        before = {line.id: line for line in change.previous.instalments}
        if before:  # empty: nothing about instalments has changed
            found += [(before.get(line.id), line) for line in change.view.instalments if before.get(line.id) != line]
    return found


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


@reacts_to("debtor.merged", "debtor.unmerged")
async def regroup(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """Debtors have become one or two: whom to write to, what covers what and who was written to today are others now.

    Both sides look again: the one that came or went, and the group that it came to or left.
    """
    debtors: set[UUID] = set()
    for event in events:
        change = msgspec.json.decode(event.payload, type=_Merge)
        into = (change.view.merged_into_id, change.previous.merged_into_id)
        debtors |= {event.object_id, *(ids.decode("dbt", each) for each in into if each is not None)}
    await courses.look_again(session, now, debtors=debtors)


class _Pointer(Struct, frozen=True):
    """What dunning reads of a merge in a debtor's view."""

    merged_into_id: str | None = None


class _Merge(Struct, frozen=True):
    view: _Pointer
    previous: _Pointer


@reacts_to("tenant.mode_changed", "tenant.resumed")
async def look_at_all(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    """What the whole tenant waited for has come: look at every course."""
    del events
    await courses.look_again(session, now)
