"""What an invoice says of taxes, by rate, and of the currency that its creditor reports in."""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from kernel.money import MAX_MINOR, exponent
from receivables.checking import Faults

MAX_TAX_LINES: Final = 50
MAX_RATE: Final = Decimal(1000)  # per cent
RATE_PLACES: Final = 6
EXCHANGE_PLACES: Final = 12
EMPTY: Final = "[]"


class TaxCategory(StrEnum):
    """UNCL5305, the part that EN 16931 uses (BT-118)."""

    STANDARD = "S"
    ZERO = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"
    INTRA_COMMUNITY = "K"
    EXPORT = "G"
    OUT_OF_SCOPE = "O"
    CANARY_ISLANDS = "L"
    CEUTA_MELILLA = "M"
    SPLIT_PAYMENT = "B"


class TaxLine(Struct, frozen=True, kw_only=True):
    """The tax of one rate: its base and its amount, in minor units of the invoice's currency (EN 16931 BG-23)."""

    category: TaxCategory
    rate: Decimal  # per cent: "20", "5.5"
    base_minor: int
    tax_minor: int


class ExchangeRate(Struct, frozen=True, kw_only=True):
    """What one unit of the invoice's currency was worth in the reporting currency, and on which day.

    It is shown beside amounts and never used to add two currencies up.
    """

    currency: str
    rate: Decimal
    on: date

    @classmethod
    def of(cls, currency: str | None, rate: Decimal | None, on: date | None) -> "ExchangeRate | None":
        """Read the three columns, which are all there or all absent."""
        if currency is None or rate is None or on is None:
            return None
        return cls(currency=currency, rate=plain(rate), on=on)


def taxes_read(text: str) -> tuple[TaxLine, ...]:
    """Read the tax lines of a row."""
    return () if text == EMPTY else msgspec.json.decode(text, type=tuple[TaxLine, ...])


def taxes_written(lines: Sequence[TaxLine]) -> str:
    """Write tax lines into a row."""
    return EMPTY if not lines else msgspec.json.encode(lines).decode()


def plain(number: Decimal) -> Decimal:
    """The same number without an exponent and without zeros at its end: 20.00 is 20, 1E+1 is 10."""
    normal = number.normalize()
    return normal.quantize(Decimal(1)) if normal == normal.to_integral_value() else normal


def check_taxes(faults: Faults, lines: Sequence[TaxLine], total_minor: int, currency: str) -> tuple[TaxLine, ...]:
    """Bases and taxes add up to the total; each tax is its base times its rate, within one major unit.

    The tolerance is that of the rules by which e-invoices are checked (EN 16931, BR-CO-17 and BR-S-09): a seller may
    round each line of the invoice or only the sum.
    """
    if len(lines) > MAX_TAX_LINES:
        faults.add("/taxes", "too_many", f"at most {MAX_TAX_LINES} tax lines")
        return ()
    seen: set[tuple[TaxCategory, Decimal]] = set()
    for place, line in enumerate(lines):
        _check_line(faults, f"/taxes/{place}", line, currency)
        key = line.category, line.rate
        if key in seen:
            faults.add(f"/taxes/{place}", "twice", "one line for each category and rate")
        seen.add(key)
    if lines and sum(line.base_minor + line.tax_minor for line in lines) != total_minor:
        faults.add("/taxes", "sum", f"bases and taxes add up to the total: {total_minor}")
    return tuple(msgspec.structs.replace(line, rate=plain(line.rate)) for line in lines if line.rate.is_finite())


def _check_line(faults: Faults, pointer: str, line: TaxLine, currency: str) -> None:
    for name, amount_minor in (("base_minor", line.base_minor), ("tax_minor", line.tax_minor)):
        if abs(amount_minor) > MAX_MINOR:  # negative where a rate's allowances exceed its lines
            faults.add(f"{pointer}/{name}", "amount_out_of_range", f"at most {MAX_MINOR} minor units")
    if not line.rate.is_finite() or not 0 <= line.rate <= MAX_RATE or _places(line.rate) > RATE_PLACES:
        faults.add(f"{pointer}/rate", "rate", f"per cent from 0 to {MAX_RATE} with at most {RATE_PLACES} decimals")
        return
    exact = (Decimal(line.base_minor) * line.rate / 100).quantize(Decimal(1), ROUND_HALF_UP)
    if abs(exact - line.tax_minor) > 10 ** exponent(currency):
        faults.add(f"{pointer}/tax_minor", "tax", f"the base times the rate is {exact}")


def check_exchange_rate(faults: Faults, rate: ExchangeRate | None, currency: str) -> ExchangeRate | None:
    """A positive rate to another currency, with its day; in our form."""
    if rate is None:
        return None
    faults.currency("/exchange_rate/currency", rate.currency)
    faults.day("/exchange_rate/on", rate.on)
    if rate.currency == currency:
        faults.add("/exchange_rate/currency", "same_currency", "a rate is to another currency than the invoice's")
    number = rate.rate
    if not number.is_finite() or not 0 < number < Decimal(10) ** EXCHANGE_PLACES or _places(number) > EXCHANGE_PLACES:
        faults.add("/exchange_rate/rate", "rate", f"a positive number with at most {EXCHANGE_PLACES} decimals")
        return None
    return msgspec.structs.replace(rate, rate=plain(number))


def _places(number: Decimal) -> int:
    power = number.normalize().as_tuple().exponent
    return max(-power, 0) if isinstance(power, int) else 0
