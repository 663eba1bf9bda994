"""Work off one tenant's queues until it is quiet: what an advancing test clock waits for at each instant."""

from typing import Final
from uuid import UUID

import anyio
from sqlalchemy import text

from storage.session import QueueSession
from workers import rounds
from workers.engine import Engine

MAX_ROUNDS: Final = 100_000
_PAUSE_S: Final = 0.02


class Stopping(Exception):
    """This process has been told to stop; another one goes on."""


async def drain(engine: Engine, tenant_id: UUID) -> None:
    """Return when nothing of the tenant is runnable now: events numbered, reactions, ticks and messages done.

    Deliveries and rows that back off do not count. What another worker holds is waited for. Raises RuntimeError when
    the tenant feeds itself without end, Stopping when the process is to end.
    """
    for _ in range(MAX_ROUNDS):
        if engine.stopping.is_set():
            raise Stopping
        done = (
            await rounds.stamps(engine, tenant_id)
            + await rounds.reactions(engine, tenant_id)
            + await rounds.ticks(engine, tenant_id)
            + await rounds.messages(engine, tenant_id)
        )
        if done:
            continue
        async with engine.database.queue() as session:
            if await quiet(session, tenant_id):
                return
        await anyio.sleep(_PAUSE_S)
    raise RuntimeError(f"tenant {tenant_id} does not come to rest")


async def quiet(session: QueueSession, tenant_id: UUID) -> bool:
    """Whether nothing of the tenant can be worked off now, by us or by whoever holds it."""
    return not (await session.execute(_BUSY, {"tenant_id": tenant_id})).scalar_one()


# What waits behind a reaction that was given up, or backs off, cannot be worked off.
_BUSY: Final = text("""
select exists (select from app.event where tenant_id = :tenant_id and log_position is null)
    or exists (select from app.tick where tenant_id = :tenant_id
               and (state = 'leased' or state = 'pending' and run_at <= clock_timestamp()))
    or exists (select from app.reaction r where r.tenant_id = :tenant_id
               and (r.state = 'leased' or r.state = 'pending' and r.run_at <= clock_timestamp() and not exists (
                 select from app.reaction e
                 where e.tenant_id = r.tenant_id and e.consumer = r.consumer and e.object_id = r.object_id
                   and (e.sequence, e.id) < (r.sequence, r.id)
                   and (e.state = 'dead' or e.state = 'pending' and e.run_at > clock_timestamp()))))
    or exists (select from app.message where tenant_id = :tenant_id
               and (state in ('leased', 'dispatching') or state = 'pending' and run_at <= clock_timestamp()))
""")
