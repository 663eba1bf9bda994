"""Standard Webhooks signatures: v1 (HMAC-SHA256) and v1a (ed25519), over `id.timestamp.body`.

>>> headers = sign([read_key(new_secret())], "evt_1", 1614265330, b"{}")
>>> headers["webhook-signature"].startswith("v1,")
True
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES: Final = 32
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
MAX_KEYS: Final = 10  # the current one and those within their grace
SEED_BYTES: Final = 32

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"


class HmacKey:
    """A v1 key, shared with the receiver."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, content: bytes) -> str:
        return f"v1,{b64encode(hmac.digest(self._secret, content, 'sha256')).decode()}"


class Ed25519Key:
    """A v1a key: we keep the private half, the receiver verifies with the public one."""

    __slots__ = ("_private",)

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> str:
        """The half that the receiver gets, as `whpk_…`."""
        return f"whpk_{b64encode(self._private.public_key().public_bytes_raw()).decode()}"

    def sign(self, content: bytes) -> str:
        return f"v1a,{b64encode(self._private.sign(content)).decode()}"


SigningKey = HmacKey | Ed25519Key


def new_secret() -> str:
    """Make a v1 secret, as `whsec_…`."""
    return f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def new_private_key() -> str:
    """Make a v1a private key, as `whsk_…`: seed and public half, as other implementations write it."""
    seed = secrets.token_bytes(SEED_BYTES)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return f"whsk_{b64encode(seed + public).decode()}"


def read_key(text: str) -> SigningKey:
    """Read `whsec_…` or `whsk_…`; raises ValueError, which never holds the key."""
    kind, _, encoded = text.partition("_")
    try:
        raw = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError("a signing key is whsec_ or whsk_ and base64") from None
    if kind == "whsec" and MIN_SECRET_BYTES <= len(raw) <= MAX_SECRET_BYTES:
        return HmacKey(raw)
    if kind == "whsk" and len(raw) in {SEED_BYTES, 2 * SEED_BYTES}:
        return Ed25519Key(raw[:SEED_BYTES])
    raise ValueError("a signing key is whsec_ or whsk_ and base64 of the right length")


def read_keys(texts: Iterable[str]) -> tuple[SigningKey, ...]:
    """Read the keys of an endpoint, the current one first."""
    return tuple(read_key(text) for text in texts)


def sign(keys: Sequence[SigningKey], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt; while a key rotates, each active key signs."""
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"an attempt is signed by 1 to {MAX_KEYS} keys")
    if not message_id or "." in message_id:
        raise ValueError("a message id has no full stop, which separates the signed parts")
    content = b"%s.%d.%s" % (message_id.encode(), timestamp_s, body)
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp_s),
        SIGNATURE_HEADER: " ".join([key.sign(content) for key in keys]),
    }
