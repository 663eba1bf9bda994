"""`Idempotency-Key`: the answer to a POST is kept in the transaction of its effect, and given again to a repeat."""

import hashlib
import re
from typing import Final, cast

import msgspec

from api.errors import IdempotencyKeyMissing
from api.exchange import Exchange, Plan
from kernel.errors import Fault, Malformed
from storage.idempotency import Kept

HEADER: Final = b"idempotency-key"
REPLAYED: Final = (b"idempotency-replayed", b"true")
PATTERN: Final = r"[\x21\x23-\x5b\x5d-\x7e]{1,255}"  # visible ASCII without the quote and the backslash
_KEY: Final = re.compile(f'(?:"({PATTERN})"|({PATTERN}))')  # a structured string as the draft has it, or bare
_REPEATED: Final = frozenset({b"content-type", b"etag", b"location", b"link"})


def key_of(value: str | None, plan: Plan) -> str | None:
    """The key of a request; raises Malformed, or IdempotencyKeyMissing where the operation asks for one."""
    if value is None:
        if plan.key == "required":
            raise IdempotencyKeyMissing
        return None
    found = _KEY.fullmatch(value.strip())
    if found is None:
        message = "1 to 255 visible ASCII characters, quoted or bare"
        raise Malformed(errors=[Fault(pointer="/header/Idempotency-Key", code="invalid_value", message=message)])
    return found[1] or found[2]


def fingerprint(method: str, exchange: Exchange) -> bytes:
    """What makes two requests the same: method, path, query and the body as JSON, however it was written."""
    digest = hashlib.sha256(f"{method} {exchange.path}\n".encode())
    digest.update(exchange.query_string + b"\n")
    if exchange.spool is not None:
        digest.update(exchange.spool.sha256)
    if exchange.content is not None:
        digest.update(msgspec.json.encode(exchange.content, order="deterministic"))
    return digest.digest()


def kept_of(status: int, headers: list[tuple[bytes, bytes]], body: bytes, plan: Plan) -> Kept:
    """An answer as it will be given again: without its secrets."""
    if plan.one_time and body:
        content = cast("dict[str, object]", msgspec.json.decode(body))
        body = msgspec.json.encode(content | dict.fromkeys(plan.one_time))
    repeated = {name.decode(): value.decode() for name, value in headers if name in _REPEATED}
    return Kept(status, repeated, body)
