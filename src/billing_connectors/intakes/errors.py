"""What a caller can do wrong with import addresses and what came in."""

from kernel.errors import Conflict, Invalid, NotFound


class InboxNotFound(NotFound):
    """There is no such import address."""

    code = "inbox_not_found"


class InboxClosed(Conflict):
    """The import address is closed already."""

    code = "inbox_closed"
    remedy = "Make a new one: a closed address never opens again."


class IntakeNotFound(NotFound):
    """There is no such intake."""

    code = "intake_not_found"


class IntakeNotRead(Conflict):
    """There is no report: the files are not read yet, or its retention has ended."""

    code = "intake_not_read"
    remedy = "Read the intake until its state is 'read' or 'failed'; after the retention send the files again."


class NoContent(Invalid):
    """The body holds no file."""

    code = "no_content"
    remedy = "Send the bytes of the file as the body."


class BadSender(Invalid):
    """What may send is an address or a domain."""

    code = "bad_sender"
    remedy = "Write name@example.com, or example.com for everybody there."
