"""The days that terms give: pure arithmetic of calendar days, in no time zone."""

import calendar
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from msgspec import Struct

from law.payment_terms.grammar import Part, Split, Term, Terms

LATEST: Final = date(2200, 12, 31)
_WHOLE: Final = Decimal(100)


class Due(Struct, frozen=True):
    """An amount in minor units and the day on which it is due."""

    due_on: date
    amount_minor: int


def due_on(term: Term, issued_on: date) -> date:
    """The day on which an amount is due.

    Reading A of "45 jours fin de mois" from 22 October is 31 December, reading B is 15 December:

    >>> from law.payment_terms.grammar import parse
    >>> [str(due_on(parse(each), date(2024, 10, 22))) for each in ("net_eom:45", "eom_net:45", "net_eom:30@15")]
    ['2024-12-31', '2024-12-15', '2024-12-15']
    """
    if term.rule == "on":
        if term.on is None:
            raise ValueError("a term on a day names it")
        return term.on
    if term.rule in {"receipt", "prepaid"}:
        return issued_on
    days = timedelta(days=term.days)
    if term.rule == "net":
        return issued_on + days
    end = end_of_month(issued_on + days) if term.rule == "net_eom" else end_of_month(issued_on) + days
    if term.day_of_month is None:
        return end
    following = end_of_month(end) + timedelta(days=1)
    return following.replace(day=min(term.day_of_month, end_of_month(following).day))


def last_due_on(terms: Terms, issued_on: date) -> date:
    """The day on which all is due: of a split, the last."""
    if isinstance(terms, Term):
        return due_on(terms, issued_on)
    return max(due_on(part.term, issued_on) for part in terms.parts)


def schedule(terms: Terms, issued_on: date, amount_minor: int) -> tuple[Due, ...]:
    """What is due when; the parts sum to the amount, what rounding leaves is on the last line.

    Raises ValueError where the amounts of a split exceed the whole.
    """
    if isinstance(terms, Term):
        return (Due(due_on(terms, issued_on), amount_minor),)
    lines: list[Due] = []
    left_minor = amount_minor
    for place, part in enumerate(terms.parts):
        is_last = place == len(terms.parts) - 1
        share_minor = left_minor if is_last else _share(part, amount_minor)
        if share_minor > left_minor:
            raise ValueError("the parts are more than the whole")
        left_minor -= share_minor
        lines.append(Due(due_on(part.term, issued_on), share_minor))
    return tuple(lines)


def _share(part: Part, amount_minor: int) -> int:
    if part.amount_minor is not None:
        return part.amount_minor
    return int((amount_minor * (part.percent or Decimal(0)) / _WHOLE).to_integral_value(ROUND_FLOOR))


def end_of_month(day: date) -> date:
    """The last day of the month of a day."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def legal_default(country: str, start_on: date) -> date | None:
    """The last day to pay where nothing was agreed, from the day of delivery or invoice; none where we do not know.

    France: 30 days after delivery (C. com. L441-10 I). United Kingdom: the last day of the 30-day period beginning
    with the start (Late Payment Act 1998 s.4(2H)). Ireland: 30 days after it (S.I. 580/2012).
    """
    days = {"FR": 30, "GB": 29, "IE": 30}.get(country)
    return None if days is None else start_on + timedelta(days=days)


def is_split(terms: Terms) -> bool:
    """Whether terms name several amounts."""
    return isinstance(terms, Split)
