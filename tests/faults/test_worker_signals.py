import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import anyio
from msgspec import Struct
from sqlalchemy import text

from storage.database import HUNG_MS, Database
from support.processes import END_S, Child, Place, until
from support.promises import PAUSE_S, Promises, judge_messages, judge_webhooks, until_quiet
from support.storms import AT_ONCE, Tenant, Watch, bill, make_tenants
from support.tenants import CAUSE, NOW
from tenants import clocks

DELAY_MS: Final = 150
HUNG_S: Final = HUNG_MS / 1000  # a worker that stands still in the midst of a transaction keeps its locks so long


class Desk(Struct, frozen=True):
    """A sandbox, workers for it, and somebody who lets its debts fall due."""

    place: Place
    database: Database
    tenant: Tenant
    workers: list[Child]

    async def fall_due(self, debtors: int, minute: int) -> None:
        """So many new messages, and workers in the midst of them: a slow server takes one after the other."""
        captured = len(self.place.captured())
        await bill(self.database, self.tenant, debtors, series=f"M{minute}")
        async with self.database.tenant(self.tenant.id, CAUSE) as session:
            await clocks.advance(session, NOW + timedelta(minutes=minute))
        await until(lambda: len(self.place.captured()) > captured + AT_ONCE, 60, "the first mails")


@asynccontextmanager
async def at_desk(place: Place, database: Database, workers: int) -> AsyncGenerator[Desk]:
    """Everything that was started stops as it should in the end."""
    await place.capture(delay_ms=DELAY_MS)
    (tenant,) = await make_tenants(place, database, 1, 0)
    children = [place.relance("worker") for _ in range(workers)]
    for child in children:
        await child.until_says("worker_started")
    await until_quiet(database, 60)
    yield Desk(place, database, tenant, children)
    for child in children:
        await child.end()


async def test_a_worker_that_is_told_to_stop_leaves_nothing_half_done(
    place: Place, stricken: Database, promises: Promises, *, full: bool
) -> None:
    stops, debtors = 3 if full else 1, 50
    took_s: list[float] = []
    held = attempts = left = unrecorded = 0
    async with at_desk(place, stricken, 1) as desk:
        for stop in range(stops):
            await desk.fall_due(debtors, stop + 1)
            took_s.append(await desk.workers.pop().end())
            async with stricken.operator() as session:
                states = {row.state: row.messages for row in await session.execute(_STATES)}
                attempts += (await session.execute(_ATTEMPTS)).scalar_one()
            held += sum(states.get(state, 0) for state in ("leased", "dispatching", "unknown"))
            left += states.get("pending", 0)
            unrecorded += len(place.captured()) - states["sent"]
            desk.workers.append(await place.worker())
            await until_quiet(stricken, 60)
        promises.at_most("seconds until a worker has stopped", max(took_s), END_S)
        promises.exactly("mails taken but not recorded as sent", unrecorded, 0)
        promises.exactly("messages left in its hands, or unknown", held, 0)
        promises.at_least("messages left for the next worker", left, stops)
        promises.exactly("attempts used up by stopping", attempts, 0)
        await judge_messages(promises, stricken, place, planned=debtors * stops)
        await judge_webhooks(promises, stricken, place)
        promises.judge()


_STATES: Final = text("select state, count(*) as messages from app.message group by state limit 10")
_ATTEMPTS: Final = text("""
select coalesce(sum(attempts), 0) from (
  select attempts from app.message where state = 'pending'
  union all select attempts from app.job where state = 'pending'
  union all select attempts from app.delivery where state = 'pending'
) waiting
""")


async def test_a_worker_that_stood_still_finds_its_work_done(
    place: Place, stricken: Database, promises: Promises, *, full: bool
) -> None:
    pauses, debtors = 3 if full else 1, 50
    watch = Watch(stricken)
    async with at_desk(place, stricken, 2) as desk:
        stopped, other = desk.workers
        for pause in range(pauses):
            other.pause()  # idle, so that the first one takes everything
            await desk.fall_due(debtors, pause + 1)
            stopped.pause()
            other.go_on()
            await watch.mourn()
            await until_freed(watch, HUNG_S + place.lease_s + 10)
            await until_quiet(stricken, 60)
            stopped.go_on()  # in the next round it works alone: so it has met the fence and lives
        other.pause()
        await desk.fall_due(debtors, pauses + 1)
        other.go_on()
        await until_quiet(stricken, 60)
        promises.tell("times that a worker stood still", pauses)
        promises.at_most("seconds until others had its work", max(watch.resumed_s), HUNG_S + place.lease_s + 10)
        await judge_messages(
            promises, stricken, place, planned=debtors * (pauses + 1), unknown_at_most=AT_ONCE * pauses
        )
        await judge_webhooks(promises, stricken, place)
        promises.judge()


async def until_freed(watch: Watch, within_s: float) -> None:
    """Wait until nothing is in the hands of whom was mourned."""
    end = time.monotonic() + within_s
    while watch.waiting:
        assert time.monotonic() < end, f"still held after {within_s:.0f} s"
        await anyio.sleep(PAUSE_S)
        await watch.look()
