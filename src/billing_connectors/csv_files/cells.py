"""Read one cell of a CSV, as French and English accounting tools write it: exactly, or not at all."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Final, Literal

from msgspec import Struct

from billing_connectors.csv_files.mapping import DateOrder
from billing_connectors.documents.fields import Unreadable, amount_minor, calendar_day

Decimal = Literal[",", "."]
DECIMALS: Final[tuple[Decimal, ...]] = (",", ".")
MAX_AMOUNT: Final = 40
_SPACES: Final = re.compile(r"[\s\u00a0\u2007\u2009\u202f]+")
_MINUS: Final = str.maketrans({"\u2212": "-", "\u2013": "-"})
# Only what names one currency: "$" and "kr" are several.
SYMBOLS: Final = {"€": "EUR", "£": "GBP"}
_CURRENCY: Final = re.compile(r"(€|£|[A-Z]{3})? ?(.*?) ?(€|£|[A-Z]{3})?")
_NUMBERS: Final = {
    ",": re.compile(r"(?:(\d{1,3})((?P<group>[ .'\u2019])\d{3}(?:(?P=group)\d{3})*)|(\d+))(?:,(\d+))?", re.ASCII),
    ".": re.compile(r"(?:(\d{1,3})((?P<group>[ ,'\u2019])\d{3}(?:(?P=group)\d{3})*)|(\d+))(?:\.(\d+))?", re.ASCII),
}
_YEAR_FIRST: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", re.ASCII)
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_YEAR_LAST: Final = re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)
_TIME: Final = re.compile(r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?$", re.ASCII)
_ORDERS: Final[tuple[DateOrder, ...]] = ("day_first", "month_first")
_CENTURY: Final = 2000
_TWO_DIGITS: Final = 100


class Ambiguous(Unreadable):
    """The cell can be read in two ways, and nothing in the file decides between them."""


class Amount(Struct, frozen=True):
    """An amount in major units, as decimal text, with the currency that the cell names."""

    major: str
    currency: str | None


def amount(text: str, decimal: Decimal | None) -> Amount:
    """An amount as a person writes it; with no decimal mark given, one that can only be read in one way.

    >>> amount("(1 234,50 €)", ",")
    Amount(major='-1234.50', currency='EUR')
    """
    stripped = _SPACES.sub(" ", text.translate(_MINUS)).strip()
    if not stripped or len(stripped) > MAX_AMOUNT:
        raise Unreadable(f"{text[:MAX_AMOUNT]!r} is no amount")
    body, negative = _sign(stripped)
    before, number, after = _parts(body)
    if not negative:
        number, negative = _sign(number)
    currency = before or after
    if before and after:
        raise Unreadable(f"{text[:MAX_AMOUNT]!r} names two currencies")
    readings = {
        reading for mark in ((decimal,) if decimal else DECIMALS) if (reading := _number(number, mark)) is not None
    }
    if not readings:
        raise Unreadable(f"{text[:MAX_AMOUNT]!r} is no amount")
    if len(readings) > 1:
        raise Ambiguous(f"{text[:MAX_AMOUNT]!r} can be read with either decimal mark")
    return Amount(f"{'-' if negative else ''}{readings.pop()}", SYMBOLS.get(currency, currency) or None)


def minor(read: Amount, currency: str) -> int:
    """The amount in minor units of a currency, exactly."""
    return amount_minor(read.major, currency)


def decimal_of(texts: Iterable[str]) -> Decimal | None:
    """The decimal mark that a column's amounts show, where any shows it and none shows the other."""
    shown: set[Decimal] = set()
    for text in texts:
        possible: list[Decimal] = [mark for mark in DECIMALS if _is_amount(text, mark)]
        if len(possible) == 1:
            shown.add(possible[0])
    return shown.pop() if len(shown) == 1 else None


def day(text: str, order: DateOrder | None) -> date:
    """A day as a person writes it; with no order given, one that can only be read in one way.

    >>> day("02/03/2026", "day_first")
    datetime.date(2026, 3, 2)
    """
    stripped = _TIME.sub("", _SPACES.sub(" ", text).strip())
    match = _YEAR_FIRST.fullmatch(stripped)
    if match is not None:
        return calendar_day(int(match[1]), int(match[3]), int(match[4]))
    match = _COMPACT.fullmatch(stripped)
    if match is not None:
        return calendar_day(int(match[1]), int(match[2]), int(match[3]))
    readings = _days(stripped, order)
    if not readings:
        raise Unreadable(f"{text[:40]!r} is no day")
    if len(readings) > 1:
        raise Ambiguous(f"{text[:40]!r} can be read day first and month first")
    return readings.pop()


def date_order_of(texts: Iterable[str]) -> DateOrder | None:
    """Day first, as in Europe, unless a date of the file cannot be; none where the file mixes both orders."""
    shown: set[DateOrder] = set()
    for text in texts:
        stripped = _TIME.sub("", _SPACES.sub(" ", text).strip())
        possible: list[DateOrder] = [order for order in ("day_first", "month_first") if _days(stripped, order)]
        if len(possible) == 1:
            shown.add(possible[0])
    if not shown:
        return "day_first"
    return shown.pop() if len(shown) == 1 else None


def both_readings(text: str) -> tuple[date | None, date | None]:
    """A day with its year last, as it reads day first and month first; nothing where it cannot be read so."""
    stripped = _TIME.sub("", _SPACES.sub(" ", text).strip())
    first, second = (next(iter(_days(stripped, order)), None) for order in _ORDERS)
    return first, second


def _sign(text: str) -> tuple[str, bool]:
    """The text without its sign: a minus before or after, or parentheses around."""
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1].strip(), True
    if text.startswith("-"):
        return text[1:].strip(), True
    if text.endswith("-"):
        return text[:-1].strip(), True
    return text.removeprefix("+").strip(), False


def _parts(text: str) -> tuple[str, str, str]:
    match = _CURRENCY.fullmatch(text)
    return (match[1] or "", match[2], match[3] or "") if match else ("", text, "")


def _number(text: str, mark: Decimal) -> str | None:
    match = _NUMBERS[mark].fullmatch(text)
    if match is None:
        return None
    whole = match[4] or match[1] + "".join(c for c in match[2] if c.isdigit())
    return f"{whole}.{match[5]}" if match[5] else whole


def _is_amount(text: str, mark: Decimal) -> bool:
    try:
        amount(text, mark)
    except Unreadable:
        return False
    return True


def _days(text: str, order: DateOrder | None) -> set[date]:
    match = _YEAR_LAST.fullmatch(text)
    if match is None or order == "year_first":
        return set()
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    if year < _TWO_DIGITS:
        year += _CENTURY
    pairs = {"day_first": (second, first), "month_first": (first, second)}
    found: set[date] = set()
    for month, day_of_month in [pairs[order]] if order else pairs.values():
        try:
            found.add(calendar_day(year, month, day_of_month))
        except Unreadable:
            continue
    return found
