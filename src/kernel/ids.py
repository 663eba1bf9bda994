"""Identifiers: UUIDv7 inside, a prefix and Crockford base32 outside (the TypeID form).

>>> decode("inv", encode("inv", UUID(int=1))) == UUID(int=1)
True
"""

import secrets
import threading
import time
from typing import Final
from uuid import UUID

from kernel.errors import NotFound

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}
_LENGTH: Final = 26
_MAX: Final = (1 << 128) - 1
_COUNTER_MAX: Final = (1 << 42) - 1


class _Sequence:
    """Makes ids of one process increase, also within a millisecond (RFC 9562 section 6.2, method 1)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0

    def next(self) -> tuple[int, int]:
        with self._lock:
            ms = time.time_ns() // 1_000_000  # system time: ids never follow a test clock
            if ms > self._ms:
                self._ms, self._counter = ms, secrets.randbits(41)
            else:  # the same millisecond, or a clock that went back
                self._counter += 1
                if self._counter > _COUNTER_MAX:
                    self._ms, self._counter = self._ms + 1, secrets.randbits(41)
            return self._ms, self._counter


_sequence: Final = _Sequence()


def new_id() -> UUID:
    """Make a UUIDv7 from system time; increasing within this process."""
    ms, counter = _sequence.next()
    return _compose(ms, counter, secrets.randbits(32))


def first_id_of(ms: int) -> UUID:
    """The smallest UUIDv7 of a Unix time in milliseconds: the bound of a partition or a retention."""
    return UUID(int=ms << 80)


def _compose(ms: int, counter: int, tail: int) -> UUID:
    high12, low30 = counter >> 30, counter & ((1 << 30) - 1)
    return UUID(int=(ms << 80) | (0x7 << 76) | (high12 << 64) | (0b10 << 62) | (low30 << 32) | tail)


def encode(prefix: str, value: UUID) -> str:
    """Write an id for the world: `inv_01j…`."""
    number, letters = value.int, [""] * _LENGTH
    for place in range(_LENGTH - 1, -1, -1):
        letters[place] = ALPHABET[number & 31]
        number >>= 5
    return f"{prefix}_{''.join(letters)}"


def decode(prefix: str, text: str) -> UUID:
    """Read an id of this kind; anything else names nothing that exists.

    Only the canonical spelling is accepted, so that a resource has one address.
    """
    value = read(prefix, text)
    if value is None:
        raise NotFound
    return value


def read(prefix: str, text: str) -> UUID | None:
    """Read an id of this kind, or nothing."""
    head, _, body = text.rpartition("_")
    if head != prefix or len(body) != _LENGTH:
        return None
    number = 0
    for character in body:
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number) if number <= _MAX else None
