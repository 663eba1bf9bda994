"""What happens to imports, as the world is told."""

from typing import ClassVar

from billing_connectors.file_imports.views import ImportMappingView, ImportView, UploadView
from storage.events import Event


class UploadReceived(Event[UploadView], frozen=True):
    """A file has been sent, to be imported."""

    type: ClassVar[str] = "upload.received"


class UploadRemoved(Event[UploadView], frozen=True):
    """The content of an upload has been removed for good."""

    type: ClassVar[str] = "upload.removed"


class ImportMappingCreated(Event[ImportMappingView], frozen=True):
    """A way to read files has been kept under a name."""

    type: ClassVar[str] = "import_mapping.created"


class ImportMappingUpdated(Event[ImportMappingView], frozen=True):
    """A way to read files has been changed."""

    type: ClassVar[str] = "import_mapping.updated"


class ImportMappingArchived(Event[ImportMappingView], frozen=True):
    """A way to read files is not offered any more."""

    type: ClassVar[str] = "import_mapping.archived"


class ImportCreated(Event[ImportView], frozen=True):
    """An import of an upload has been laid out; nothing is read yet."""

    type: ClassVar[str] = "import.created"


class ImportStarted(Event[ImportView], frozen=True):
    """An import has been asked to run."""

    type: ClassVar[str] = "import.started"


class ImportFinished(Event[ImportView], frozen=True):
    """Every row of an import has been judged."""

    type: ClassVar[str] = "import.finished"


class ImportFailed(Event[ImportView], frozen=True):
    """An import has ended before its last row; what it had brought in stays."""

    type: ClassVar[str] = "import.failed"


class ImportCancelled(Event[ImportView], frozen=True):
    """An import was stopped; what it had brought in stays."""

    type: ClassVar[str] = "import.cancelled"


class ImportUndone(Event[ImportView], frozen=True):
    """What an import had created, and nothing had touched since, has been voided."""

    type: ClassVar[str] = "import.undone"
