"""What messaging asks of those above it: what a message says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from messaging.letters import Letter
from messaging.models import Message
from storage.session import TenantSession


class Composed(Struct, frozen=True):
    """A letter with the name of the template that words it."""

    letter: Letter
    template: str


class Composer(Protocol):
    """Knows the facts behind the parts of a message."""

    async def compose(
        self, session: TenantSession, wanted: Sequence[tuple[Message, Sequence[UUID]]], now: datetime
    ) -> Mapping[UUID, Composed]:
        """The letter of each message from the parts that go; a message that nobody can write is left out."""
        ...
