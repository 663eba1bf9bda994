"""What happens to conflicts between sources."""

from typing import ClassVar

from billing_connectors.views import ConflictView
from storage.events import Event


class ConflictOpened(Event[ConflictView], frozen=True):
    """A document contradicts what is known: the known side stays until somebody decides."""

    type: ClassVar[str] = "conflict.opened"


class ConflictResolved(Event[ConflictView], frozen=True):
    """Somebody has decided, or the two sides agree by now."""

    type: ClassVar[str] = "conflict.resolved"
