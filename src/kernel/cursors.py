"""Opaque, signed page cursors, bound to what they page through."""

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final

import msgspec

from kernel.errors import Fault, Invalid

_TAG: Final = 16


class CursorInvalid(Invalid):
    """The cursor does not belong to this list."""

    code = "cursor_invalid"
    remedy = "Use next_cursor with the same filters and key that gave it, or start without a cursor."


def seal(secret: bytes, scope: str, position: list[Any]) -> str:  # Any: what a sort key holds (text, int)
    """Write a position; `scope` names tenant, list, filters, sort and version."""
    body = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_tag(secret, scope, body) + body).decode().rstrip("=")


def open_(secret: bytes, scope: str, cursor: str) -> list[Any]:  # Any: as in seal
    """Read a position back; raises CursorInvalid when it was made for another list or tampered with."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    tag, body = raw[:_TAG], raw[_TAG:]
    if not hmac.compare_digest(tag, _tag(secret, scope, body)) or not body:
        fault = Fault(pointer="/query/cursor", code="cursor_invalid", message="not a cursor of this list")
        raise CursorInvalid(errors=[fault])
    return msgspec.json.decode(body, type=list[Any])  # Any: what a sort key holds


def _tag(secret: bytes, scope: str, body: bytes) -> bytes:
    return hmac.new(secret, scope.encode() + b"\0" + body, hashlib.sha256).digest()[:_TAG]
