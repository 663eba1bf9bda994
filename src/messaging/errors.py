"""Failures of messaging that a caller can act on."""

from kernel.errors import Conflict, NotFound


class MessageNotFound(NotFound):
    """There is no such message."""


class MessageNotUnknown(Conflict):
    """The outcome of this message is known already."""

    code = "message_not_unknown"
    remedy = "Only a message whose state is unknown can be resolved by hand."


class CopyErased(NotFound):
    """What this message said has been erased, or nothing was said."""

    code = "copy_erased"
    remedy = "A message has a copy once it was rendered, for as long as its debtor has not been erased."


class LinkInvalid(NotFound):
    """This link is not one of ours."""

    code = "link_invalid"
    remedy = "Use the link exactly as it stands in the message."
