"""Advance a test clock: walk from due instant to due instant and let the tenant come to rest at each.

The job may be killed at any instant: the clock shows how far it came, and another worker walks on from there. Each
step holds the job's row by its fence, so that one who has lost the job to another walks no further.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import text

from storage.clocks import now_of, promote_clocked
from storage.jobs import JOBS, JobContext, JobRow
from storage.queues import Claim, still_held
from storage.registry import runs
from storage.session import Cause, TenantSession, tenant_of
from tenants import clocks
from tenants.clocks import JOB

ARRIVED: Final = "arrived"


class JobLost(RuntimeError):
    """Another worker has the job by now."""


@runs(JOB)
async def advance(context: JobContext) -> None:
    """Walk the tenant's clock to its target; run again, it goes on where it stands. Raises JobLost."""
    wanted = clocks.params_of(context.params)
    await context.drain()  # what was runnable before the clock moves
    while True:
        async with _step(context) as session:
            now, due = await now_of(session), await _next_instant(session)
            if due is None or due > wanted.to:
                break
            if due > now:
                await clocks.move(session, due)
            await promote_clocked(session, max(now, due))
        await context.drain()
    async with _step(context) as session:
        await clocks.move(session, wanted.to)
        job = await session.get_one(JobRow, (context.tenant_id, context.job_id))
        if job.progress != ARRIVED:  # told once, also when the last steps are taken again
            await clocks.arrived(session, wanted.since)
            job.progress, job.version = ARRIVED, job.version + 1
    await context.drain()


@asynccontextmanager
async def _step(context: JobContext) -> AsyncGenerator[TenantSession]:
    """One transaction of the walk, in which the job is ours."""
    async with context.database.tenant(context.tenant_id, Cause(kind="job", id=JOB)) as session:
        if not await still_held(session, JOBS, [Claim(context.tenant_id, context.job_id, context.fence)]):
            raise JobLost
        yield session


async def _next_instant(session: TenantSession) -> datetime | None:
    """The earliest instant that something waits for which is not in work.

    What failed and backs off, or was given up, keeps the next look at its object waiting: the clock does not.
    """
    return (await session.execute(_NEXT, {"tenant_id": tenant_of(session)})).scalar_one()


_NEXT: Final = text(
    "select min(d.due_at) from app.due d where d.tenant_id = :tenant_id and not exists"
    " (select from app.tick t where t.tenant_id = d.tenant_id and t.object_id = d.object_id and t.kind = d.kind)"
)
