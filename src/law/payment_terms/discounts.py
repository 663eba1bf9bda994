"""Early-payment discounts (escompte, Skonto) in free text."""

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from msgspec import Struct

from law.payment_terms.words import DATE, DAYS, PERCENT, day_of, number_of

MAX_PERCENT: Final = Decimal(50)
_NAME: Final = (
    r"(?:d'|de )?(?:early[- ]payment discount|prompt[- ]payment discount|cash discount|escompte|esc\b|discount|skonto)"
)
_UNTIL: Final = rf"(?:\s*(?:bis(?: zum)?|by|until|avant le|jusqu'au|le)\s*(?P<until>{DATE}))?"


def _patterns(between: str) -> tuple[re.Pattern[str], ...]:
    percent, days = PERCENT.replace("(", "(?P<percent>", 1), DAYS.replace("(", "(?P<days>", 1)
    return (
        re.compile(rf"{percent}\s*{_NAME}{between}{days}{_UNTIL}"),
        re.compile(rf"{_NAME}{between}{percent}{between}{days}{_UNTIL}"),
        re.compile(rf"(?:(?:within|innerhalb|sous|dans)\s+(?:von\s+)?)?{days}{between}{percent}\s*{_NAME}{_UNTIL}"),
    )


_CLOSE: Final = _patterns(r"(?:(?!\bnet)[^\d;%,]){0,60}?")
_LOOSE: Final = _patterns(r"(?:(?!\bnet)[^\d;%]){0,60}?")
_SHORT: Final = (
    re.compile(r"\b(?P<percent>\d{1,2}(?:\.\d{1,2})?)\s*/\s*(?P<days>\d{1,3})\b(?P<until>)(?=\s*,?\s*(?:net\b|n\s*/))"),
    re.compile(
        PERCENT.replace("(", "(?P<percent>", 1)
        + r"\s*(?:a|sous|within|in|innerhalb)?\s*"
        + DAYS.replace("(", "(?P<days>", 1)
        + r"(?P<until>)(?=\s*[,;]?\s*(?:net\b|nets\b|netto\b|n\s*/))"
    ),
)
# XRechnung writes its Skonto for machines, a line each: #SKONTO#TAGE=14#PROZENT=2.25#
_MACHINE: Final = re.compile(
    r"#skonto#tage=(?P<days>\d{1,3})#prozent=(?P<percent>\d{1,2}(?:\.\d{1,2})?)(?P<base>#basisbetrag=[^#;\s]*)?#(?P<until>)"
)
_MACHINE_NOISE: Final = re.compile(r"#verzug#[^;\s]*")


class Discount(Struct, frozen=True):
    """So many per cent less when paid within so many days of the invoice, or until a day that the text names."""

    percent: Decimal
    days: int
    until: date | None = None

    def last_on(self, issued_on: date) -> date:
        """The last day of the discount."""
        return self.until or issued_on + timedelta(days=self.days)


def take_discounts(text: str) -> tuple[Discount | None, str]:
    """The discount of a folded text, and the text without it; raises ValueError where there are several readings."""
    left = _MACHINE_NOISE.sub(" ", text)
    found: list[re.Match[str]] = []
    for patterns in ((_MACHINE,), _SHORT, _CLOSE, _LOOSE):
        readings = [each for each in (list(pattern.finditer(left)) for pattern in patterns) if each]
        if not readings:
            continue
        if len({(match["percent"], match["days"]) for matches in readings for match in matches}) > 1:
            raise ValueError("several discounts")
        found += readings[0]
        for match in reversed(readings[0]):
            left = left[: match.start()] + " , " + left[match.end() :]
        break
    if not found:
        return None, left
    one = found[0]
    percent = number_of(one["percent"])
    if not 0 < percent <= MAX_PERCENT:
        raise ValueError("no discount is that large")
    return Discount(percent, int(one["days"]), day_of(one["until"] or "")), left
