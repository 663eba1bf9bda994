"""`recovery`: SIGKILL a worker in the middle of its work; how long until what it had leased is worked on again?

Two workers plan, send and deliver for many tenants. A kill is followed by a new worker, as a supervisor starts one.
What the dead one held is what stays under its fence with a lease that nobody renews; it is worked on again once it is
leased under a new fence, or settled as unknown. In the end nothing may be missing: every course has its notice, every
notice its message, every message an outcome, every event its delivery, and the receiver has seen each of them.
"""

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from bench import processes, seeding
from bench.results import Result, middle
from bench.sink import Sink, open_sink
from bench.stage import CAUSE, Stage, dsn, make_tenants, new_ids, opened
from bench.webhook_pump import LOOPBACK
from kernel.clock import system_now
from webhooks import endpoints
from webhooks.endpoints import NewWebhookEndpoint

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]  # generic in the stubs only

TENANTS_A_KILL: Final = 8
INVOICES_EACH: Final = 30
DELAY_S: Final = 0.2  # the receiver's: deliveries are always under way
QUEUES: Final = ("tick", "reaction", "message", "delivery")
POLL_S: Final = 0.05
LIMIT_S: Final = 120.0
SLACK_S: Final = 10.0


async def run(stage: Stage, *, quick: bool) -> Result:
    """Kill workers while they work; the longest time until the work went on is held against the lease."""
    lease_s, kills = (3, 1) if quick else (5, 20)
    name = await stage.clone()
    told = processes.environment(
        stage, name, RELANCE_LEASE_S=str(lease_s), RELANCE_ALLOW_PRIVATE=str(LOOPBACK.allow_private[0])
    )
    workers = [processes.start("worker", told) for _ in range(2)]
    resumed: list[float] = []
    try:
        with open_sink(delay_s=DELAY_S) as sink:
            async with _watching(stage, name) as connection:
                while len(resumed) < kills:
                    await _feed(stage, name, sink)
                    await _until(connection, "select count(*) >= 20 from app.delivery where state = 'leased'")
                    await asyncio.sleep(random.uniform(0, 1))
                    workers.append(processes.start("worker", told))
                    took_s = await _kill(connection, workers.pop(0))
                    if took_s is not None:  # else it had nothing in its hands: the kill shows nothing
                        resumed.append(took_s)
                await _until(connection, _QUIET)
                lost = await _lost(connection, sink)
                unknown = await connection.fetchval("select count(*) from app.message where state = 'unknown'")
    finally:
        for worker in workers:
            processes.stop(worker)
    await stage.drop(name)
    return Result(
        name="recovery",
        figure=round(max(resumed), 2),
        unit="s at worst until a killed worker's work went on",
        reference=float(lease_s),
        ratio=round(max(resumed) - lease_s, 2),
        hold=SLACK_S,
        aim=3.0,
        better="lower",
        rounds=kills,
        figures={"median_s": middle(resumed), "lost": float(lost), "unknown": float(unknown)},
        also_holds=lost == 0,
        note="reference is the lease, ratio the seconds beyond it; unknown messages have a task each",
    )


@asynccontextmanager
async def _watching(stage: Stage, name: str) -> AsyncGenerator["Connection"]:
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        yield connection
    finally:
        await connection.close()


async def _feed(stage: Stage, name: str, sink: Sink) -> None:
    """More tenants with debts that are due, each with an endpoint that gets every event."""
    tenants = new_ids(TENANTS_A_KILL)
    await make_tenants(stage, name, tenants)
    async with opened(stage, name) as database:
        for tenant_id in tenants:
            async with database.tenant(tenant_id, CAUSE) as session:
                new = NewWebhookEndpoint(url=f"{sink.url}/hooks", types=("notice.*", "message.*"))
                await endpoints.create(session, new, system_now(), ring=database.keys, http=LOOPBACK)
    await seeding.debts(stage, name, tenants, each=INVOICES_EACH)


Key = tuple[UUID, UUID]


