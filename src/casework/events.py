"""What happens to holds, handling and tasks."""

from typing import ClassVar

from casework.views import HandlingView, HoldView, TaskView
from storage.events import Event


class HoldSet(Event[HoldView], frozen=True):
    """Something is not to be chased for a while."""

    type: ClassVar[str] = "hold.set"


class HoldChanged(Event[HoldView], frozen=True):
    """A hold covers another time or amount, or says more."""

    type: ClassVar[str] = "hold.changed"


class HoldReleased(Event[HoldView], frozen=True):
    """A hold has ended early: its target may be chased again."""

    type: ClassVar[str] = "hold.released"


class HoldEnded(Event[HoldView], frozen=True):
    """A hold's time has come: its target may be chased again."""

    type: ClassVar[str] = "hold.ended"


class HandlingChanged(Event[HandlingView], frozen=True):
    """Debts are chased by somebody else from now on."""

    type: ClassVar[str] = "handling.changed"


class TaskOpened(Event[TaskView], frozen=True):
    """A person has something to do."""

    type: ClassVar[str] = "task.opened"


class TaskAssigned(Event[TaskView], frozen=True):
    """Somebody else is to do a task."""

    type: ClassVar[str] = "task.assigned"


class TaskClosed(Event[TaskView], frozen=True):
    """A task is done, or was dismissed."""

    type: ClassVar[str] = "task.closed"
