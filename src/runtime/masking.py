"""Personal and secret values found in text are replaced before the text is written anywhere.

It errs on the side of hiding: a long number that happens to pass a check digit is gone as well.
"""

import re
from typing import Final

# lengths of the IBAN registry (SWIFT, release 99)
_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip

_SECRET: Final = re.compile(
    r"(?:rel_(?:live|test)|whsec|whsk)_[A-Za-z0-9+/=_-]+"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # a JWT
    r"|(?<=\bBearer )[^\s\"',;]+"
    r"|(?<=\bBasic )[A-Za-z0-9+/=]{6,}"
    r"|(?<=://)[^/\s:\"']*:[^/\s\"']+(?=@)",  # user and password of a URL
    re.IGNORECASE,
)
_SQL_VALUES: Final = re.compile(  # rows in texts of the database
    r"\[parameters: .*|^DETAIL: [\s\S]*?(?=^HINT: |^\[SQL: |^The above exception|^During handling|\Z)", re.MULTILINE
)
_IBAN: Final = re.compile(
    rf"(?<![A-Z0-9])(?=((?:{'|'.join(_IBAN_LENGTHS)})\d\d(?:[ .-]?[A-Z0-9]){{11,30}}))", re.IGNORECASE
)
_EMAIL: Final = re.compile(r"[^\s@<>\"'(),:;\[\]\\/]{1,64}@[^\s@<>\"'(),:;\[\]\\/]{1,253}\.[^\W\d_]{2,63}")
_DIGITS: Final = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_PHONE: Final = re.compile(
    r"(?<![\w+])(?:\+|00)[1-9]\d{0,2}(?:[ .()/-]{0,2}\d){6,12}(?!\w)"  # with the country's code
    r"|(?<![\w.-])0[1-9](?:[ .-]?\d{2}){4}(?![\w-])"  # French
)


def mask(text: str) -> str:
    """Replace secrets, IBANs, card numbers, e-mail addresses and phone numbers.

    >>> mask("paid by FR7630006000011234567890189, ask marie@example.fr")
    'paid by [iban], ask [email]'
    """
    text = _SECRET.sub("[secret]", _SQL_VALUES.sub("[values]", text))
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    if any(character.isdigit() for character in text):
        text = _PHONE.sub("[phone]", _DIGITS.sub(_card, _mask_ibans(text)))
    return text


def _mask_ibans(text: str) -> str:
    kept: list[str] = []
    done = 0
    for found in _IBAN.finditer(text):  # matches have no width: each place where one may begin is looked at
        end = _end_of_iban(found.group(1)) if found.start() >= done else None
        if end is not None:
            kept += (text[done : found.start()], "[iban]")
            done = found.start() + end
    return "".join([*kept, text[done:]])


def _end_of_iban(text: str) -> int | None:
    """Where the IBAN that begins here ends; in lower case it must pass its check, or every hexadecimal id would do."""
    left = _IBAN_LENGTHS[text[:2].upper()]
    for end, character in enumerate(text, 1):
        left -= character.isalnum()
        if left == 0:
            return end if text[:2].isupper() or _passes_mod_97(text[:end]) else None
    return None


def _passes_mod_97(text: str) -> bool:
    iban = [character for character in text if character.isalnum()]
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def _card(found: re.Match[str]) -> str:
    digits = [int(character) for character in found.group() if character.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(reversed(digits))]
    return found.group() if sum(doubled) % 10 else "[card]"
