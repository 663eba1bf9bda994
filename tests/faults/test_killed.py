import asyncio
import random
from contextlib import closing
from typing import Final, Protocol, Self, cast

import anyio
import redis
from msgspec import Struct

from storage.database import Database
from support.processes import Child, Place, answers, until
from support.promises import Promises, judge_messages, judge_receipts, judge_webhooks, until_quiet
from support.storms import AT_ONCE, Client, Watch, advance, keep_receiving, make_tenants

SEED: Final = 20_261_121


class Size(Struct, frozen=True):
    """How hard it blows."""

    tenants: int
    debtors: int  # of each tenant
    workers: int
    worker_kills: int
    api_kills: int
    delay_ms: int  # of the mail server, so that mails are in flight when somebody dies
    within_s: float


SMALL: Final = Size(tenants=4, debtors=50, workers=2, worker_kills=3, api_kills=1, delay_ms=60, within_s=120)
FULL: Final = Size(tenants=10, debtors=200, workers=3, worker_kills=30, api_kills=10, delay_ms=60, within_s=400)


class Redis(Protocol):
    """What is used here of redis.Redis, whose own annotations are partial."""

    @classmethod
    def from_url(cls, url: str) -> Self: ...
    def execute_command(self, *command: str) -> object: ...
    def close(self) -> None: ...


def flush(place: Place) -> None:
    """Forget every doorbell and every counter."""
    client = cast("type[Redis]", redis.Redis).from_url(place.embedded.redis_url)
    with closing(client):
        client.execute_command("flushall")


class Storm:
    """Kills workers and the API at random moments of the work, and starts others in their place."""

    def __init__(self, place: Place, watch: Watch, size: Size) -> None:
        self._place, self._watch, self._size = place, watch, size
        self._random = random.Random(SEED)
        self._workers: list[Child] = []
        self._apis: list[Child] = []
        self.killed_workers = self.killed_apis = 0

    async def gather(self) -> None:
        """Start everything that can be killed."""
        self._workers = [self._place.relance("worker") for _ in range(self._size.workers)]
        self._apis = [await self._place.serve()]

    async def rage(self) -> None:
        """Blow until everybody who was to die is dead."""
        victims = ["worker"] * self._size.worker_kills + ["api"] * self._size.api_kills + ["valkey"]
        self._random.shuffle(victims)
        for victim in victims:
            await self._some_work_later()
            if victim == "worker":
                await self._kill_a_worker()
            elif victim == "api":
                await self._kill_the_api()
            else:
                await anyio.to_thread.run_sync(flush, self._place)

    async def _kill_a_worker(self) -> None:
        await until(lambda: len(self._at_work()) > 1, 60, "somebody to survive")
        worker = self._random.choice(self._at_work())
        worker.kill()
        await self._watch.mourn()
        self.killed_workers += 1
        self._workers = [each for each in self._workers if each is not worker] + [self._place.relance("worker")]

    def _at_work(self) -> list[Child]:
        return [each for each in self._workers if each.says("worker_started")]

    async def _kill_the_api(self) -> None:
        await until(lambda: answers(self._place.port), 60, "the API to answer")
        self._apis.pop().kill()
        self._apis = [self._place.relance("serve")]
        self.killed_apis += 1

    async def _some_work_later(self) -> None:
        """A kill at rest shows nothing: wait until the ledgers have grown, or for a moment where nothing moves."""
        target = self._progress() + self._random.randrange(1_000, 12_000)
        with anyio.move_on_after(self._random.uniform(0.5, 2.0)):
            await until(lambda: self._progress() > target, 60, "progress")

    def _progress(self) -> int:
        return sum(path.stat().st_size for path in (self._place.mails, self._place.hooks) if path.exists())

    async def end(self) -> None:
        """Stop what is left, as a deploy does."""
        for worker in self._workers:
            await worker.until_says("worker_started")
        await until(lambda: answers(self._place.port), 60, "the API to answer")
        for child in (*self._workers, *self._apis):
            child.ask()
        for child in (*self._workers, *self._apis):
            await child.end()


async def test_nothing_is_lost_or_said_twice_when_everybody_is_killed(
    place: Place, stricken: Database, client: Client, promises: Promises, *, full: bool
) -> None:
    size = FULL if full else SMALL
    await place.capture(delay_ms=size.delay_ms)
    tenants = await make_tenants(place, stricken, size.tenants, size.debtors)
    watch = Watch(stricken)
    storm, calm = Storm(place, watch, size), anyio.Event()
    await storm.gather()
    watching = asyncio.create_task(watch.run())
    receiving = asyncio.create_task(keep_receiving(client, tenants[0], calm, within_s=size.within_s))
    advancing = asyncio.create_task(advance(client, tenants, within_s=size.within_s))
    await storm.rage()
    calm.set()
    acknowledged = await receiving
    await advancing
    await until_quiet(stricken, size.within_s, watch)
    watching.cancel()
    await storm.end()
    promises.tell("workers killed", storm.killed_workers)
    promises.tell("APIs killed", storm.killed_apis)
    planned = size.tenants * size.debtors
    unknown_at_most = AT_ONCE * storm.killed_workers
    await judge_messages(promises, stricken, place, planned=planned, unknown_at_most=unknown_at_most)
    await judge_webhooks(promises, stricken, place)
    await judge_receipts(promises, stricken, tenants[0], acknowledged, client)
    promises.exactly("kills after which work was seen to resume", len(watch.resumed_s), storm.killed_workers)
    promises.at_most(
        "seconds until the last of a dead worker's work was free", max(watch.resumed_s), place.lease_s + 10
    )
    promises.judge()
