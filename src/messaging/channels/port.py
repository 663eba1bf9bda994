"""What a channel is: it takes copies and says of each what came of it, in values.

A channel never tries again by itself once a provider may have acted, and never raises for what a provider, a network
or an address does. The conformance suite of the port (`tests/messaging/conformance.py`) is the acceptance test of a
new channel.
"""

from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

State = Literal["sent", "failed", "retry", "unknown"]
OnUnknown = Literal["hold", "ask"]


class Copy(Struct, frozen=True, kw_only=True):
    """One message as it leaves: rendered, stored and marked `dispatching` under this fence."""

    message_id: UUID
    fence: int
    sender: str  # the envelope's: where bounces go
    recipient: str
    content: bytes


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one copy.

    `sent`: the provider took it. `failed`: it never will. `retry`: it certainly did not, and may later. `unknown`: it
    may have; nobody may send it again before somebody knows.
    """

    message_id: UUID
    fence: int
    state: State
    code: str  # stable: accepted, bad_address, recipient_refused, connect_failed, …
    provider_ref: str | None = None
    detail: str = ""  # the provider's own words, for people
    retry_after_s: int | None = None  # no sooner than this, where the channel knows better than the queue's back-off


class Channel(Protocol):
    """A way to reach a recipient."""

    @property
    def name(self) -> str:
        """The channel's name on the wire: email."""
        ...

    @property
    def at_once(self) -> int:
        """How many copies one call of `send` takes at most; no more may be `dispatching` in a worker."""
        ...

    @property
    def timeout_s(self) -> float:
        """When `send` has answered for every copy, at the latest; a lease lasts longer."""
        ...

    @property
    def on_unknown(self) -> OnUnknown:
        """What to do about an unknown outcome: ask the provider, or hold it with a task for a person."""
        ...

    async def send(self, copies: Sequence[Copy]) -> list[Outcome]:
        """Send each copy at most once and answer for all of them, in their order."""
        ...
