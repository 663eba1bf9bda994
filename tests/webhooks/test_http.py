"""Deliveries through the sender to a receiver that verifies with the standardwebhooks package, and misbehaves."""

from collections.abc import AsyncGenerator

import pytest
from standardwebhooks.webhooks import Webhook

from runtime.egress import HttpSettings
from runtime.http import Http, open_http
from support.addresses import NOT_PUBLIC
from support.outgoing import LOOPBACK, SECRET, make_outgoing
from support.receivers import (
    Behaviour,
    Receiver,
    drip,
    hang,
    large_body,
    open_receiver,
    raw,
    redirect,
    reset,
    status,
    too_many,
)
from webhooks.schedule import Outcome, Verdict
from webhooks.sending import (
    OWN_HEADERS,
    attempt,
)
from webhooks.signing import new_secret


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with open_receiver(SECRET) as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    async with open_http(LOOPBACK) as opened:
        yield opened


async def test_delivery_is_verified_by_a_library_that_is_not_ours(http: Http, receiver: Receiver) -> None:
    outgoing = make_outgoing(receiver.url("/hook"), event_id="evt_1", headers={"X-Tenant": "acme"})
    result = await attempt(http, outgoing)
    assert (result.delivery_id, result.tenant_id, result.endpoint_id, result.fence) == (
        outgoing.delivery_id,
        outgoing.tenant_id,
        outgoing.endpoint_id,
        3,
    )
    assert (result.status, result.error, result.verdict) == (204, None, Verdict(Outcome.SUCCEEDED))
    (accepted,) = receiver.accepted
    assert (accepted.webhook_id, accepted.body, accepted.verified) == ("evt_1", outgoing.body, True)
    assert (accepted.headers["content-type"], accepted.headers["x-tenant"]) == ("application/json", "acme")
    assert accepted.headers["user-agent"] == "Relance/1"


async def test_receiver_with_another_secret_accepts_nothing(http: Http, receiver: Receiver) -> None:
    await attempt(http, make_outgoing(receiver.url("/hook"), secrets=(new_secret(),)))
    assert (len(receiver.received), receiver.accepted) == (1, [])


async def test_each_try_has_the_same_id_and_its_own_time(http: Http, receiver: Receiver) -> None:
    receiver.plan("/hook", status(500))
    outgoing = make_outgoing(receiver.url("/hook"), event_id="evt_1")
    first, second = await attempt(http, outgoing), await attempt(http, outgoing)
    assert [first.verdict.outcome, second.verdict.outcome] == [Outcome.FAILED, Outcome.SUCCEEDED]
    one, other = receiver.received
    assert one.webhook_id == other.webhook_id == "evt_1"
    assert [int(entry.headers["webhook-timestamp"]) for entry in (one, other)] == [
        int(result.started_at.timestamp()) for result in (first, second)
    ]


async def test_rotation_is_verified_with_either_secret(http: Http, receiver: Receiver) -> None:
    new = new_secret()
    await attempt(http, make_outgoing(receiver.url("/hook"), secrets=(new, SECRET)))
    (accepted,) = receiver.accepted
    Webhook(new).verify(accepted.body, accepted.headers, json_parse=False)


@pytest.mark.parametrize("name", sorted(OWN_HEADERS))
async def test_endpoint_cannot_set_our_headers(http: Http, receiver: Receiver, name: str) -> None:
    outgoing = make_outgoing(receiver.url("/hook"), headers={name.title(): "forged", name: "forged"})
    result = await attempt(http, outgoing)
    assert result.status == 204
    (accepted,) = receiver.accepted
    assert accepted.headers.get(name) != "forged"


