"""Bring back many deliveries at once: a durable job, so that a restart loses none of it."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from storage import jobs
from storage.events import Rung
from storage.jobs import JobContext
from storage.registry import runs
from storage.session import Cause, TenantSession, memory, tenant_of
from webhooks import access
from webhooks.errors import EndpointNotEnabled, SpanInvalid
from webhooks.models import DeliveryState, EndpointState

JOB: Final = "webhook_endpoint.recover"
BATCH: Final = 500
MAX_SPAN: Final = timedelta(days=90)
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=(1 << 128) - 1)


class Recovery(Struct, frozen=True, kw_only=True):
    """Which deliveries of an endpoint, by state and id, and what becomes of them."""

    endpoint_id: UUID
    states: tuple[DeliveryState, ...]
    to: DeliveryState = DeliveryState.PENDING
    after: UUID = _FIRST
    before: UUID = _LAST


async def recover(session: TenantSession, endpoint_id: UUID, *, since: datetime, until: datetime) -> UUID:
    """Try again whatever was given up of the deliveries made in a span of time; returns the id of the job."""
    if not timedelta(0) < until - since <= MAX_SPAN:
        raise SpanInvalid
    endpoint = await access.endpoint(session, endpoint_id)
    if endpoint.state is not EndpointState.ENABLED:
        raise EndpointNotEnabled
    wanted = Recovery(
        endpoint_id=endpoint_id,
        states=(DeliveryState.EXHAUSTED, DeliveryState.DROPPED),
        after=ids.first_id_of(_ms(since)),
        before=ids.first_id_of(_ms(until)),
    )
    return await _queue(session, wanted)


async def unpark(session: TenantSession, endpoint_id: UUID, *, deliver: bool) -> UUID:
    """Let go what was parked while the endpoint was disabled."""
    to = DeliveryState.PENDING if deliver else DeliveryState.DROPPED
    return await _queue(session, Recovery(endpoint_id=endpoint_id, states=(DeliveryState.PARKED,), to=to))


async def _queue(session: TenantSession, wanted: Recovery) -> UUID:
    job_id = ids.new_id()
    await jobs.add(session, job_id, JOB, msgspec.json.encode(wanted).decode())
    return job_id


@runs(JOB)
async def carry_out(context: JobContext) -> None:
    """Walk along the deliveries batch by batch; run again, what was brought back is no longer found."""
    wanted = msgspec.json.decode(context.params, type=Recovery)
    after, moved = wanted.after, 0
    while True:
        async with context.database.tenant(context.tenant_id, Cause(kind="job", id=JOB)) as session:
            found = await _batch(session, wanted, after)
            moved += len(found)
            await session.execute(_PROGRESS, _key(context) | {"progress": f"{moved} deliveries"})
        if len(found) < BATCH:
            return
        after = found[-1]


async def _batch(session: TenantSession, wanted: Recovery, after: UUID) -> list[UUID]:
    values = {
        "tenant_id": tenant_of(session),
        "endpoint_id": wanted.endpoint_id,
        "states": [state.value for state in wanted.states],
        "to": wanted.to.value,
        "after": after,
        "before": wanted.before,
        "rows": BATCH,
    }
    found = list((await session.execute(_MOVE, values)).scalars())
    if found and wanted.to is DeliveryState.PENDING:
        memory(session, Rung).queues.add("delivery")
    return sorted(found)


def _key(context: JobContext) -> dict[str, object]:
    return {"tenant_id": context.tenant_id, "id": context.job_id, "fence": context.fence}


def _ms(instant: datetime) -> int:
    return max(0, int(instant.timestamp() * 1000))


_MOVE: Final = text("""
update app.delivery d
set state = :to, run_at = clock_timestamp(), attempts = 0
from (select id from app.delivery
      where tenant_id = :tenant_id and endpoint_id = :endpoint_id and id > :after and id < :before
        and state = any(cast(:states as text[]))
      order by id limit :rows for update) x
where d.tenant_id = :tenant_id and d.id = x.id
returning d.id
""")
_PROGRESS: Final = text(
    "update app.job set progress = :progress where tenant_id = :tenant_id and id = :id and fence = :fence"
)
