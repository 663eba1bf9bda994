"""Handlers that note what they were given and fail where a test says so."""

from collections.abc import Sequence
from datetime import datetime
from types import ModuleType
from uuid import UUID

from cli.composition import open_dead_letter
from storage.events import EventRow
from storage.registry import Registry, reacts_to, ticks
from storage.session import TenantSession
from support.registries import OpenGate

TICK, TOCK = "probe.tick", "probe.tock"


class Notes:
    """What was handled, in order, and which objects (or their events, by sequence) are poison."""

    def __init__(self) -> None:
        self.ticked: list[UUID] = []
        self.batches: list[int] = []
        self.told: list[tuple[str, UUID, int]] = []  # consumer, object, sequence
        self.poison: set[UUID | tuple[UUID, int]] = set()


class Poisoned(RuntimeError):
    """This one cannot be handled."""


def registry_of(notes: Notes) -> Registry:
    """Two kinds of ticks and two consumers of `probe.changed`, of which the first cannot stand poison."""
    module = ModuleType(__name__)

    async def note(object_ids: Sequence[UUID]) -> None:
        if notes.poison & set(object_ids):
            raise Poisoned
        notes.ticked += object_ids
        notes.batches.append(len(object_ids))

    @ticks(TICK)
    async def tick(session: TenantSession, object_ids: Sequence[UUID], now: datetime) -> None:
        await note(object_ids)

    @ticks(TOCK)
    async def tock(session: TenantSession, object_ids: Sequence[UUID], now: datetime) -> None:
        await note(object_ids)

    @reacts_to("probe.changed")
    async def squeamish(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
        if any((event.object_id, event.sequence) in notes.poison for event in events):
            raise Poisoned
        notes.told += [("squeamish", event.object_id, event.sequence) for event in events]

    @reacts_to("probe.changed")
    async def robust(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
        notes.told += [("robust", event.object_id, event.sequence) for event in events]

    for handler in (tick, tock, squeamish, robust):
        setattr(module, handler.__name__, handler)
    registry = Registry()
    registry.collect(module)
    return registry.seal(gate=OpenGate(), on_dead=open_dead_letter)
