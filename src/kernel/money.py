"""Money: whole minor units of one ISO 4217 currency, never a float."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

MAX_MINOR: Final = 2**53 - 1
_MAX_DIGITS: Final = 28  # of Decimal's default context: beyond them it rounds
_PLAIN: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
# ISO 4217 (2026) minor units that differ from two.
_EXPONENTS: Final = dict.fromkeys(
    (
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
        "XOF", "XPF",
    ),
    0,
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3) | {"CLF": 4, "UYW": 4}  # fmt: skip


class CurrencyMismatch(ValueError):
    """Two currencies met in one sum."""


class NotExact(ValueError):
    """A major amount has more decimals than its currency, or is no number."""


def exponent(currency: str) -> int:
    """Decimal places of the currency: 2 for EUR, 0 for JPY, 3 for TND."""
    return _EXPONENTS.get(currency, 2)


class Money(Struct, frozen=True, order=True):
    """An amount in minor units with its currency.

    >>> [part.amount_minor for part in Money(1000, "EUR").split([1, 1, 1])]
    [334, 333, 333]
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if abs(self.amount_minor) > MAX_MINOR:
            raise OverflowError("an amount has at most 2^53-1 minor units")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def split(self, weights: Sequence[int]) -> "list[Money]":
        """Share by weight; what rounding leaves goes to the largest remainders, first come first."""
        return [Money(part, self.currency) for part in split_minor(self.amount_minor, weights)]

    def major(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.amount_minor).scaleb(-exponent(self.currency))

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not add up")
        return other.amount_minor


def split_minor(total: int, weights: Sequence[int]) -> list[int]:
    """Largest remainder over whole units; the parts sum to the total exactly."""
    whole = sum(weights)
    if not weights or whole <= 0 or min(weights) < 0:
        raise ValueError("weights are not negative and not all zero")
    sign = -1 if total < 0 else 1
    shares = [divmod(abs(total) * weight, whole) for weight in weights]
    left = abs(total) - sum(share for share, _ in shares)
    order = sorted(range(len(weights)), key=lambda place: -shares[place][1])
    extra = set(order[:left])
    return [sign * (share + (place in extra)) for place, (share, _) in enumerate(shares)]


def from_major(text: str | Decimal, currency: str) -> Money:
    """Convert a major amount exactly ("12.5" EUR is 1250), or refuse it.

    Raises NotExact when the amount is no finite number or has more decimals than the currency.
    """
    if isinstance(text, str) and not _PLAIN.fullmatch(text):  # Decimal also reads 1_000 and digits of other scripts
        raise NotExact(f"{text[:40]!r} is no amount")
    amount = Decimal(text)
    if not amount.is_finite() or len(amount.as_tuple().digits) > _MAX_DIGITS or abs(amount.adjusted()) > _MAX_DIGITS:
        raise NotExact("an amount is a finite number of at most 28 digits")
    scaled = amount.scaleb(exponent(currency))  # exact: within the digits of the context
    if scaled != scaled.to_integral_value():
        raise NotExact(f"{currency} has {exponent(currency)} decimals")
    if abs(scaled) > MAX_MINOR:
        raise NotExact("an amount has at most 2^53-1 minor units")
    return Money(int(scaled), currency)
