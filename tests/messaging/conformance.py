"""What every channel must do, whatever carries it: the port's promises, played against a provider with faults.

A channel's tests build a `Rig` around a provider that can misbehave and run every check of `CHECKS` on it.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import pytest

from kernel import ids
from messaging.channels.port import Channel, Copy, Outcome

Fault = Literal["none", "bad_address", "not_now", "answer_lost", "no_answer"]


class Rig(Protocol):
    """A channel and the provider behind it."""

    @property
    def channel(self) -> Channel: ...

    def copy(self, fault: Fault = "none") -> Copy:
        """A new copy to a recipient at whom the provider does this wrong."""
        ...

    def taken(self, copy: Copy) -> int:
        """How often the provider has taken it."""
        ...

    async def go_offline(self) -> None:
        """From now on nobody answers."""
        ...


def states(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


async def sends_each_copy_once_and_in_order(rig: Rig) -> None:
    copies = [rig.copy() for _ in range(rig.channel.at_once)]
    outcomes = await rig.channel.send(copies)
    assert [(o.message_id, o.fence) for o in outcomes] == [(c.message_id, c.fence) for c in copies]
    assert set(states(outcomes)) == {"sent"}
    assert {o.code for o in outcomes} == {"accepted"}
    assert all(o.provider_ref for o in outcomes)
    assert [rig.taken(copy) for copy in copies] == [1] * len(copies)


async def takes_no_more_than_it_sends_at_once(rig: Rig) -> None:
    copies = [rig.copy() for _ in range(rig.channel.at_once + 1)]
    with pytest.raises(ValueError, match="at most"):
        await rig.channel.send(copies)
    assert sum(rig.taken(copy) for copy in copies) == 0


async def takes_none(rig: Rig) -> None:
    assert await rig.channel.send([]) == []


async def sends_again_what_is_asked_again(rig: Rig) -> None:
    """Deciding that a message may leave is the caller's: the fence, not the channel, keeps it to one try."""
    copy = rig.copy()
    assert states(await rig.channel.send([copy])) == ["sent"]
    assert states(await rig.channel.send([copy])) == ["sent"]


async def a_bad_address_fails_alone(rig: Rig) -> None:
    good, bad, other = rig.copy(), rig.copy("bad_address"), rig.copy()
    outcomes = await rig.channel.send([good, bad, other])
    assert states(outcomes) == ["sent", "failed", "sent"]
    assert outcomes[1].code == "bad_address"
    assert [rig.taken(copy) for copy in (good, bad, other)] == [1, 0, 1]


async def not_now_is_for_later(rig: Rig) -> None:
    good, later, other = rig.copy(), rig.copy("not_now"), rig.copy()
    outcomes = await rig.channel.send([good, later, other])
    assert states(outcomes) == ["sent", "retry", "sent"]
    assert outcomes[1].retry_after_s
    assert rig.taken(later) == 0


async def nobody_there_is_for_later(rig: Rig) -> None:
    await rig.go_offline()
    copies = [rig.copy() for _ in range(3)]
    assert states(await rig.channel.send(copies)) == ["retry"] * 3


async def a_lost_answer_is_unknown(rig: Rig) -> None:
    copies = [rig.copy(), rig.copy("answer_lost"), *(rig.copy() for _ in range(rig.channel.at_once - 2))]
    outcomes = await rig.channel.send(copies)
    assert outcomes[1].state == "unknown"
    assert rig.taken(copies[1]) == 1  # and yet it was taken: sent again, it would be there twice
    for copy, outcome in zip(copies, outcomes, strict=True):
        if copy is not copies[1]:
            assert (outcome.state, rig.taken(copy)) in {("sent", 1), ("retry", 0)}


async def no_answer_is_unknown_in_time(rig: Rig) -> None:
    copies = [rig.copy("no_answer") for _ in range(rig.channel.at_once)]
    began = time.monotonic()
    outcomes = await rig.channel.send(copies)
    assert time.monotonic() - began < rig.channel.timeout_s + 1
    assert "unknown" in states(outcomes)
    for copy, outcome in zip(copies, outcomes, strict=True):
        assert outcome.state in {"unknown", "retry"}
        assert rig.taken(copy) <= (outcome.state == "unknown")


async def says_what_to_do_about_unknown(rig: Rig) -> None:
    assert rig.channel.on_unknown in {"hold", "ask"}
    assert rig.channel.at_once >= 1
    assert rig.channel.name


CHECKS: tuple[Callable[[Rig], Awaitable[None]], ...] = (
    sends_each_copy_once_and_in_order,
    takes_no_more_than_it_sends_at_once,
    takes_none,
    sends_again_what_is_asked_again,
    a_bad_address_fails_alone,
    not_now_is_for_later,
    nobody_there_is_for_later,
    a_lost_answer_is_unknown,
    no_answer_is_unknown_in_time,
    says_what_to_do_about_unknown,
)


def new_copy(recipient: str, content: bytes, sender: str = "bounces@relance.example") -> Copy:
    return Copy(message_id=ids.new_id(), fence=3, sender=sender, recipient=recipient, content=content)
