"""Money, days and numbers as a reader of the language expects them.

The spaces inside amounts are U+00A0: CLDR's narrow one (U+202F) is missing from fonts that mail clients still use.
"""

import unicodedata
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from babel.dates import format_date
from babel.numbers import format_decimal, get_currency_symbol

from kernel import text
from kernel.money import Money, exponent

NBSP: Final = "\u00a0"
_NARROW: Final = "\u202f"
_LOCALES: Final = {"fr": "fr_FR", "en": "en_GB"}
_SYMBOL_AFTER: Final = frozenset({"fr"})
# Registers by the scheme of a document; ISO 6523 codes stand for the register that issued the number.
_REGISTERS: Final = {
    "fr": {"vat": "TVA", "tax": "N° fiscal", "legal": "Immatriculation"},
    "en": {"vat": "VAT", "tax": "Tax no.", "legal": "Registration no."},
}
_SCHEMES: Final = {
    "siren": "SIREN", "0002": "SIREN", "siret": "SIRET", "0009": "SIRET", "duns": "DUNS", "0060": "DUNS",
    "gln": "GLN", "0088": "GLN",
}  # fmt: skip
_SIREN_LENGTH: Final = 9
_SIRET_LENGTH: Final = 14


def plain(value: str, limit: int = text.MAX_NAME) -> str:
    """Text from outside on one line, without controls and without marks that turn the reading direction."""
    visible = "".join(c for c in value if unicodedata.category(c) not in {"Cf", "Cs", "Co"} or c in "\u200c\u200d")
    return text.clean(visible, limit)


@lru_cache(maxsize=4096)
def money(amount_minor: int, currency: str, language: str) -> str:
    """An amount: `1 234,56 €` in French, `€1,234.56` in English; never rounded."""
    locale = _LOCALES[language]
    decimals = exponent(currency)
    pattern = "#,##0." + "0" * decimals if decimals else "#,##0"
    number = format_decimal(Money(amount_minor, currency).major(), pattern, locale=locale)
    symbol = get_currency_symbol(currency, locale=locale)
    if language in _SYMBOL_AFTER:
        written = f"{number}{NBSP}{symbol}"
    else:
        sign, digits = ("-", number[1:]) if amount_minor < 0 else ("", number)
        written = f"{sign}{symbol}{NBSP if symbol[-1:].isalpha() else ''}{digits}"
    return written.replace(_NARROW, NBSP)


@lru_cache(maxsize=4096)
def day(value: date, language: str) -> str:
    """A date in full: `1er mars 2026`, `3 March 2026`."""
    written = format_date(value, "d MMMM y", locale=_LOCALES[language])
    return "1er" + written[1:] if language == "fr" and value.day == 1 else written


def listed(items: Sequence[str], conjunction: str) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) <= 1:
        return "".join(items)
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"


def grouped(value: str, size: int, space: str = NBSP) -> str:
    """A long number in groups of a size."""
    packed = "".join(value.split())
    return space.join(packed[place : place + size] for place in range(0, len(packed), size))


def legal_id(scheme: str, value: str, language: str) -> str | None:
    """A registered number with the name that readers know it by: `SIREN 552 100 554`; None for other numbers."""
    name = _REGISTERS[language].get(scheme) or _SCHEMES.get(scheme)
    number = plain(value, 60)
    packed = "".join(number.split())
    if name is None or not packed:
        return None
    if name == "SIREN" and packed.isdigit() and len(packed) == _SIREN_LENGTH:
        number = grouped(packed, 3)
    elif name in {"SIREN", "SIRET"} and packed.isdigit() and len(packed) == _SIRET_LENGTH:
        name, number = "SIRET", grouped(packed[:_SIREN_LENGTH], 3) + NBSP + packed[_SIREN_LENGTH:]
    return f"{name}{NBSP}{number}"
