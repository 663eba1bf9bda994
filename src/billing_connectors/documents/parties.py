"""Build a party from what a document states, the same way for every syntax."""

from collections.abc import Iterable
from typing import Final

from billing_connectors.documents.canonical import MAX_ID, MAX_LIST, MAX_NAME, LegalId, Party
from billing_connectors.documents.fields import email_address
from kernel.text import clean

_EMAIL_SCHEME: Final = "EM"  # of the electronic address schemes: the address is a mailbox
_CODE_LENGTH: Final = 2


def party(
    *,
    registered_name: str | None,
    trading_name: str | None,
    legal_ids: Iterable[tuple[str, str]],
    endpoint: tuple[str | None, str] | None,
    contact_name: str | None,
    email: str | None,
    phone: str | None,
    address_lines: Iterable[str],
    postcode: str | None,
    city: str | None,
    country: str | None,
    language: str | None,
) -> Party:
    """A party with bounded texts; who has no registered name goes by the trading name."""
    name = short(registered_name) or short(trading_name) or ""
    trading = short(trading_name)
    mailbox = endpoint[1] if endpoint is not None and endpoint[0] == _EMAIL_SCHEME else None
    return Party(
        name=name,
        trading_name=trading if trading != name else None,
        legal_ids=identifiers(legal_ids),
        endpoint=LegalId(clean(endpoint[0] or "", MAX_ID), clean(endpoint[1], MAX_ID)) if endpoint else None,
        contact_name=short(contact_name),
        email=email_address(email or "") or email_address(mailbox or ""),
        phone=short(phone),
        address_lines=tuple(line for line in (short(text) for text in address_lines) if line)[:10],
        postcode=short(postcode),
        city=short(city),
        country=_two_letters(country),
        language=(_two_letters(language) or "").lower() or None,
    )


def identifiers(stated: Iterable[tuple[str, str]]) -> tuple[LegalId, ...]:
    """Each identifier once, in the order of the document; an overlong one identifies nothing."""
    cleaned = (LegalId(clean(scheme, MAX_ID), clean(value, MAX_ID + 1)) for scheme, value in stated)
    return tuple(dict.fromkeys(one for one in cleaned if one.value and len(one.value) <= MAX_ID))[:MAX_LIST]


def short(text: str | None) -> str | None:
    """One bounded line, or nothing."""
    return clean(text, MAX_NAME) or None if text else None


def _two_letters(text: str | None) -> str | None:
    code = (text or "").strip()[:2].upper()
    return code if len(code) == _CODE_LENGTH and code.isascii() and code.isalpha() else None
