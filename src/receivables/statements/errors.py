"""What can go wrong with statements."""

from kernel.errors import AppError


class StatementTooLong(AppError):
    """The statement has more lines than one document holds."""

    status = 422
    code = "statement_too_long"
    remedy = "Ask for a shorter period, or for one creditor and currency; /v1/ledger_entries lists every entry."


class DocumentNotMade(AppError):
    """The document could not be made in time."""

    status = 503
    code = "document_not_made"
    remedy = "Try again later; the same statement as JSON or CSV needs no typesetting."
