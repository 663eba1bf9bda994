"""One round of each queue: lease what is due, do it in the tenant, settle it in the same transaction.

`only` narrows a round to one tenant, for a test clock that is advanced. Each returns how much it did.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Final
from uuid import UUID

import anyio
from sqlalchemy import select, text

from messaging.outbox import MESSAGES
from messaging.sending import refuse, send
from messaging.settling import hold_unknown
from messaging.sweeping import lost_in_dispatch
from storage import clocks, relay
from storage.clocks import TICKS, now_of
from storage.events import EventRow
from storage.jobs import JOBS
from storage.queues import (
    MAX_ATTEMPTS,
    SHARDS,
    Claim,
    Queue,
    arrays_of,
    backoff,
    by_tenant,
    claim,
    give_back,
    shard_of,
    shards_with_work,
    still_held,
    sweep,
)
from storage.reactions import REACTIONS, ReactionRow
from storage.session import Cause, TenantSession, tenant_of
from tenants.access import tenant as own_tenant
from tenants.models import TenantKind
from workers.engine import Engine, keeping, log

Batch = Callable[[Engine, Sequence[Claim]], Awaitable[None]]


async def claim_from(engine: Engine, queue: Queue, only: UUID | None) -> list[Claim]:
    """Lease a batch: of one tenant, or of the shards that have work, each in its turn."""
    async with engine.database.queue() as session:
        if only is not None:
            return await claim(session, queue, shard_of(only), limit=queue.per_tenant, lease=engine.lease, only=only)
        shards = await shards_with_work(session, queue)
    first = next(_turn)  # another each time, or the last shard would starve while the others have work
    for shard in sorted(shards, key=lambda shard: (shard - first) % SHARDS):
        async with engine.database.queue() as session:
            held = await claim(session, queue, shard, limit=queue.per_tenant * queue.tenants, lease=engine.lease)
        if held:
            return held
    return []


def _turns() -> Generator[int]:
    while True:
        yield from range(SHARDS)


_turn: Final = _turns()


async def ticks(engine: Engine, only: UUID | None = None) -> int:
    """Work off what business time has brought."""
    return await _round(engine, TICKS, _ticks_of, only)


async def reactions(engine: Engine, only: UUID | None = None) -> int:
    """Let packages react to events."""
    return await _round(engine, REACTIONS, _reactions_of, only)


async def _round(engine: Engine, queue: Queue, work: Batch, only: UUID | None) -> int:
    held = await claim_from(engine, queue, only)
    if not held:
        return 0
    async with keeping(engine, queue, held), anyio.create_task_group() as group:
        for claims in by_tenant(held).values():  # side by side, a few by the queue's own measure: one waits, one works
            group.start_soon(_isolated, engine, queue, work, claims)
    return len(held)


async def _isolated(engine: Engine, queue: Queue, work: Batch, claims: Sequence[Claim]) -> None:
    """Do a batch at once; when it fails, one by one and in order, so that one bad row fails alone."""
    try:
        await work(engine, claims)
    except Exception as error:  # noqa: BLE001 - the failure is kept on the row and counted
        try:
            if len(claims) == 1:
                await _failed(engine, queue, claims[0], error)
                return
            log.warning("batch failed, one by one", queue=queue.name, count=len(claims), error=repr(error)[:300])
            singles = await _in_order(engine, queue, claims)
        except Exception as second:  # noqa: BLE001 - the database is away: the leases end, and nobody else is stopped
            log.warning("failure not recorded", queue=queue.name, error=repr(second)[:300])
            return
        for claim_ in singles:
            await _isolated(engine, queue, work, [claim_])


async def _in_order(engine: Engine, queue: Queue, claims: Sequence[Claim]) -> Sequence[Claim]:
    """Claims in the order in which they must be worked off: of one object the earliest first."""
    if not queue.ordered:
        return claims
    async with engine.database.tenant(claims[0].tenant_id, Cause(kind="reaction")) as session:
        rows = await _reaction_rows(session, {claim_.id for claim_ in claims})
    places = {row.id: place for place, row in enumerate(rows)}
    return sorted(claims, key=lambda claim_: places.get(claim_.id, 0))


async def _ticks_of(engine: Engine, claims: Sequence[Claim]) -> None:
    """Kind by kind, each in a transaction of its own: a handler locks all its debtors at once, in order, or none."""
    tenant_id, left = claims[0].tenant_id, len(claims)
    while left > 0:
        async with engine.database.tenant(tenant_id, Cause(kind="schedule")) as session:
            taken = (await session.execute(_TAKE_TICKS, arrays_of(claims) | {"tenant_id": tenant_id})).all()
            if not taken:  # another worker's by now
                return
            handler = engine.database.registry.ticks[taken[0].kind]
            await handler(session, sorted(row.object_id for row in taken), await now_of(session))
        left -= len(taken)


_TAKE_TICKS: Final = text("""
with ours as (
  select t.id, t.kind from app.tick t
  join unnest(cast(:ids as uuid[]), cast(:fences as bigint[])) as u(id, fence) on t.id = u.id and t.fence = u.fence
  where t.tenant_id = :tenant_id and t.state = 'leased'
  order by t.id for update of t
)
delete from app.tick t using ours
where t.tenant_id = :tenant_id and t.id = ours.id and ours.kind = (select min(kind) from ours)
returning t.kind, t.object_id
""")  # bounded: by the rows claimed
_REACTIONS_DONE: Final = text(
    "delete from app.reaction where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))"
)


async def _reactions_of(engine: Engine, claims: Sequence[Claim]) -> None:
    """Consumer by consumer, each in a transaction of its own, as ticks."""
    tenant_id, left = claims[0].tenant_id, len(claims)
    while left > 0:
        async with engine.database.tenant(tenant_id, Cause(kind="reaction")) as session:
            held = await _reaction_rows(session, await still_held(session, REACTIONS, claims))
            if not held:  # another worker's by now
                return
            rows = [row for row in held if row.consumer == held[0].consumer]
            events = await _events_of(session, {row.event_id for row in rows})
            handler = engine.database.registry.reactions[rows[0].consumer]
            await handler(session, [events[row.event_id] for row in rows], await now_of(session))
            done = {"tenant_id": tenant_id, "ids": [row.id for row in rows]}
            await session.execute(_REACTIONS_DONE, done)
        left -= len(rows)


async def _reaction_rows(session: TenantSession, ours: set[UUID]) -> list[ReactionRow]:
    statement = (
        select(ReactionRow)
        .where(ReactionRow.tenant_id == tenant_of(session), ReactionRow.id.in_(ours))
        .order_by(ReactionRow.consumer, ReactionRow.object_id, ReactionRow.sequence, ReactionRow.id)
        .limit(len(ours) + 1)
    )
    return list((await session.execute(statement)).scalars())


async def _events_of(session: TenantSession, event_ids: set[UUID]) -> dict[UUID, EventRow]:
    statement = (
        select(EventRow)
        .where(EventRow.tenant_id == tenant_of(session), EventRow.id.in_(event_ids))
        .limit(len(event_ids) + 1)
    )
    return {row.id: row for row in (await session.execute(statement)).scalars()}


async def _failed(engine: Engine, queue: Queue, held: Claim, error: Exception) -> None:
    """Keep the failure on the row: tried again later, or given up after the last attempt, with a task."""
    log.error("row failed", queue=queue.name, tenant_id=str(held.tenant_id), error=repr(error)[:500])
    async with engine.database.tenant(held.tenant_id, Cause(kind="schedule")) as session:
        if not await still_held(session, queue, [held]):
            return
        values = {"tenant_id": held.tenant_id, "id": held.id}
        attempts = int((await session.execute(_ATTEMPTS[queue.name], values)).scalar_one())
        dead = attempts >= MAX_ATTEMPTS
        verdict = {"state": "dead" if dead else "pending", "wait": backoff(attempts)}
        await session.execute(_PUT_BACK[queue.name], values | verdict)
        if dead:
            engine.metrics.dead_letters.labels(queue.name).inc()
            now = await now_of(session)
            await engine.database.registry.on_dead(session, queue.name, held.id, repr(error)[:300], now)


_ATTEMPTS: Final = {
    "tick": text("select attempts from app.tick where tenant_id = :tenant_id and id = :id limit 1"),
    "reaction": text("select attempts from app.reaction where tenant_id = :tenant_id and id = :id limit 1"),
}

# A reaction that waits holds back the later ones of its consumer and object, so they wait as long.
_PUT_BACK: Final = {
    "tick": text(
        "update app.tick set state = :state, lease_until = null, run_at = clock_timestamp() + :wait"
        " where tenant_id = :tenant_id and id = :id"
    ),
    "reaction": text("""
