"""Aged receivables as a table: a line a row and currency, in the words of the reader's language."""

from collections.abc import Iterable, Iterator
from typing import Final

from insights.views import AgedFigures, AgedRow, AgedTerms
from kernel.money import Money
from receivables import sheets
from receivables.periods import Basis, Period
from receivables.sheets import Cell

_WORDS: Final = {
    "en": {
        "name": "Name", "id": "Id", "currency": "Currency", "not_due": "Not due", "overdue": "Overdue",
        "undated": "No due date", "open": "Open", "charges": "Charges", "unapplied": "Unapplied cash",
        "credit": "Credit notes", "balance": "Balance", "disputed": "Disputed", "promised": "Promised",
        "days": "{0}-{1} days", "over": "Over {0} days", "up_to": "Up to {0} days", "current": "Not due",
    },
    "fr": {
        "name": "Nom", "id": "Identifiant", "currency": "Devise", "not_due": "Non échu", "overdue": "Échu",
        "undated": "Sans échéance", "open": "Encours", "charges": "Frais et intérêts",
        "unapplied": "Encaissements non affectés", "credit": "Avoirs non affectés", "balance": "Solde",
        "disputed": "Dont litiges", "promised": "Dont promesses", "days": "{0}-{1} jours", "over": "Plus de {0} jours",
        "up_to": "Jusqu’à {0} jours", "current": "Non échu",
    },
}  # fmt: skip
LANGUAGES: Final = tuple(_WORDS)


def table(terms: AgedTerms, rows: Iterable[AgedRow], language: str) -> bytes:
    """The rows of a report as CSV."""
    return sheets.written(_lines(terms, rows, language), language)


def _lines(terms: AgedTerms, rows: Iterable[AgedRow], language: str) -> Iterator[list[Cell]]:
    words = _WORDS[language]
    by_due = terms.basis is Basis.DUE_DATE
    heads = [_label(period, words) for period in terms.periods]
    both = [] if by_due else [words["not_due"], words["overdue"]]
    yield [
        words["id"], words["name"], words["currency"], *heads, words["undated"], *both,
        *([words["overdue"]] if by_due else []), words["open"], words["charges"], words["unapplied"], words["credit"],
        words["balance"], words["disputed"], words["promised"],
    ]  # fmt: skip
    for row in rows:
        for figures in row.currencies:
            yield [row.debtor_id or row.creditor_id, row.name, figures.currency, *_amounts(figures, by_due=by_due)]


def _amounts(figures: AgedFigures, *, by_due: bool) -> Iterator[Money]:
    due = (figures.overdue_minor,) if by_due else (figures.not_due_minor, figures.overdue_minor)
    for amount_minor in (
        *figures.periods_minor, figures.undated_minor, *due, figures.open_minor, figures.charges_minor,
        figures.unapplied_minor, figures.credit_minor, figures.balance_minor, figures.disputed_minor,
        figures.promised_minor,
    ):  # fmt: skip
        yield Money(amount_minor, figures.currency)


def _label(period: Period, words: dict[str, str]) -> str:
    if period.from_days is None:
        return words["current"] if period.to_days == 0 else words["up_to"].format(period.to_days)
    if period.to_days is None:
        return words["over"].format(period.from_days - 1)
    return words["days"].format(period.from_days, period.to_days)
