"""The gate: the port that decides, on fresh facts and under the debtors' locks, what may leave.

`dunning` fills it. A message is made of parts (a notice about a debt); the gate answers for each part, and the
message is made of the parts that go.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from storage.session import OpenTenant, TenantSession


class Part(Struct, frozen=True):
    """One part of something that leaves: a notice about a debt (an instalment)."""

    part_id: UUID
    debt_id: UUID


class Held(Struct, frozen=True):
    """A leased row of an outgoing queue, with its parts and the debtor that is locked."""

    id: UUID
    debtor_id: UUID
    creditor_id: UUID
    contact_id: UUID | None
    channel: str
    purpose: str
    parts: tuple[Part, ...]


class Go(Struct, frozen=True, tag="go"):
    """The part may leave now."""


class Drop(Struct, frozen=True, tag="drop"):
    """The part must not leave any more."""

    code: str


class Defer(Struct, frozen=True, tag="defer"):
    """The part may leave later; it returns to the promoter."""

    until: datetime
    code: str


Answer = Go | Drop | Defer
Answers = Mapping[UUID, Mapping[UUID, Answer]]  # message → part → answer


class Gate(Protocol):
    """What stands before everything that reaches a person."""

    async def prepare(self, work: OpenTenant, tenant_id: UUID, held: Sequence[UUID]) -> None:
        """Refresh from the source what is about to be decided, within a budget, outside any transaction."""
        ...

    async def permit(self, session: TenantSession, held: Sequence[Held], now: datetime) -> Answers:
        """Decide again, part by part, in the transaction that marks the row; the debtors are locked already."""
        ...

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
        """What came of the parts: `sent`, `withdrawn`, `failed` or `unknown`, with a code where there is one.

        `sent_at` says when they were sent, where that is only found out now.
        """
        ...
