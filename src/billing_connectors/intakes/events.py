"""What happens to import addresses and to what comes in."""

from typing import ClassVar

from billing_connectors.intakes.views import InboxView, IntakeView
from storage.events import Event


class InboxOpened(Event[InboxView], frozen=True):
    """Documents may be sent to an import address."""

    type: ClassVar[str] = "inbox.opened"


class InboxUpdated(Event[InboxView], frozen=True):
    """Others may send to an import address."""

    type: ClassVar[str] = "inbox.updated"


class InboxClosed(Event[InboxView], frozen=True):
    """An import address takes nothing any more."""

    type: ClassVar[str] = "inbox.closed"


class IntakeReceived(Event[IntakeView], frozen=True):
    """Files have come in and are kept; nothing of them is read yet."""

    type: ClassVar[str] = "intake.received"


class IntakeRead(Event[IntakeView], frozen=True):
    """What came in was read: its report says what became of each document."""

    type: ClassVar[str] = "intake.read"


class IntakeFailed(Event[IntakeView], frozen=True):
    """What came in could not be read."""

    type: ClassVar[str] = "intake.failed"
