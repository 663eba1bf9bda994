"""E-mail addresses as they go into a header and onto the wire: checked, with an ASCII domain."""

import re
import unicodedata
from typing import Final

import idna

MAX_ADDRESS: Final = 254  # octets, RFC 5321 section 4.5.3.1.3 less its angle brackets
_MAX_LOCAL: Final = 64
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+"  # RFC 5322 section 3.2.3, RFC 6532
_DOT_ATOM: Final = re.compile(rf"{_ATEXT}(\.{_ATEXT})*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class AddressRefused(ValueError):
    """This is no address that a mail can be sent to; quoted local parts and address literals are not taken."""


def normal(address: str) -> str:
    """An address in the one form that we store and send to: the local part as written, the domain in lower-case ASCII.

    >>> normal("Claire@Exämple.FR")
    'Claire@xn--exmple-cua.fr'
    """
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    hidden = any(unicodedata.category(character)[0] in "CZ" for character in local)
    if not at or hidden or not _DOT_ATOM.fullmatch(local) or len(local.encode()) > _MAX_LOCAL:
        raise AddressRefused("the part before the @ is malformed")
    written = f"{local}@{_ascii(domain)}"
    if len(written.encode()) > MAX_ADDRESS:
        raise AddressRefused("an address has at most 254 octets")
    return written


def needs_utf8(address: str) -> bool:
    """Whether only a server with SMTPUTF8 can take mail for it."""
    return not address.isascii()


def _ascii(domain: str) -> str:
    try:
        written = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise AddressRefused("the domain is no domain name") from error
    if not all(_LABEL.fullmatch(label) for label in written.split(".")):
        raise AddressRefused("the domain is malformed")
    return written
