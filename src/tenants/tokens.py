"""The text of an API key: `rel_live_…` or `rel_test_…`, a base62 body and a checksum.

The body is the key's id (16 bytes, by which its row is found) and a secret of 32 random bytes. The last six
characters are the CRC32 of all before them, so that a scanner recognises a real key without asking anyone.
"""

import hashlib
import re
import secrets
import zlib
from typing import Final
from uuid import UUID

from msgspec import Struct

from kernel import ids
from tenants.models import TenantKind

PATTERN: Final = r"rel_(live|test)_[0-9A-Za-z]{71}"  # published, for secret scanners
_PATTERN: Final = re.compile(PATTERN)
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_PREFIX: Final = {TenantKind.LIVE: "rel_live_", TenantKind.SANDBOX: "rel_test_"}
_BODY_BYTES: Final = 48
_BODY: Final = 65  # base62 characters of 48 bytes
_CRC: Final = 6


class Token(Struct, frozen=True):
    """A key's text, its id, and what is kept of it."""

    text: str
    key_id: UUID
    digest: bytes


def make(kind: TenantKind, key_id: UUID) -> Token:
    """Make the text of a new key."""
    body = int.from_bytes(key_id.bytes + secrets.token_bytes(32))
    head = _PREFIX[kind] + _write(body, _BODY)
    return _token(head + _checksum(head), key_id)


def name_of(key_id: UUID) -> str:
    """A key's id as the world knows it."""
    return ids.encode("key", key_id)


def read(text: str) -> Token | None:
    """Read a key's text; nothing when it is not one, or was mistyped."""
    if _PATTERN.fullmatch(text) is None or text[-_CRC:] != _checksum(text[:-_CRC]):
        return None
    number = 0
    for character in text[-_CRC - _BODY : -_CRC]:
        number = number * 62 + _VALUES[character]
    if number >> (8 * _BODY_BYTES):
        return None
    return _token(text, UUID(bytes=number.to_bytes(_BODY_BYTES)[:16]))


def _token(text: str, key_id: UUID) -> Token:
    return Token(text, key_id, hashlib.sha256(text.encode()).digest())  # 256 random bits need no slow hash


def _checksum(head: str) -> str:
    return _write(zlib.crc32(head.encode()), _CRC)


def _write(number: int, length: int) -> str:
    letters: list[str] = []
    for _ in range(length):
        number, place = divmod(number, 62)
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))
