"""Carry out durable jobs: one at a time per tenant, resumed by another worker when this one dies."""

import time
from typing import Final

from sqlalchemy import text

from storage.jobs import JOBS, JobContext, JobRow, Paused
from storage.queues import MAX_ATTEMPTS, Claim, by_tenant, give_back
from storage.session import Cause
from workers.draining import Stopping, drain
from workers.engine import Engine, keeping, log
from workers.rounds import claim_from

TURN_S: Final = 120.0  # a job of hours gives way to others after each


async def jobs(engine: Engine) -> int:
    """Carry out what is queued."""
    held = await claim_from(engine, JOBS, None)
    for claims in by_tenant(held).values():
        for claim_ in claims:
            async with keeping(engine, JOBS, [claim_]):
                await _carry_out(engine, claim_)
    return len(held)


async def _carry_out(engine: Engine, held: Claim) -> None:
    async with engine.database.tenant(held.tenant_id, Cause(kind="job")) as session:
        row = await session.get(JobRow, (held.tenant_id, held.id))
        if row is None or row.fence != held.fence:
            return
        kind, params, attempts = row.kind, row.params, row.attempts

    async def drain_tenant() -> bool:
        await drain(engine, held.tenant_id)
        return True

    turn_ends = time.monotonic() + TURN_S

    def pausing() -> bool:
        return engine.stopping.is_set() or time.monotonic() >= turn_ends

    context = JobContext(engine.database, held.tenant_id, held.id, held.fence, params, drain_tenant, pausing)
    try:
        await engine.database.registry.jobs[kind](context)
    except (Stopping, Paused):  # it is written to be resumed
        async with engine.database.queue() as session:
            await give_back(session, JOBS, [held])
    except Exception as error:  # noqa: BLE001 - kept on the row, unless the row is another worker's by now
        log.warning("job failed", kind=kind, error=repr(error)[:500])
        await _end(engine, held, "failed" if attempts >= MAX_ATTEMPTS else "pending", repr(error)[:500])
    else:
        await _end(engine, held, "done", None)


async def _end(engine: Engine, held: Claim, state: str, error: str | None) -> None:
    values = {"tenant_id": held.tenant_id, "id": held.id, "fence": held.fence, "state": state, "error": error}
    async with engine.database.tenant(held.tenant_id, Cause(kind="job")) as session:
        await session.execute(_END, values)


_END: Final = text("""
update app.job set state = :state, error = :error, lease_until = null, version = version + 1,
  run_at = case when :state = 'pending' then clock_timestamp() + interval '5 s' else run_at end,
  finished_at = case when :state = 'pending' then null else clock_timestamp() end
where tenant_id = :tenant_id and id = :id and fence = :fence
""")
