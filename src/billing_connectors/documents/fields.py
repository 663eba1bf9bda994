"""Turn the text of one field into a value, exactly or not at all."""

import re
from datetime import date
from typing import Final

from billing_connectors.documents.canonical import MAX_EMAIL, MAX_TEXT
from kernel.money import NotExact, from_major
from kernel.text import clean
from receivables.currencies import CURRENCIES

# xsd:decimal, with room for any amount and for the zeros that some tools pad with. No exponent, no thousands.
_DECIMAL: Final = re.compile(r"([+-]?)(\d{1,20})?(?:\.(\d{0,20}))?", re.ASCII)
# xsd:date may carry a zone; some tools write a date and time where a date is asked for.
_ISO_DAY: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:Z|[+-]\d{2}:\d{2}|T[\d:.]{5,20}(?:Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)
# UN/CEFACT 102, 203 and 204: CCYYMMDD, with HHMM or HHMMSS after it.
_COMPACT_DAY: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{4}|\d{6})?", re.ASCII)
_EMAIL: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,189}", re.ASCII)
EARLIEST: Final = date(1990, 1, 1)
LATEST: Final = date(2199, 12, 31)


class Unreadable(ValueError):
    """The text of a field is not a value of its kind."""


def amount_minor(text: str, currency: str) -> int:
    """Minor units of a decimal in major units.

    >>> amount_minor("-1656.2500", "EUR")
    -165625
    """
    match = _DECIMAL.fullmatch(text.strip())
    if match is None or not (match[2] or match[3]):
        raise Unreadable(f"{text[:40]!r} is no amount")
    fraction = (match[3] or "").rstrip("0")  # padding must not cost precision
    try:
        return from_major(f"{match[1]}{match[2] or '0'}.{fraction or '0'}", currency).amount_minor
    except NotExact as error:
        raise Unreadable(str(error)) from error


def day(text: str) -> date:
    """A calendar day, as UBL writes it (2026-03-02) or as CII does (20260302).

    >>> day("2026-03-02+01:00")
    datetime.date(2026, 3, 2)
    """
    stripped = text.strip()
    match = _ISO_DAY.fullmatch(stripped) or _COMPACT_DAY.fullmatch(stripped)
    if match is None:
        raise Unreadable(f"{text[:40]!r} is no day")
    return calendar_day(int(match[1]), int(match[2]), int(match[3]))


def calendar_day(year: int, month: int, day_of_month: int) -> date:
    """The day, where there is one and an invoice can bear it."""
    try:
        found = date(year, month, day_of_month)
    except ValueError as error:
        raise Unreadable(f"there is no day {year}-{month}-{day_of_month}") from error
    if not EARLIEST <= found <= LATEST:
        raise Unreadable(f"{found} is not the day of an invoice")
    return found


def currency_code(text: str) -> str:
    """An ISO 4217 alphabetic code."""
    code = text.strip().upper()
    if code not in CURRENCIES:
        raise Unreadable(f"{text[:40]!r} is no currency")
    return code


def email_address(text: str) -> str | None:
    """One plain address that can be written to, or none."""
    address = clean(text.removeprefix("mailto:"), MAX_EMAIL + 1)
    if len(address) > MAX_EMAIL or _EMAIL.fullmatch(address) is None:
        return None
    return address


def paragraph(parts: "list[str] | tuple[str, ...]") -> str | None:
    """Free text, its lines kept, bounded; none where nothing is said."""
    lines = [clean(line, MAX_TEXT) for part in parts for line in part.splitlines()]
    return "\n".join(line for line in lines if line)[:MAX_TEXT] or None
