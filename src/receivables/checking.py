"""Check what callers hand in, every fault at once, and bring its texts into our form."""

import re
import unicodedata
from datetime import date
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from stdnum import iban

from kernel.errors import Fault, Invalid
from kernel.money import MAX_MINOR
from kernel.text import clean
from receivables.currencies import CURRENCIES

MAX_NUMBER: Final = 100
MAX_EXTERNAL_ID: Final = 255
MAX_EMAIL: Final = 254
MAX_TEXT: Final = 1_000
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2199, 12, 31)

_EMAIL: Final = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\".]+(\.[^\s@<>()\[\],;:\\\".]+)*")
_LANGUAGE: Final = re.compile(r"[a-z]{2}(-[A-Z]{2})?")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ().\-/]{3,38}")
_CODE: Final = re.compile(r"[a-z][a-z0-9_.:\-]{0,59}")
EOM_READINGS: Final = ("net_eom", "eom_net")  # "45 jours fin de mois": 45 days, then month end; or the other way


class Faults:
    """What is wrong with one input. Its texts come back in our form; `stop` raises all faults together."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, pointer: str, code: str, message: str) -> None:
        """Note one fault at a JSON pointer of the input."""
        self.found.append(Fault(pointer=pointer, code=code, message=message))

    def stop(self) -> None:
        """Raise Invalid if anything was wrong."""
        if self.found:
            raise Invalid(errors=self.found)

    def line(self, pointer: str, text: str, limit: int) -> str:
        """One line that must say something."""
        normal = self.optional_line(pointer, text, limit)
        if normal is None:
            self.add(pointer, "required", "it must not be empty")
        return normal or ""

    def optional_line(self, pointer: str, text: str | None, limit: int) -> str | None:
        """One line, or nothing."""
        if text is None:
            return None
        normal = clean(text, limit + 1)
        if len(normal) > limit:
            self.add(pointer, "too_long", f"at most {limit} characters")
        return normal or None

    def lines(self, pointer: str, text: str | None, limit: int) -> str | None:
        """Several lines, such as an address or a note, or nothing."""
        if text is None:
            return None
        normal = "\n".join(line for line in (clean(part, limit + 1) for part in text.splitlines()) if line)
        if len(normal) > limit:
            self.add(pointer, "too_long", f"at most {limit} characters")
        return normal or None

    def email(self, pointer: str, text: str | None) -> str | None:
        """One e-mail address, or nothing."""
        normal = self.optional_line(pointer, text, MAX_EMAIL)
        if normal is not None and not is_email(normal):
            self.add(pointer, "email", "one address of the form name@example.com")
        return normal

    def currency(self, pointer: str, code: str) -> None:
        """An ISO 4217 code: an unknown one has unknown decimals."""
        if code not in CURRENCIES:
            self.add(pointer, "unknown_currency", "an ISO 4217 code such as EUR")

    def zone(self, pointer: str, name: str | None) -> None:
        """An IANA time zone."""
        if name is not None and name not in _zones():
            self.add(pointer, "unknown_zone", "an IANA time zone such as Europe/Paris")

    def language(self, pointer: str, tag: str | None) -> None:
        """A language tag: two letters, and a country where it matters."""
        if tag is not None and not _LANGUAGE.fullmatch(tag):
            self.add(pointer, "language", "a language tag such as fr or fr-BE")

    def country(self, pointer: str, code: str | None) -> None:
        """An ISO 3166-1 code of two letters."""
        if code is not None and not _COUNTRY.fullmatch(code):
            self.add(pointer, "country", "an ISO 3166-1 code such as FR")

    def iban(self, pointer: str, text: str | None) -> str | None:
        """An IBAN whose check digits are right; without spaces."""
        normal = _packed(text)
        if normal is not None and not is_iban(normal):
            self.add(pointer, "iban", "the check digits of this IBAN are wrong")
        return normal

    def phone(self, pointer: str, text: str | None) -> str | None:
        """One telephone number as people write it, or nothing."""
        normal = self.optional_line(pointer, text, 40)
        if normal is not None and not is_phone(normal):
            self.add(pointer, "phone", "a number such as +33 1 42 34 56 78")
        return normal

    def code(self, pointer: str, text: str | None) -> None:
        """A code of ours in lower case, or nothing."""
        if text is not None and not _CODE.fullmatch(text):
            self.add(pointer, "code", "a code in lower case such as oldest_first")

    def eom_reading(self, pointer: str, text: str | None) -> None:
        """How a creditor reads "fin de mois", which the contract must say (French practice knows both)."""
        if text is not None and text not in EOM_READINGS:
            self.add(pointer, "eom_reading", f"one of {', '.join(EOM_READINGS)}")

    def bic(self, pointer: str, text: str | None) -> str | None:
        """A BIC of 8 or 11 characters."""
        normal = _packed(text)
        if normal is not None and not _BIC.fullmatch(normal):
            self.add(pointer, "bic", "a BIC has 8 or 11 letters and digits")
        return normal

    def day(self, pointer: str, day: date | None) -> None:
        """A day that a document of our time may bear."""
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            self.add(pointer, "day_out_of_range", f"a day from {FIRST_DAY} to {LAST_DAY}")

    def amount(self, pointer: str, amount_minor: int, *, low: int = 0) -> None:
        """An amount in minor units within our bounds."""
        if not low <= amount_minor <= MAX_MINOR:
            self.add(pointer, "amount_out_of_range", f"a whole number of minor units from {low} to {MAX_MINOR}")


def is_email(text: str) -> bool:
    """Whether this is one plain e-mail address."""
    return len(text) <= MAX_EMAIL and _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Whether this is one telephone number as people write it."""
    return _PHONE.fullmatch(text) is not None


def is_iban(text: str) -> bool:
    """Whether this is an IBAN (ISO 13616): check digits, and length and form as its country has registered them."""
    return _IBAN.fullmatch(text) is not None and iban.is_valid(text)


def _packed(text: str | None) -> str | None:
    if text is None:
        return None
    return "".join(unicodedata.normalize("NFKC", text).split()).upper() or None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
