"""The day to pay where a document states none in a field: from its own terms in words, else from the creditor's.

Pure. Never guessed: "45 jours fin de mois" waits until the creditor states how it reads it, a text that may mean two
things gives no day, and a day that a direct debit takes is no day to pay.
"""

from msgspec import Struct, structs

from billing_connectors.documents.canonical import Document
from law.payment_terms.dates import last_due_on
from law.payment_terms.grammar import BadTerms, Terms, eom_reading_of, parse
from law.payment_terms.texts import read_text


class Agreed(Struct, frozen=True):
    """What a creditor has stated: how it reads "fin de mois", and its terms where a document has none."""

    eom_reading: str | None = None
    payment_terms: str | None = None


def with_terms(document: Document, agreed: Agreed) -> Document:
    """The document with the day that its terms give, and with what they leave open as a warning.

    Of a split the last day counts: nobody is chased for what may not be due yet.
    """
    stated = document.kind == "credit_note" or document.due_on is not None or document.direct_debit
    if stated or "due_date_unreadable" in document.warnings:
        return document
    read = read_text(document.payment_terms_text, eom_reading_of(agreed.eom_reading))
    if read.needs_eom_reading:
        return structs.replace(document, warnings=(*document.warnings, "eom_reading_needed"))
    if read.terms is not None:
        computed, source = last_due_on(read.terms, document.issued_on), "terms"
    elif read.is_silent and (terms := _agreed_terms(agreed)) is not None:
        computed, source = last_due_on(terms, document.issued_on), "default"
    else:
        return document
    kept = tuple(each for each in document.warnings if each not in {"due_date_missing", "terms_in_text_only"})
    return structs.replace(
        document, due_on_computed=computed, due_on_source=source, warnings=(*kept, "due_date_computed")
    )


def _agreed_terms(agreed: Agreed) -> Terms | None:
    """A creditor's terms, in our writing or in words that are plain."""
    text = agreed.payment_terms or ""
    try:
        return parse(text)
    except BadTerms:
        return read_text(text, eom_reading_of(agreed.eom_reading)).terms
