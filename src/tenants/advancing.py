"""Advance a test clock: walk from due instant to due instant and let the tenant come to rest at each.

The job may be killed at any instant: the clock shows how far it came, and another worker walks on from there.
"""

from storage.clocks import next_due, now_of, promote_clocked
from storage.jobs import JobContext
from storage.registry import runs
from storage.session import Cause
from tenants import clocks
from tenants.clocks import JOB


@runs(JOB)
async def advance(context: JobContext) -> None:
    """Walk the tenant's clock to its target; run again, it goes on where it stands."""
    wanted = clocks.params_of(context.params)
    cause = Cause(kind="job", id=JOB)
    await context.drain()  # what was runnable before the clock moves
    while True:
        async with context.database.tenant(context.tenant_id, cause) as session:
            now, due = await now_of(session), await next_due(session)
            if due is None or due > wanted.to:
                break
            if due > now:
                await clocks.move(session, due)
            await promote_clocked(session, max(now, due))
        await context.drain()
    async with context.database.tenant(context.tenant_id, cause) as session:
        await clocks.move(session, wanted.to)
        await clocks.arrived(session, wanted.since)
    await context.drain()
