"""An object of no package, with events of its own, for tests of what carries every package's events."""

from collections.abc import Sequence
from datetime import datetime
from types import ModuleType
from typing import Annotated
from uuid import UUID

from msgspec import Struct

from kernel import ids
from storage.events import CATALOGUE, PERSONAL, Event, EventRow, emit
from storage.registry import reacts_to
from storage.session import TenantSession
from support.tenants import NOW


class ProbeView(Struct, frozen=True, kw_only=True):
    """The probe as the world sees it; its name belongs to a person."""

    id: str
    version: int
    colour: str
    debtor_id: str | None = None
    invoice_id: str | None = None
    name: Annotated[str | None, PERSONAL] = None


class ProbeChanged(Event[ProbeView], frozen=True):
    """A probe has another colour."""

    type = "probe.changed"


class PlainView(Struct, frozen=True, kw_only=True):
    """A probe without anything personal."""

    id: str
    version: int


class ProbeIgnored(Event[PlainView], frozen=True):
    """Something that nobody reacts to."""

    type = "probe.ignored"


PROBES = {kind: CATALOGUE.pop(kind) for kind in ("probe.changed", "probe.ignored")}  # no contract of the product


@reacts_to("probe.changed")
async def first(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    del session, events, now


@reacts_to("probe.changed")
async def second(session: TenantSession, events: Sequence[EventRow], now: datetime) -> None:
    del session, events, now


def probe_module() -> ModuleType:
    """A module that holds the two reactions, as composition collects them."""
    module = ModuleType(__name__)
    for handler in (first, second):
        setattr(module, handler.__name__, handler)
    return module


FIRST, SECOND = f"{__name__}.first", f"{__name__}.second"


def change(
    session: TenantSession,
    probe_id: UUID,
    version: int = 1,
    *,
    colour: str = "red",
    debtor_id: UUID | None = None,
    name: str | None = None,
    before: ProbeView | None = None,
) -> ProbeView:
    """Emit that a probe has changed."""
    after = ProbeView(
        id=ids.encode("prb", probe_id),
        version=version,
        colour=colour,
        debtor_id=None if debtor_id is None else ids.encode("dbt", debtor_id),
        name=name,
    )
    emit(session, ProbeChanged(after, before, NOW))
    return after
