"""What a caller can do wrong with uploads, mappings and imports."""

from kernel.errors import AppError, Conflict, Invalid, NotFound


class UploadNotFound(NotFound):
    """There is no such upload."""

    code = "upload_not_found"


class UploadRemoved(Conflict):
    """The content of this upload has been removed."""

    code = "upload_removed"
    remedy = "Upload the file again."


class UploadEmpty(Invalid):
    """The file is empty."""

    code = "upload_empty"
    remedy = "Send the bytes of a CSV, NDJSON or XLSX file as the body."


class UploadUnsupported(Invalid):
    """The content is no table that an import can read."""

    code = "upload_unsupported"
    remedy = "Export the table as CSV (text), NDJSON (one JSON object a line) or XLSX (without macros)."


class FileUnreadable(Invalid):
    """The file cannot be read with this mapping."""

    code = "file_unreadable"
    remedy = "Ask for the upload's detection, which says what was found, and correct the mapping."


class UploadTooLarge(AppError):
    """The file is larger than an import takes."""

    status = 413
    code = "upload_too_large"
    remedy = "Send at most 256 MiB; split a larger file, the header repeated in each piece."


class MappingNotFound(NotFound):
    """There is no such import mapping."""

    code = "import_mapping_not_found"


class MappingNameTaken(Conflict):
    """Another import mapping has this name."""

    code = "import_mapping_name_taken"
    remedy = "Change that mapping, or choose another name."


class ImportNotFound(NotFound):
    """There is no such import."""

    code = "import_not_found"


class ImportNotReady(Conflict):
    """The import has begun already."""

    code = "import_not_ready"
    remedy = "Make another import of the same upload: rows that say nothing new change nothing."


class ImportNotRunning(Conflict):
    """The import is not running."""

    code = "import_not_running"


class ImportNotUndoable(Conflict):
    """The import cannot be undone in its present state."""

    code = "import_not_undoable"
    remedy = "Wait until it has ended or cancel it; a dry run has written nothing that could be undone."


class ClosingNotFound(NotFound):
    """The import proposes no such item to be closed."""

    code = "import_closing_not_found"


class ImportNotEnded(Conflict):
    """The import has not ended, or proposes nothing."""

    code = "import_not_ended"
    remedy = "Wait until the import is done."
