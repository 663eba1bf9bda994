"""Periods of ageing: into which column an open amount falls by the number of days that have passed.

Counted in whole days from the due date (or the invoice's) to the day of the report, both days of the creditor's zone;
on the due date itself nothing is late. The usual columns are not due, 1-30, 31-60, 61-90 and more than 90 days
(reference/connectors section 10).
"""

from bisect import bisect_left
from enum import StrEnum
from itertools import pairwise
from typing import Final

from msgspec import Struct

MAX_PERIODS: Final = 24
MAX_DAYS: Final = 3_660
UNDATED: Final = -1  # the place of what has no due date: not late, and not to be called current either


class Basis(StrEnum):
    """From which day amounts are aged."""

    DUE_DATE = "due_date"
    INVOICE_DATE = "invoice_date"


class Period(Struct, frozen=True, kw_only=True):
    """One column: from so many days to so many, both included; null is without end."""

    code: str  # current, 1-30, over_90
    from_days: int | None
    to_days: int | None


class Periods(Struct, frozen=True):
    """The columns of a report, the youngest first. `bounds` are the last days of all but the last one, ascending."""

    bounds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.bounds or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError("bounds ascend, each once")

    @property
    def count(self) -> int:
        """How many columns."""
        return len(self.bounds) + 1

    def place_of(self, days: int | None) -> int:
        """The column of an amount that is so many days old; UNDATED without a day to count from.

        >>> periods = regular(Basis.DUE_DATE, length_days=30, count=3)
        >>> [periods.place_of(days) for days in (-5, 0, 1, 30, 31, 90, 91, None)]
        [0, 0, 1, 1, 2, 3, 4, -1]
        """
        return UNDATED if days is None else bisect_left(self.bounds, days)

    @property
    def starts(self) -> list[int]:
        """The first day of all columns but the first, as SQL's width_bucket takes them."""
        return [bound + 1 for bound in self.bounds]

    def described(self) -> tuple[Period, ...]:
        """The columns for the world."""
        edges: list[int | None] = [None, *self.bounds, None]
        found: list[Period] = []
        for before, last in pairwise(edges):
            first = None if before is None else before + 1
            found.append(Period(code=_code(first, last), from_days=first, to_days=last))
        return tuple(found)


def _code(first: int | None, last: int | None) -> str:
    if first is None:
        return "current" if last == 0 else f"up_to_{last}"
    return f"over_{first - 1}" if last is None else f"{first}-{last}"


def regular(basis: Basis, *, length_days: int = 30, count: int = 3) -> Periods:
    """Columns of one length: by the due date after the one that is not due, by the invoice date from the first day."""
    bounds = tuple(length_days * place for place in range(1, count + 1))
    return explicit(basis, bounds)


def explicit(basis: Basis, bounds: tuple[int, ...]) -> Periods:
    """Columns that end on the days given; by the due date what is not due stands before them."""
    return Periods((0, *bounds) if basis is Basis.DUE_DATE else bounds)


USUAL: Final = regular(Basis.DUE_DATE)