with one as (
  update app.reaction set state = :state, lease_until = null, run_at = clock_timestamp() + :wait
  where tenant_id = :tenant_id and id = :id returning consumer, object_id, sequence, id, run_at)
update app.reaction r set run_at = one.run_at, state = 'pending', lease_until = null from one
where r.tenant_id = :tenant_id and r.consumer = one.consumer and r.object_id = one.object_id
  and (r.sequence, r.id) > (one.sequence, one.id) and r.state in ('pending', 'leased')
"""),
}


async def messages(engine: Engine, only: UUID | None = None) -> int:
    """Send what is due; told to stop, let others have what has not been begun."""
    held = await claim_from(engine, MESSAGES, only)
    if not held:
        return 0
    async with keeping(engine, MESSAGES, held), anyio.create_task_group() as group:
        for claims in by_tenant(held).values():  # side by side: a slow server of one tenant is not another's
            group.start_soon(_send, engine, claims)
    if engine.stopping.is_set():
        async with engine.database.queue() as session:
            await give_back(session, MESSAGES, held)
    return len(held)


async def _send(engine: Engine, claims: Sequence[Claim]) -> None:
    tenant_id, work = claims[0].tenant_id, engine.work("schedule", "messages")
    try:
        async with work(tenant_id) as session:
            sandbox = (await own_tenant(session)).kind is TenantKind.SANDBOX
        try:
            channel = engine.channel_of("email", tenant_id, sandbox)
        except RuntimeError as error:  # nobody has said how this tenant sends
            log.warning("no channel", tenant_id=str(tenant_id), error=repr(error)[:300])
            await refuse(work, engine.sender.gate, claims, "no_channel")
            return
        outcomes = await send(work, engine.sender, channel, claims, stopping=engine.stopping.is_set)
    except Exception as error:  # noqa: BLE001 - leased rows return by the sweep, dispatching ones are held
        log.warning("sending failed", tenant_id=str(tenant_id), error=repr(error)[:500])
        return
    for outcome, count in outcomes.items():
        engine.metrics.message_attempts_total.labels(channel.name, outcome).inc(count)


async def stamps(engine: Engine, only: UUID | None = None) -> int:
    """Number what has committed."""
    async with engine.database.queue() as session:
        return await relay.stamp(session, only=only)


async def promotions(engine: Engine) -> int:
    """Turn what system time has brought into ticks."""
    async with engine.database.queue() as session:
        return await clocks.promote(session)


async def sweeps(engine: Engine) -> int:
    """Give back what the dead had leased; hold what they may have sent. Other work is never counted as done."""
    for queue in (TICKS, REACTIONS, MESSAGES, JOBS):
        async with engine.database.queue() as session:
            back = await sweep(session, queue)
        if back:
            engine.metrics.lease_expired_total.inc(len(back))
            log.warning("leases expired", queue=queue.name, count=len(back))
    async with engine.database.queue() as session:
        lost = await lost_in_dispatch(session)
    for tenant_id, claims in by_tenant(lost).items():
        try:
            async with engine.database.tenant(tenant_id, Cause(kind="schedule", id="sweep")) as session:
                await hold_unknown(session, engine.sender.gate, claims, await now_of(session))
        except Exception as error:  # noqa: BLE001 - tried again by the next sweep; the other tenants' are held now
            log.warning("lost messages not held", tenant_id=str(tenant_id), error=repr(error)[:300])
    return 0
