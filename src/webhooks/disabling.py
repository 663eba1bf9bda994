"""Disable an endpoint that has said so or has failed for too long; somebody is told by a task and an event."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text

from casework.tasks import open_task
from kernel import ids
from kernel.clock import system_now
from storage.clocks import now_of
from storage.database import Database
from storage.session import Cause, TenantSession, tenant_of
from webhooks import access, endpoints
from webhooks.errors import EndpointNotFound
from webhooks.models import EndpointState

FAILING: Final = "failing"
FAILING_FOR: Final = timedelta(days=5)  # without a success
FAILURES_APART: Final = timedelta(hours=12)  # one bad hour after a long silence disables nobody
TASK: Final = "webhook_endpoint_disabled"

_WHY: Final = {
    "gone": "It answered 410 Gone.",
    "asked": "It asked for this by the header webhook-delivery: disable.",
    FAILING: f"Nothing could be delivered to it for {FAILING_FOR.days} days.",
}


async def disable_by_answer(database: Database, tenant_id: UUID, endpoint_id: UUID, code: str) -> bool:
    """Disable an endpoint for what its attempts came to, in a unit of work of its tenant; False where it may stay."""
    async with database.tenant(tenant_id, Cause(kind="schedule", id="webhook_deliveries")) as session:
        try:
            row = await access.endpoint(session, endpoint_id, lock=True)
        except EndpointNotFound:
            return False
        if row.state is not EndpointState.ENABLED:
            return False
        if code == FAILING and not await _has_failed_long(session, endpoint_id, row.failing_since_at):
            return False
        now = await now_of(session)
        view = await endpoints.disable(session, endpoint_id, now, code=code)
        await open_task(
            session,
            kind=TASK,
            subject_id=endpoint_id,
            debtor_id=None,
            title="A webhook endpoint was disabled",
            detail=f"{_WHY[code]} Endpoint {view.id}. Deliveries are parked until it is enabled again.",
            now=now,
        )
    return True


async def _has_failed_long(session: TenantSession, endpoint_id: UUID, since: datetime | None) -> bool:
    """Whether failures lie far enough apart: one long ago, one now, and one between them, half a day from each."""
    now = system_now()
    if since is None or since > now - FAILING_FOR:
        return False
    values = {
        "tenant_id": tenant_of(session),
        "endpoint_id": endpoint_id,
        "after": ids.first_id_of(_ms(since + FAILURES_APART)),
        "before": ids.first_id_of(_ms(now - FAILURES_APART)),
    }
    return bool((await session.execute(_FAILED_BETWEEN, values)).scalar_one())


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


_FAILED_BETWEEN: Final = text("""
select exists (
  select from app.delivery_attempt
  where tenant_id = :tenant_id and id > :after and id < :before and endpoint_id = :endpoint_id
    and (status is null or status not between 200 and 299))
""")
