"""`fair_claim`: how long a small tenant waits behind one tenant with a great deal of work, against without it."""

import time
from statistics import median
from uuid import UUID

from sqlalchemy import text

from bench.results import Result, middle
from bench.stage import CAUSE, Stage, opened
from kernel import ids
from messaging.models import Message
from messaging.sending import MESSAGES
from storage.bulk import insert_rows
from storage.database import Database
from storage.queues import Claim, arrays_of, claim, shards_with_work

SMALL_TENANTS, ROWS_EACH = 999, 20
COLUMNS = (
    "tenant_id", "id", "version", "creditor_id", "debtor_id", "channel", "purpose", "contact_day", "level",
    "planned_at", "state",
)  # fmt: skip


async def run(stage: Stage, *, quick: bool) -> Result:
    """Claim and settle everything with and without the big tenant; the small tenants' median wait is compared."""
    big_rows, rounds = (60_000, 1) if quick else (300_000, 5)
    small = [ids.new_id() for _ in range(SMALL_TENANTS)]
    with_big: list[float] = []
    without: list[float] = []
    name = await stage.clone()
    async with opened(stage, name) as database:
        for tenant_id in small:
            await _fill(database, tenant_id, ROWS_EACH)
    await stage.settle(name)
    crowded = await stage.clone(name)
    async with opened(stage, crowded) as database:
        await _fill(database, ids.new_id(), big_rows)
    await stage.settle(crowded)
    for _ in range(rounds):
        for template, waits in ((name, without), (crowded, with_big)):
            copy = await stage.clone(template)
            async with opened(stage, copy) as database:
                waits.append(await _median_wait(database, set(small)))
            await stage.drop(copy)
    await stage.drop(crowded)
    await stage.drop(name)
    pairs = [there / alone for there, alone in zip(with_big, without, strict=True)]
    return Result(
        name="fair_claim",
        figure=middle(with_big),
        unit="s, a small tenant's median wait",
        reference=middle(without),
        ratio=middle(pairs),
        hold=2.0,
        aim=1.2,
        better="lower",
        rounds=rounds,
        note=f"1 tenant with {big_rows} due, {SMALL_TENANTS} with {ROWS_EACH}",
    )


async def _fill(database: Database, tenant_id: UUID, rows: int) -> None:
    now = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        clock = (await session.execute(text("select clock_timestamp()"))).scalar_one()
        lines = [
            (tenant_id, ids.new_id(), 1, now, now, "email", "dunning", clock.date(), 1, clock, "pending")
            for _ in range(rows)
        ]
        await insert_rows(session, Message, COLUMNS, lines)


async def _median_wait(database: Database, small: set[UUID]) -> float:
    """Work everything off with one claimer; when did each small tenant get its first row?"""
    first: dict[UUID, float] = {}
    start = time.perf_counter()
    turn = 0
    while len(first) < len(small):
        async with database.queue() as session:
            shards = await shards_with_work(session, MESSAGES)
        if not shards:
            break
        turn += 1
        async with database.queue() as session:
            held = await claim(session, MESSAGES, shards[turn % len(shards)], limit=800)
        at = time.perf_counter() - start
        for claimed in held:
            if claimed.tenant_id in small:
                first.setdefault(claimed.tenant_id, at)
        await _settle(database, held)
    if len(first) < len(small):
        raise RuntimeError("a small tenant was never served")
    return median(first.values())


async def _settle(database: Database, held: list[Claim]) -> None:
    async with database.queue() as session:
        await session.execute(_DONE, arrays_of(held))


_DONE = text("""
update app.message m set state = 'sent', lease_until = null
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:fences as bigint[])) as u(tenant_id, id, fence)
where m.tenant_id = u.tenant_id and m.id = u.id and m.fence = u.fence
""")
