"""Many deliveries at once: slots, lanes of slow endpoints, and results as they come."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from uuid import UUID

import pytest

from runtime.http import Http, open_http
from support.outgoing import LOOPBACK, SECRET, make_outgoing
from support.receivers import (
    Receiver,
    hang,
    open_receiver,
    status,
)
from webhooks.sending import (
    Attempted,
    NotStarted,
    Result,
    Sender,
    SendLimits,
    open_sender,
    post_batch,
)

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


def attempted(results: list[Result]) -> list[Attempted]:
    return [result for result in results if isinstance(result, Attempted)]


def handed_back(results: list[Result]) -> list[NotStarted]:
    return [result for result in results if isinstance(result, NotStarted)]


async def all_results(sender: Sender) -> list[Result]:
    results: list[Result] = []
    while sender.busy or sender.room < PATIENT.held:
        results += await sender.results(within_s=5)
    return results


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


async def test_results_do_not_wait_for_an_endpoint_known_to_be_silent(http: Http, receiver: Receiver) -> None:
    receiver.always("/dead", hang())
    async with open_sender(http, SendLimits(slow_s=0.05, wait_s=60)) as sender:
        sender.submit([make_outgoing(receiver.url("/dead"), endpoint_id=UUID(int=9), timeout_s=0.1)])
        assert len(await sender.results(within_s=5)) == 1
        sender.submit([make_outgoing(receiver.url("/dead"), endpoint_id=UUID(int=9), timeout_s=60)])
        sender.submit([make_outgoing(receiver.url("/hook"))])
        assert len(await sender.results(at_least=50, within_s=600)) == 1
        assert sender.busy == 1


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
