"""What a caller can act on where sources are read."""

from kernel.errors import Conflict, NotFound


class SourceNotFound(NotFound):
    """There is no such source."""

    code = "source_not_found"


class SourceKeyTaken(Conflict):
    """The tenant has a source with this key already."""

    code = "source_key_taken"
    remedy = "Change the source that is there."


class CursorMoved(Conflict):
    """Another reading of the source has gone on from the same cursor."""

    code = "cursor_moved"
    remedy = "Read on from the cursor that the source has now."
