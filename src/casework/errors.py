"""What a caller can do wrong with holds, handling and tasks."""

from kernel.errors import Conflict, NotFound


class HoldNotFound(NotFound):
    """There is no such hold."""

    code = "hold_not_found"


class HoldNotOpen(Conflict):
    """The hold has already ended."""

    code = "hold_not_open"
    remedy = "Set a new hold."


class HandlingNotFound(NotFound):
    """There is no such handling."""

    code = "handling_not_found"


class TaskNotFound(NotFound):
    """There is no such task."""

    code = "task_not_found"


class TaskNotOpen(Conflict):
    """The task has already been closed."""

    code = "task_not_open"
