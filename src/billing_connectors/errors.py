"""What a caller can do wrong with conflicts."""

from kernel.errors import Conflict, NotFound


class ConflictNotFound(NotFound):
    """There is no such conflict."""

    code = "conflict_not_found"


class ConflictNotOpen(Conflict):
    """The conflict has been settled already."""

    code = "conflict_not_open"


class ConflictUnresolved(Conflict):
    """Settled so, the two sides would still contradict each other."""

    code = "conflict_unresolved"
    remedy = "Read 'detail' and the conflict's fields; choose another side, or change the known document first."
