"""The loops of a worker: each queue has one, which runs while there is work and else waits for bell or clock.

A lost bell delays nothing by more than the pause; a failing round is logged and tried again.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from msgspec import Struct

from webhooks.pumping import Pump, fan_out, open_pump
from workers import jobs, rounds
from workers.engine import Engine, log

PAUSE_S: Final = 1.0
PAUSE_AFTER_FAILURE_S: Final = 2.0

Round = Callable[[], Awaitable[int]]


class Loop(Struct, frozen=True):
    """One queue's round and how long to wait when there was nothing to do."""

    name: str
    round: Round
    pause_s: float = PAUSE_S


class Bells:
    """One bell a loop; ringing it ends the loop's pause."""

    def __init__(self) -> None:
        self._events: dict[str, anyio.Event] = {}

    def ring(self, name: str) -> None:
        """Wake a loop, if it waits."""
        event = self._events.get(name)
        if event is not None:
            event.set()

    async def wait(self, name: str, pause_s: float) -> None:
        """Wait for the bell, at most so long."""
        event = self._events[name] = anyio.Event()
        with anyio.move_on_after(pause_s * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter, not a secret
            await event.wait()


def loops_of(engine: Engine, pump: Pump) -> list[Loop]:
    """Every loop that a worker runs."""

    async def deliver() -> int:
        return await pump.round() or pump.busy  # while something is under way, its result is waited for

    return [
        Loop("relay", lambda: rounds.stamps(engine)),
        Loop("reaction", lambda: rounds.reactions(engine)),
        Loop("promote", lambda: rounds.promotions(engine)),
        Loop("tick", lambda: rounds.ticks(engine)),
        Loop("message", lambda: rounds.messages(engine)),
        Loop("job", lambda: jobs.jobs(engine)),
        Loop("fan_out", lambda: fan_out(engine.database)),
        Loop("delivery", deliver),
        Loop("sweep", lambda: rounds.sweeps(engine), pause_s=2.0),
    ]


FEEDS: Final = {"relay": ("fan_out",), "promote": ("tick",), "fan_out": ("delivery",)}  # whom a loop's work wakes


async def run(engine: Engine, bells: Bells, stopping: anyio.Event) -> None:
    """Run every loop until `stopping`; a round that has begun is finished."""
    async with (
        open_pump(engine.database, engine.http, lease=engine.lease, metrics=engine.metrics) as pump,
        anyio.create_task_group() as group,
    ):
        loops = loops_of(engine, pump)
        for loop in loops:
            group.start_soon(_turn, loop, bells, stopping)
        await stopping.wait()
        for loop in loops:
            bells.ring(loop.name)


async def _turn(loop: Loop, bells: Bells, stopping: anyio.Event) -> None:
    while not stopping.is_set():
        try:
            done = await loop.round()
        except Exception as error:  # noqa: BLE001 - the database may be away: a loop outlives that
            log.error("round failed", queue=loop.name, error=repr(error)[:500])
            done = 0
            await bells.wait(loop.name, PAUSE_AFTER_FAILURE_S)
        if done:
            for name in FEEDS.get(loop.name, ()):
                bells.ring(name)
        else:
            await bells.wait(loop.name, loop.pause_s)
