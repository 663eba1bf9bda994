"""The words in which texts name days, shares and dates; patterns over folded text (lower case, no accents)."""

import re
from datetime import date
from decimal import Decimal
from typing import Final

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "janvier january januar jan janv", "fevrier february februar feb fev fevr", "mars march marz maerz mar",
            "avril april apr avr", "mai may", "juin june juni jun", "juillet july juli jul juil",
            "aout august aug", "septembre september sept sep", "octobre october oktober oct okt",
            "novembre november nov", "decembre december dezember dec dez",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))

DAYS: Final = r"(\d{1,3})\s*(?:jours?|jrs?|j|days?|d|tagen?|tage|tg)\b"
PERCENT: Final = r"(\d{1,3}(?:[.,]\d{1,3})?)\s*(?:%|percent\b|per cent\b|pour ?cent\b|prozent\b)"
EOM: Final = (
    r"(?:fin (?:de|du) mois|fdm\b|f\.d\.m\.?|end of (?:the )?month|eom\b|month[- ]end|monatsende|ende des monats|"
    r"ende monat)"
)
DATE: Final = (
    r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{4}"
    rf"|\d{{1,2}}(?:er|st|nd|rd|th|\.)?\s+(?:{_MONTH})\.?,?\s+\d{{4}}|(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}})"
)
_ISO: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_NUMERIC: Final = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})")
_DAY_MONTH: Final = re.compile(rf"(\d{{1,2}})(?:er|st|nd|rd|th|\.)?\s+({_MONTH})\.?,?\s+(\d{{4}})")
_MONTH_DAY: Final = re.compile(rf"({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}})")


def number_of(text: str) -> Decimal:
    """A number with a decimal comma or point."""
    return Decimal(text.replace(",", "."))


def day_of(text: str) -> date | None:
    """The day that a text names; a numeric day is written day first (Europe), none where there is no such day.

    >>> day_of("au plus tard le 15 mai 2026")
    datetime.date(2026, 5, 15)
    """
    if match := _ISO.search(text):
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if match := _NUMERIC.search(text):
        return _day(int(match[3]), int(match[2]), int(match[1]))
    if match := _DAY_MONTH.search(text):
        return _day(int(match[3]), _MONTHS[match[2]], int(match[1]))
    if match := _MONTH_DAY.search(text):
        return _day(int(match[3]), _MONTHS[match[1]], int(match[2]))
    return None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
