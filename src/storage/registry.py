"""What packages register and `cli.composition` gathers: reactions, ticks, jobs, erasures, the gate.

Sealed before any emit.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from msgspec import Struct

from storage.session import TenantSession

if TYPE_CHECKING:
    from storage.events import EventRow
    from storage.gate import Gate
    from storage.jobs import JobContext

Reaction = Callable[[TenantSession, "Sequence[EventRow]", datetime], Awaitable[None]]
Tick = Callable[[TenantSession, Sequence[UUID], datetime], Awaitable[None]]
Job = Callable[["JobContext"], Awaitable[None]]
Erasure = Callable[[TenantSession, Sequence[UUID], datetime], Awaitable[None]]
DeadReaction = Callable[[TenantSession, str, UUID, str, datetime], Awaitable[None]]

F = TypeVar("F", bound=Callable[..., Any])  # Any: handlers of each kind

_MARK: Final = "__relance_handles__"


class _Handles(Struct, frozen=True):
    kind: str  # reaction | tick | job | erasure
    names: tuple[str, ...]


def reacts_to(*types: str) -> Callable[[F], F]:
    """Act on events of these types: in order per object, at least once, so written to be run twice.

    The handler gets a batch of events of one tenant, in order, and one transaction for all of them.
    """
    return _mark("reaction", types)


def ticks(kind: str) -> Callable[[F], F]:
    """Act when rows of `due` of this kind have come due; the handler gets object ids of one tenant."""
    return _mark("tick", (kind,))


def runs(kind: str) -> Callable[[F], F]:
    """Carry out durable jobs of this kind."""
    return _mark("job", (kind,))


def erases(handler: F) -> F:
    """Forget what this package has kept of debtors; called with all of one person's, within one transaction."""
    return _mark("erasure", ())(handler)


def _mark(kind: str, names: tuple[str, ...]) -> Callable[[F], F]:
    def mark(handler: F) -> F:
        setattr(handler, _MARK, _Handles(kind, names))
        return handler

    return mark


class Registry:
    """Everything that acts on a row without being called for it."""

    def __init__(self) -> None:
        self.sealed = False
        self.reactions: dict[str, Reaction] = {}
        self.ticks: dict[str, Tick] = {}
        self.jobs: dict[str, Job] = {}
        self.erasures: dict[str, Erasure] = {}
        self._by_type: dict[str, tuple[str, ...]] = {}
        self._gate: Gate | None = None
        self._on_dead: DeadReaction | None = None

    def collect(self, *modules: ModuleType) -> None:
        """Register every marked function of these modules; its dotted name is its consumer name."""
        for module in modules:
            for _, handler in inspect.getmembers(module, inspect.isfunction):
                handles: _Handles | None = getattr(handler, _MARK, None)
                if handles is not None and handler.__module__ == module.__name__:
                    self._register(f"{module.__name__}.{handler.__name__}", handles, handler)

    def _register(self, name: str, handles: _Handles, handler: Any) -> None:  # Any: a handler of each kind
        if self.sealed:
            raise RuntimeError("the registry is sealed")
        if handles.kind == "reaction":
            self.reactions[name] = handler
            for kind in handles.names:
                self._by_type[kind] = (*self._by_type.get(kind, ()), name)
        elif handles.kind == "tick":
            self.ticks[handles.names[0]] = handler
        elif handles.kind == "erasure":
            self.erasures[name] = handler
        else:
            self.jobs[handles.names[0]] = handler

    def seal(self, *, gate: "Gate", on_dead: DeadReaction) -> "Registry":
        """Close the registry: from here on events may be emitted. Every reaction's type must exist."""
        from storage.events import CATALOGUE  # noqa: PLC0415 - events read the registry

        unknown = sorted(set(self._by_type) - set(CATALOGUE))
        if unknown:
            raise RuntimeError(f"reactions to events that nobody declares: {', '.join(unknown)}")
        self._gate, self._on_dead, self.sealed = gate, on_dead, True
        return self

    def consumers(self, event_type: str) -> tuple[str, ...]:
        """Who reacts to a type of event."""
        return self._by_type.get(event_type, ())

    @property
    def gate(self) -> "Gate":
        """The port that permits what leaves."""
        if self._gate is None:
            raise RuntimeError("the registry is not sealed")
        return self._gate

    @property
    def on_dead(self) -> DeadReaction:
        """Called in the tenant when a reaction is given up."""
        if self._on_dead is None:
            raise RuntimeError("the registry is not sealed")
        return self._on_dead
