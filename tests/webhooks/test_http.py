"""Deliveries through the sender to a receiver that verifies with the standardwebhooks package, and misbehaves."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook

from kernel.ids import encode, new_id
from runtime.egress import HttpSettings, network
from runtime.http import Http, open_http
from support.addresses import NOT_PUBLIC
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
    Attempted,
    NotStarted,
    Outgoing,
    Result,
    Sender,
    SendLimits,
    attempt,
    open_sender,
    post_batch,
)
from webhooks.signing import new_secret, read_keys

SECRET: Final = new_secret()
LOOPBACK: Final = HttpSettings(allow_private=(network("127.0.0.0/8"),), allow_http=True)
# so that nothing is slow or given back unless a test says so, however busy the machine is
PATIENT: Final = SendLimits(slow_s=60, wait_s=60)


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with open_receiver(SECRET) as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    async with open_http(LOOPBACK) as opened:
        yield opened


def make_outgoing(
    url: str,
    *,
    endpoint_id: UUID | None = None,
    timeout_s: float = 10,
    headers: dict[str, str] | None = None,
    secrets: tuple[str, ...] = (SECRET,),
    body: bytes = b'{"type":"invoice.created"}',
    event_id: str | None = None,
) -> Outgoing:
    return Outgoing(
        delivery_id=new_id(),
        tenant_id=UUID(int=1),
        endpoint_id=endpoint_id or new_id(),
        fence=3,
        url=url,
        event_id=event_id or encode("evt", new_id()),
        body=body,
        keys=read_keys(secrets),
        timeout_s=timeout_s,
        headers=headers or {},
    )


def attempted(results: list[Result]) -> list[Attempted]:
    return [result for result in results if isinstance(result, Attempted)]


def handed_back(results: list[Result]) -> list[NotStarted]:
    return [result for result in results if isinstance(result, NotStarted)]


async def all_results(sender: Sender) -> list[Result]:
    results: list[Result] = []
    while sender.busy or sender.room < PATIENT.held:
        results += await sender.results(within_s=5)
    return results


# --- one attempt --------------------------------------------------------------------------------


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


async def test_fault_of_ours_is_a_value_and_does_not_speak_against_the_endpoint(
    http: Http, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    result = await attempt(http, make_outgoing(receiver.url("/hook"), secrets=()))
    assert (result.status, result.error, result.verdict.outcome) == (None, "internal_error", Outcome.OURS)
    assert receiver.received == []


def test_texts_of_an_outgoing_hold_neither_body_nor_headers() -> None:
    outgoing = make_outgoing("https://example.com/", headers={"Authorization": "Bearer hidden"}, body=b'"Marie"')
    for text in (repr(outgoing), str(outgoing), f"{[outgoing]}"):
        assert str(outgoing.delivery_id) in text
        for hidden in ("hidden", "Marie", SECRET):
            assert hidden not in text


# --- batches ------------------------------------------------------------------------------------


async def test_batch_delivers_each_once(http: Http, receiver: Receiver) -> None:
    batch = [make_outgoing(receiver.url(f"/{n % 20}"), endpoint_id=UUID(int=n % 20 + 1)) for n in range(500)]
    results: list[Result] = []
    async with aclosing(post_batch(http, batch, limits=PATIENT)) as bunches:
        async for bunch in bunches:
            results += bunch
    assert sorted(result.delivery_id for result in results) == sorted(outgoing.delivery_id for outgoing in batch)
    assert {result.status for result in attempted(results)} == {204}
    assert sorted(entry.webhook_id for entry in receiver.accepted) == sorted(outgoing.event_id for outgoing in batch)
    assert receiver.duplicates() == []


async def test_empty_batch_ends(http: Http) -> None:
    assert [bunch async for bunch in post_batch(http, [])] == []


async def test_results_come_while_another_endpoint_hangs(http: Http, receiver: Receiver) -> None:
    receiver.always("/dead", hang())
    dead = [make_outgoing(receiver.url("/dead"), endpoint_id=UUID(int=99)) for _ in range(30)]
    well = [make_outgoing(receiver.url(f"/{n}"), endpoint_id=UUID(int=n + 1)) for n in range(20) for _ in range(3)]
    async with open_sender(http, PATIENT) as sender:
        sender.submit(dead + well)
        done: list[Result] = []
        while len(done) < len(well):
            done += await sender.results(within_s=5)
        assert {result.delivery_id for result in done} == {outgoing.delivery_id for outgoing in well}
        assert receiver.most_at_once["/dead"] == 2  # of a hundred slots, and 28 wait in their own lane
        assert sender.busy == 30
        receiver.released.set()
        assert {result.status for result in attempted(await all_results(sender))} == {204}


async def test_lane_widens_with_answers_up_to_its_cap(http: Http, receiver: Receiver) -> None:
    receiver.plan("/hook", *[status(500)] * 10)
    receiver.always("/hook", hang())
    async with open_sender(http, SendLimits(per_endpoint=4, slow_s=60, wait_s=60)) as sender:
        sender.submit([make_outgoing(receiver.url("/hook"), endpoint_id=UUID(int=1)) for _ in range(100)])
        await receiver.until_received(14)
        receiver.released.set()
        assert len(await all_results(sender)) == 100
        assert receiver.most_at_once["/hook"] == 4


async def test_slots_are_never_exceeded(http: Http, receiver: Receiver) -> None:
    receiver.always("/hook", hang())
    async with open_sender(http, SendLimits(at_once=5, slow_s=60, wait_s=60)) as sender:
        sender.submit([make_outgoing(receiver.url("/hook")) for _ in range(20)])  # an endpoint each
        await receiver.until_received(5)
        assert receiver.most_at_once["/hook"] == 5
        receiver.released.set()
        assert len(await all_results(sender)) == 20
        assert receiver.most_at_once["/hook"] == 5


async def test_silent_endpoint_keeps_one_at_a_time_and_gives_the_rest_back(http: Http, receiver: Receiver) -> None:
    receiver.always("/dead", hang())
    limits = SendLimits(slow_s=0.05, wait_s=60)
    async with open_sender(http, limits) as sender:
        batch = [make_outgoing(receiver.url("/dead"), endpoint_id=UUID(int=9), timeout_s=0.2) for _ in range(50)]
        sender.submit(batch)
        results: list[Result] = []
        while len(results) < 50:
            results += await sender.results(within_s=5)
    assert {result.error for result in attempted(results)} == {"timeout"}
    assert receiver.most_at_once["/dead"] == 2
    assert len(handed_back(results)) >= 44  # what did not fit in a lane known to be slow
    assert len(receiver.received) == len(attempted(results)) <= 6
    assert {result.delivery_id for result in results} == {outgoing.delivery_id for outgoing in batch}


async def test_slow_endpoints_share_half_of_the_slots(http: Http, receiver: Receiver) -> None:
    """Once twenty endpoints are known to be dead, all of them together leave half of the slots to the others."""
    receiver.always("/dead", hang())
    limits = SendLimits(at_once=10, slow_at_once=4, slow_s=0.05, wait_s=60)
    dead = [UUID(int=n) for n in range(1, 21)]
    async with open_sender(http, limits) as sender:
        sender.submit([make_outgoing(receiver.url("/dead"), endpoint_id=key, timeout_s=0.2) for key in dead])
        learnt: list[Result] = []
        while len(learnt) < len(dead):
            learnt += await sender.results(within_s=5)
        receiver.most_at_once.clear()
        sender.submit([make_outgoing(receiver.url("/dead"), endpoint_id=key, timeout_s=30) for key in dead])
        await receiver.until_received(len(dead) + 4)
        sender.submit([make_outgoing(receiver.url("/well")) for _ in range(60)])
        well: list[Result] = []
        while len(well) < 60:
            well += await sender.results(within_s=5)
        assert {result.status for result in attempted(well)} == {204}
        assert receiver.most_at_once["/dead"] == 4
        assert receiver.most_at_once["/well"] <= 6


async def test_endpoint_that_recovers_is_slow_no_more(http: Http, receiver: Receiver) -> None:
    receiver.plan("/hook", hang(), status(204))
    receiver.always("/hook", hang())
    endpoint_id = UUID(int=1)
    async with open_sender(http, SendLimits(slow_at_once=1, slow_s=0.5, wait_s=60)) as sender:
        sender.submit([make_outgoing(receiver.url("/hook"), endpoint_id=endpoint_id, timeout_s=0.6)])
        assert [result.error for result in attempted(await sender.results(within_s=5))] == ["timeout"]
        sender.submit([make_outgoing(receiver.url("/hook"), endpoint_id=endpoint_id)])
        assert [result.status for result in attempted(await sender.results(within_s=5))] == [204]
        sender.submit([make_outgoing(receiver.url("/hook"), endpoint_id=endpoint_id) for _ in range(3)])
        await receiver.until_received(4)  # two at once, although slow endpoints may have only one


async def test_what_waits_too_long_is_handed_back_untried(http: Http, receiver: Receiver) -> None:
    receiver.always("/hook", hang())
    async with open_sender(http, SendLimits(at_once=1, slow_s=60, wait_s=0.05)) as sender:
        batch = [make_outgoing(receiver.url("/hook")) for _ in range(3)]
        sender.submit(batch)
        results = await sender.results(at_least=2, within_s=5)
        assert {result.delivery_id for result in handed_back(results)} == {
            outgoing.delivery_id for outgoing in batch[1:]
        }
        receiver.released.set()
        (last,) = await sender.results(within_s=5)
        assert isinstance(last, Attempted)
        assert [entry.webhook_id for entry in receiver.received] == [batch[0].event_id]


async def test_room_shrinks_with_what_is_held_and_with_results_nobody_took(http: Http, receiver: Receiver) -> None:
    async with open_sender(http, SendLimits(held=10, slow_s=60, wait_s=60)) as sender:
        assert sender.room == 10
        sender.submit([make_outgoing(receiver.url("/hook")) for _ in range(10)])
        assert (sender.room, sender.busy) == (0, 10)
        with pytest.raises(ValueError, match="room"):
            sender.submit([make_outgoing(receiver.url("/hook"))])
        await receiver.until_received(10)
        assert sender.room == 0  # ended or not
        assert len(await sender.results(at_least=10, within_s=5)) == 10
        assert (sender.room, sender.busy) == (10, 0)


async def test_results_wait_for_enough_or_for_the_end(http: Http, receiver: Receiver) -> None:
    receiver.plan("/late", hang())
    async with open_sender(http, PATIENT) as sender:
        assert await sender.results(within_s=0.01) == []
        sender.submit([make_outgoing(receiver.url("/hook")) for _ in range(6)])
        first = await sender.results(at_least=4, within_s=5)
        assert len(first) >= 4
        rest = await sender.results(at_least=50, within_s=60) if len(first) < 6 else []  # ends with the work
        assert len(first) + len(rest) == 6
        sender.submit([make_outgoing(receiver.url("/late")), make_outgoing(receiver.url("/hook"))])
        assert len(await sender.results(within_s=5)) == 1
        assert (await sender.results(within_s=0.01), sender.busy) == ([], 1)  # ends with the time


async def test_closing_breaks_off_what_is_under_way(http: Http, receiver: Receiver) -> None:
    receiver.always("/hook", hang())
    async with open_sender(http, PATIENT) as sender:
        sender.submit([make_outgoing(receiver.url("/hook")) for _ in range(5)])
        await receiver.until_received(5)
    async with open_sender(http, PATIENT) as sender:  # the client is as good as before
        sender.submit([make_outgoing(receiver.url("/other"))])
        (result,) = await sender.results(within_s=5)
        assert isinstance(result, Attempted)
        assert result.status == 204


async def test_endpoints_of_one_batch_take_turns(http: Http, receiver: Receiver) -> None:
    """A hundred deliveries to one endpoint do not make the one to another wait for all of them."""
    many = [make_outgoing(receiver.url("/many"), endpoint_id=UUID(int=1)) for _ in range(100)]
    one = make_outgoing(receiver.url("/one"), endpoint_id=UUID(int=2))
    async with open_sender(http, SendLimits(at_once=2, slow_s=60, wait_s=60)) as sender:
        sender.submit([*many, one])
        await all_results(sender)
    order = [entry.path for entry in receiver.received]
    assert order.index("/one") < 6
