"""Signatures against the public vectors, and against a library that is not ours."""

import base64
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from kernel.clock import system_now
from webhooks.signing import (
    MAX_KEYS,
    Ed25519Key,
    HmacKey,
    new_private_key,
    new_secret,
    read_key,
    read_keys,
    sign,
)

# vectors published with the specification's libraries
ID: Final = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S: Final = 1614265330
BODY: Final = b'{"test": 2432232314}'
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
V1: Final = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PRIVATE: Final = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC: Final = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
V1A: Final = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def now_s() -> int:
    return int(system_now().timestamp())


def verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_public_vectors() -> None:
    for key, signature in ((SECRET, V1), (PRIVATE, V1A)):
        assert sign([read_key(key)], ID, TIMESTAMP_S, BODY) == {
            "webhook-id": ID,
            "webhook-timestamp": "1614265330",
            "webhook-signature": signature,
        }


def test_public_half_is_what_the_vector_says() -> None:
    key = read_key(PRIVATE)
    assert isinstance(key, Ed25519Key)
    assert key.public == PUBLIC


@pytest.mark.parametrize("body", [b"", b"{}", '{"name":"Société Générale"}'.encode(), b"x" * 300_000])
def test_standardwebhooks_verifies(body: bytes) -> None:
    secret = new_secret()
    headers = sign([read_key(secret)], "evt_01j9zq4h7te5v8x2w3y4z5a6b7", now_s(), body)
    assert verifies(secret, headers, body)
    assert not verifies(new_secret(), headers, body)


@pytest.mark.parametrize("skew_s", [-295, 295])
def test_clocks_may_differ_by_five_minutes(skew_s: int) -> None:
    secret = new_secret()
    assert verifies(secret, sign([read_key(secret)], "evt_1", now_s() + skew_s, b"{}"), b"{}")


@pytest.mark.parametrize("skew_s", [-305, 305])
def test_older_or_newer_is_refused(skew_s: int) -> None:
    secret = new_secret()
    assert not verifies(secret, sign([read_key(secret)], "evt_1", now_s() + skew_s, b"{}"), b"{}")


def test_what_was_tampered_with_is_refused() -> None:
    secret = new_secret()
    headers = sign([read_key(secret)], "evt_1", now_s(), b'{"amount_minor":1}')
    assert verifies(secret, headers, b'{"amount_minor":1}')
    assert not verifies(secret, headers, b'{"amount_minor":2}')
    assert not verifies(secret, headers | {"webhook-id": "evt_2"}, b'{"amount_minor":1}')
    assert not verifies(secret, headers | {"webhook-timestamp": str(now_s() + 1)}, b'{"amount_minor":1}')
    assert not verifies(secret, headers | {"webhook-signature": V1}, b'{"amount_minor":1}')


def test_rotation_signs_with_each_active_secret() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    headers = sign(read_keys([new, old]), "evt_1", now_s(), b"{}")
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert verifies(old, headers, b"{}")
    assert verifies(new, headers, b"{}")
    assert not verifies(other, headers, b"{}")


def test_v1_receiver_skips_a_v1a_signature() -> None:
    secret = new_secret()
    headers = sign(read_keys([new_private_key(), secret]), "evt_1", now_s(), b"{}")
    assert headers["webhook-signature"].startswith("v1a,")
    assert verifies(secret, headers, b"{}")


def test_v1a_verifies_with_the_public_half_only() -> None:
    key, other = read_key(new_private_key()), read_key(new_private_key())
    assert isinstance(key, Ed25519Key)
    assert isinstance(other, Ed25519Key)
    headers = sign([key], "evt_1", 1, b"{}")
    signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1a,"))
    public, foreign = (
        Ed25519PublicKey.from_public_bytes(base64.b64decode(each.public.removeprefix("whpk_"))) for each in (key, other)
    )
    public.verify(signature, b"evt_1.1.{}")
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"evt_1.2.{}")
    with pytest.raises(InvalidSignature):
        foreign.verify(signature, b"evt_1.1.{}")


def test_new_secret_is_32_random_bytes() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) == 32


def test_secret_without_padding_is_the_same_key() -> None:
    secret = new_secret()
    assert secret.endswith("=")
    padded, bare = read_key(secret), read_key(secret.rstrip("="))
    assert sign([padded], "evt_1", 1, b"{}") == sign([bare], "evt_1", 1, b"{}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_c2hvcnQ=",
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_not base64 at all, is it not?",
        "whsec_clé-secrète-de-longueur-suffisante",
        PUBLIC,
        "whsk_" + base64.b64encode(b"x" * 33).decode(),
        "rel_live_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ],
)
def test_what_is_no_signing_key(text: str) -> None:
    with pytest.raises(ValueError, match="a signing key is") as refused:
        read_key(text)
    assert len(text) < 8 or text not in str(refused.value)
    assert refused.value.__cause__ is None


def test_message_id_with_a_full_stop_cannot_shift_the_parts() -> None:
    keys = read_keys([SECRET])
    for message_id in ("evt_1.2", ""):
        with pytest.raises(ValueError, match="message id"):
            sign(keys, message_id, 1, b"{}")


def test_number_of_keys_is_bounded() -> None:
    keys = read_keys([SECRET]) * MAX_KEYS
    assert sign(keys, "evt_1", 1, b"{}")
    for wrong in ((), (*keys, keys[0])):
        with pytest.raises(ValueError, match="signed by"):
            sign(wrong, "evt_1", 1, b"{}")


def test_keys_do_not_show_in_texts() -> None:
    key = read_key(SECRET)
    assert isinstance(key, HmacKey)
    raw = base64.b64decode(SECRET.removeprefix("whsec_"))
    for text in (repr(key), str(key), f"{key}"):
        assert "MfKQ9r8G" not in text
        assert repr(raw) not in text
