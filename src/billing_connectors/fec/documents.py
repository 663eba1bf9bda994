"""A piece of the books as the canonical document."""

from billing_connectors.documents.canonical import MAX_NAME, Document, LegalId, Party, Preceding
from billing_connectors.fec.lettering import Piece
from billing_connectors.fec.parsing import FORMAT, Books


def seller_of_books(books: Books) -> Party:
    """Whose books these are, as far as the name of the file says."""
    return Party(legal_ids=(LegalId("siren", books.siren),) if books.siren else ())


def document_of(piece: Piece, books: Books) -> Document:
    """An invoice or a credit note; what is left of it is not said here but by the money that settles it."""
    # What was carried over is what was left: nothing says what the whole was.
    warnings = [*books.warnings, *piece.warnings, *(["total_missing"] if piece.carried else [])]
    return Document(
        kind="credit_note" if piece.kind == "credit_note" else "invoice",
        format=FORMAT,
        number=piece.number,
        issued_on=piece.day,
        currency=piece.currency,
        total_minor=piece.amount_minor,
        amount_due_minor=piece.amount_minor,
        amount_due_stated=piece.carried,
        seller=seller_of_books(books),
        buyer=Party(name=piece.name[:MAX_NAME], account_code=piece.code),
        preceding=(Preceding(piece.preceding, None),) if piece.preceding else (),
        warnings=tuple(dict.fromkeys(warnings)),
    )