@pytest.mark.parametrize(
    ("code", "headers", "verdict"),
    [
        (200, {}, Verdict(Outcome.SUCCEEDED)),
        (301, {}, Verdict(Outcome.FAILED)),
        (400, {}, Verdict(Outcome.FAILED)),
        (410, {}, Verdict(Outcome.FAILED, "gone")),
        (500, {"Webhook-Delivery": "disable"}, Verdict(Outcome.FAILED, "asked")),
        (503, {"webhook-delivery": "abort-message"}, Verdict(Outcome.ABORTED)),
        (502, {}, Verdict(Outcome.THROTTLED)),
    ],
)
async def test_answer_is_judged(
    http: Http, receiver: Receiver, code: int, headers: dict[str, str], verdict: Verdict
) -> None:
    receiver.plan("/hook", status(code, headers, b"said"))
    result = await attempt(http, make_outgoing(receiver.url("/hook")))
    assert (result.status, result.verdict, result.response_head) == (code, verdict, b"said")


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("garbage", None), ("9" * 300, None)]
)
async def test_retry_after_is_passed_on(http: Http, receiver: Receiver, value: str, seconds: float | None) -> None:
    receiver.plan("/hook", too_many(value))
    result = await attempt(http, make_outgoing(receiver.url("/hook")))
    assert (result.status, result.verdict.outcome, result.retry_after_s) == (429, Outcome.THROTTLED, seconds)


async def test_redirect_is_a_failure_and_the_secret_stays_home(http: Http, receiver: Receiver) -> None:
    async with open_receiver(SECRET) as elsewhere:
        receiver.plan("/hook", redirect(elsewhere.url("/stolen"), 307))
        result = await attempt(http, make_outgoing(receiver.url("/hook")))
        assert (result.status, result.verdict.outcome, elsewhere.connections) == (307, Outcome.FAILED, 0)


async def test_response_is_kept_to_16_kib(http: Http, receiver: Receiver) -> None:
    receiver.plan("/hook", large_body(100 * 1024 * 1024, code=500))
    result = await attempt(http, make_outgoing(receiver.url("/hook")))
    assert (result.status, len(result.response_head)) == (500, 16 * 1024)


@pytest.mark.parametrize(
    ("behaviour", "error", "outcome"),
    [
        (hang(), "timeout", Outcome.THROTTLED),
        (drip(in_headers=True), "timeout", Outcome.THROTTLED),
        (reset(), "connection_reset", Outcome.FAILED),
        (raw(b"not http\r\n\r\n"), "bad_response", Outcome.FAILED),
        (status(200, {"X-Long": "x" * 20_000}), "too_large", Outcome.FAILED),
    ],
    ids=["hang", "drip", "reset", "garbage", "headers"],
)
async def test_no_answer_has_an_error_class_in_place_of_a_status(
    http: Http, receiver: Receiver, behaviour: Behaviour, error: str, outcome: Outcome
) -> None:
    receiver.plan("/hook", behaviour)
    result = await attempt(http, make_outgoing(receiver.url("/hook"), timeout_s=0.1))
    assert (result.status, result.error, result.verdict.outcome) == (None, error, outcome)
    assert result.detail
    assert result.response_head == b""


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_delivery_to_an_address_that_is_not_public(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    async with open_http(HttpSettings()) as http:
        result = await attempt(http, make_outgoing(f"https://{host}/hook"))
    assert (result.error, result.verdict) == ("refused_address", Verdict(Outcome.FAILED))


async def test_fault_of_ours_is_a_value_and_does_not_speak_against_the_endpoint(http: Http, receiver: Receiver) -> None:
    result = await attempt(http, make_outgoing(receiver.url("/hook"), secrets=()))
    assert (result.status, result.error, result.verdict.outcome) == (None, "internal_error", Outcome.OURS)
    assert receiver.received == []


def test_texts_of_an_outgoing_hold_neither_body_nor_headers() -> None:
    outgoing = make_outgoing("https://example.com/", headers={"Authorization": "Bearer hidden"}, body=b'"Marie"')
    for text in (repr(outgoing), str(outgoing), f"{[outgoing]}"):
        assert str(outgoing.delivery_id) in text
        for hidden in ("hidden", "Marie", SECRET):
            assert hidden not in text
