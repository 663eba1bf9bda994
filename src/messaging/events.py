"""What happens to messages."""

from typing import ClassVar

from messaging.views import MessageView, OptOutView
from storage.events import Event


class MessagePlanned(Event[MessageView], frozen=True):
    """A message will go out unless a fact arrives that stops it."""

    type: ClassVar[str] = "message.planned"


class MessageSent(Event[MessageView], frozen=True):
    """The provider has accepted the message."""

    type: ClassVar[str] = "message.sent"


class MessageFailed(Event[MessageView], frozen=True):
    """The message could not be sent and will not be tried again."""

    type: ClassVar[str] = "message.failed"


class MessageUnknown(Event[MessageView], frozen=True):
    """Nobody can tell whether the message left; it is not sent again, and a task is open."""

    type: ClassVar[str] = "message.unknown"


class MessageWithdrawn(Event[MessageView], frozen=True):
    """Before anything left, the message lost its reason."""

    type: ClassVar[str] = "message.withdrawn"


class OptOutCreated(Event[OptOutView], frozen=True):
    """A contact has closed a channel."""

    type: ClassVar[str] = "opt_out.created"
