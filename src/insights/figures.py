"""From sums by period to the columns of a report: pure, and the same for a row, a total and a debtor's page."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from msgspec import Struct

from insights.views import AgedFigures, Converted, Credits
from kernel.money import exponent
from receivables.periods import UNDATED

# Places of sums that belong to no period.
RECEIPTS: Final = -2  # and write-offs: what lowers a balance and is no credit note
CREDIT_NOTES: Final = -3
CHARGES: Final = -4


class Cell(Struct, frozen=True, kw_only=True):
    """Sums over the entries of one period (or of one of the places above) in one currency."""

    currency: str
    place: int
    open_minor: int  # of instalments and charges: what is to pay, each at least nothing
    late_minor: int  # of it, what was due before the day
    entered_minor: int  # what the ledger's entries come to
    by_credit_minor: int  # what credit notes have settled of it
    netted_minor: int  # of open_minor, what credits took off it, the oldest first


class Held(Struct, frozen=True, kw_only=True):
    """What is disputed and promised."""

    disputed_minor: int = 0
    promised_minor: int = 0


def figures(cells: Iterable[Cell], credit: Credits, *, periods: int, held: Mapping[str, Held]) -> list[AgedFigures]:
    """One row of figures for each currency, by its code; currencies in which nothing is open are left out."""
    by_currency: dict[str, list[Cell]] = {}
    for cell in cells:
        by_currency.setdefault(cell.currency, []).append(cell)
    found = [
        _figures(currency, by_currency[currency], credit, periods=periods, held=held.get(currency, Held()))
        for currency in sorted(by_currency)
    ]
    return [one for one in found if one.open_minor or one.balance_minor or one.charges_minor or one.credit_minor]


def _figures(currency: str, cells: Sequence[Cell], credit: Credits, *, periods: int, held: Held) -> AgedFigures:
    amounts = [0] * (periods + 1)  # the last one is what has no day
    for cell in cells:
        if cell.place >= UNDATED:
            amounts[cell.place] += cell.open_minor - cell.netted_minor
    open_minor = sum(cell.open_minor for cell in cells if cell.place >= UNDATED)
    late_minor = sum(cell.late_minor for cell in cells)
    charges_minor = sum(cell.open_minor for cell in cells if cell.place == CHARGES)
    balance_minor = sum(cell.entered_minor for cell in cells)
    recorded_minor = -sum(cell.entered_minor for cell in cells if cell.place == CREDIT_NOTES)
    credit_minor = recorded_minor - sum(cell.by_credit_minor for cell in cells)
    unapplied_minor = open_minor + charges_minor - credit_minor - balance_minor
    if credit is not Credits.SEPARATE:
        amounts[0] -= unapplied_minor + credit_minor - sum(cell.netted_minor for cell in cells)
        unapplied_minor = credit_minor = 0
    return AgedFigures(
        currency=currency,
        periods_minor=tuple(amounts[:periods]),
        undated_minor=amounts[UNDATED],
        open_minor=open_minor,
        overdue_minor=late_minor,
        not_due_minor=open_minor - late_minor,
        charges_minor=charges_minor,
        unapplied_minor=unapplied_minor,
        credit_minor=credit_minor,
        balance_minor=balance_minor,
        disputed_minor=held.disputed_minor,
        promised_minor=held.promised_minor,
    )


def converted(rows: Sequence[AgedFigures], currency: str | None, rates: Mapping[str, Decimal]) -> Converted | None:
    """The sums of several currencies in one, or None where none was asked for. Each currency is rounded half up."""
    if currency is None:
        return None
    known = {currency: Decimal(1), **rates}
    missing = tuple(row.currency for row in rows if row.currency not in known)

    def total(amounts: Iterable[tuple[int, str]]) -> int | None:
        if missing:
            return None
        return sum(convert_minor(amount_minor, of, currency, known[of]) for amount_minor, of in amounts)

    return Converted(
        currency=currency,
        open_minor=total((row.open_minor, row.currency) for row in rows),
        overdue_minor=total((row.overdue_minor, row.currency) for row in rows),
        balance_minor=total((row.balance_minor, row.currency) for row in rows),
        without_rate=missing,
    )


def convert_minor(amount_minor: int, of: str, to: str, rate: Decimal) -> int:
    """An amount in minor units of another currency, rounded half up (away from zero at the half).

    >>> convert_minor(1000, "USD", "JPY", Decimal("150.25"))
    1503
    """
    scaled = Decimal(amount_minor).scaleb(exponent(to) - exponent(of)) * rate
    return int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP))
