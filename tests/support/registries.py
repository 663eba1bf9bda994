"""A registry that lets everything through, for tests below the packages that fill one."""

from collections.abc import Sequence
from datetime import datetime
from types import ModuleType
from uuid import UUID

from storage.gate import Answers, Go, Held
from storage.registry import Registry
from storage.session import OpenTenant, TenantSession


class OpenGate:
    """A gate that permits every part and remembers nothing."""

    async def prepare(self, work: OpenTenant, tenant_id: UUID, held: Sequence[UUID]) -> None:
        del work, tenant_id, held

    async def permit(self, session: TenantSession, held: Sequence[Held], now: datetime) -> Answers:
        del session, now
        return {each.id: {part.part_id: Go() for part in each.parts} for each in held}

    async def concluded(
        self,
        session: TenantSession,
        outcome: str,
        parts: Sequence[UUID],
        code: str,
        now: datetime,
        *,
        sent_at: datetime | None = None,
    ) -> None:
        del session, outcome, parts, code, now, sent_at


async def let_die(session: TenantSession, consumer: str, event_id: UUID, error: str, now: datetime) -> None:
    """Nobody is told of a dead reaction."""
    del session, consumer, event_id, error, now


def open_registry(*modules: ModuleType) -> Registry:
    """A sealed registry of these modules' handlers, behind a gate that stands open."""
    registry = Registry()
    registry.collect(*modules)
    return registry.seal(gate=OpenGate(), on_dead=let_die)