class Hold(Struct, frozen=True):
    """How a row is held, or was before a sweep gave it back."""

    state: str
    fence: int
    lease_until: datetime | None


async def _kill(connection: "Connection", worker: subprocess.Popen[bytes]) -> float | None:
    """Kill it and time how long it takes until what it had leased is worked on again; None where that was nothing."""
    start = time.perf_counter()
    worker.kill()
    worker.wait()
    held = {queue: await _held(connection, queue, None) for queue in QUEUES}
    resumed_s: float | None = None
    while any(held.values()):
        assert time.perf_counter() - start < LIMIT_S, f"still leased: {held}"
        await asyncio.sleep(POLL_S)
        for queue, before in held.items():
            now = await _held(connection, queue, before)
            if any(_is_resumed(hold, now[key]) for key, hold in before.items() if key in now):
                resumed_s = time.perf_counter() - start
            held[queue] = {key: hold for key, hold in before.items() if key in now and _is_waiting(hold, now[key])}
    return resumed_s


def _is_resumed(before: Hold, now: Hold) -> bool:
    """Whether another worker has taken it up: leased it anew, or said that nobody knows what became of it."""
    return now.fence > before.fence or now.state == "unknown"


def _is_waiting(before: Hold, now: Hold) -> bool:
    """Whether nobody has taken it since. One whose lease is renewed is in the hands of the worker that lives."""
    return not _is_resumed(before, now) and now.lease_until in {before.lease_until, None}


async def _held(connection: "Connection", queue: str, wanted: Collection[Key] | None) -> dict[Key, Hold]:
    """What is leased now; or, of the rows asked for, those that are leased still or again, or wait."""
    states = "('leased', 'dispatching')" if wanted is None else "('pending', 'leased', 'dispatching', 'unknown')"
    rows = await connection.fetch(
        f"select q.tenant_id, q.id, q.state, q.fence, q.lease_until from app.{queue} q where q.state in {states}"
        " and ($1 or (q.tenant_id, q.id) in (select * from unnest($2::uuid[], $3::uuid[])))",
        wanted is None,
        [tenant_id for tenant_id, _ in wanted or ()],
        [row_id for _, row_id in wanted or ()],
    )
    return {(row["tenant_id"], row["id"]): Hold(row["state"], row["fence"], row["lease_until"]) for row in rows}


async def _until(connection: "Connection", question: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await connection.fetchval(question):  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(POLL_S)


async def _lost(connection: "Connection", sink: Sink) -> int:
    """What is missing: steps never taken, messages without an outcome, events that the receiver never saw."""
    unplanned, unsettled, undelivered, delivered = await connection.fetchrow(_MISSING) or (0, 0, 0, 0)
    unseen = int(delivered) - sink.tally().distinct
    return int(unplanned) + int(unsettled) + int(undelivered) + max(unseen, 0)


_QUIET: Final = """
select not exists (select from app.due where due_at <= clock_timestamp())
   and not exists (select from app.tick) and not exists (select from app.reaction)
   and not exists (select from app.message where state in ('pending', 'leased', 'dispatching'))
   and not exists (select from app.event where log_position is null)
   and not exists (select from app.endpoint e join app.log_head h using (tenant_id) where e.position < h.position)
   and not exists (select from app.delivery where state in ('pending', 'leased'))
"""
_MISSING: Final = """
select (select count(*) from app.course c
        where not exists (select from app.notice n where n.tenant_id = c.tenant_id and n.course_id = c.id)),
       (select count(*) from app.notice n join app.message m on m.tenant_id = n.tenant_id and m.id = n.message_id
        where not (n.state = 'issued' and m.state = 'sent'
                   or m.state in ('unknown', 'failed')
                      and exists (select from app.task t where t.tenant_id = m.tenant_id and t.subject_id = m.id))),
       (select count(*) from app.event e
        where (e.type like 'notice.%' or e.type like 'message.%')
          and not exists (select from app.delivery d
                          where d.tenant_id = e.tenant_id and d.event_id = e.id and d.state = 'delivered')),
       (select count(*) from app.delivery where state = 'delivered')
"""
