"""Keep what came of attempts: the deliveries' states and a row for each try, a batch in one transaction."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from storage.bulk import insert_rows
from storage.session import PumpSession
from webhooks.claiming import Leased
from webhooks.disabling import FAILING, FAILING_FOR
from webhooks.models import DeliveryAttempt, DeliveryState
from webhooks.schedule import Outcome, next_try
from webhooks.sending import Attempted

MAX_DETAIL: Final = 200

_AGAINST: Final = (Outcome.FAILED, Outcome.THROTTLED)  # what speaks against an endpoint


class Ended(Struct, frozen=True):
    """A delivery that was in our hands and what came of it."""

    leased: Leased
    attempted: Attempted
    attempt_id: UUID  # made with the result, so that recording it twice keeps it once


class Settled(Struct, frozen=True):
    """What becomes of a delivery: a state, and how long it waits where it is tried again."""

    state: DeliveryState
    wait_s: float = 0.0


def settle(ended: Ended, jitter: float) -> Settled:
    """Decide from the answer and from how often it was tried; `jitter` is drawn from [-1, 1]."""
    verdict = ended.attempted.verdict
    if verdict.outcome is Outcome.SUCCEEDED:
        return Settled(DeliveryState.DELIVERED)
    if verdict.outcome is Outcome.ABORTED:
        return Settled(DeliveryState.DROPPED)
    wait_s = next_try(
        ended.leased.attempts + 1,
        verdict.outcome,
        jitter=jitter,
        retry_after_s=ended.attempted.retry_after_s,
    )
    return Settled(DeliveryState.EXHAUSTED) if wait_s is None else Settled(DeliveryState.PENDING, wait_s)


async def record(session: PumpSession, batch: Sequence[Ended]) -> None:
    """Settle deliveries whose fence is still ours and keep every attempt, also one that came too late."""
    ordered = sorted(batch, key=lambda ended: (ended.leased.tenant_id, ended.leased.id))  # locks in one order
    settled = [settle(ended, random.uniform(-1, 1)) for ended in ordered]  # noqa: S311 - jitter, not a secret
    values = {
        "tenants": [ended.leased.tenant_id for ended in ordered],
        "ids": [ended.leased.id for ended in ordered],
        "fences": [ended.leased.fence for ended in ordered],
        "states": [each.state.value for each in settled],
        "waits": [timedelta(seconds=each.wait_s) for each in settled],
        "statuses": [ended.attempted.status for ended in ordered],
    }
    await session.execute(_SETTLE, values)
    attempts = [_attempt(ended) for ended in ordered]
    await insert_rows(session, DeliveryAttempt, _COLUMNS, attempts, on_conflict="on conflict do nothing")
    await _mark_endpoints(session, ordered)


def _attempt(ended: Ended) -> tuple[Any, ...]:  # Any: one value per column
    leased, attempted = ended.leased, ended.attempted
    return (
        leased.tenant_id, ended.attempt_id, leased.id, leased.endpoint_id, leased.fence, attempted.status,
        attempted.error, attempted.detail[:MAX_DETAIL] or None, attempted.duration_ms, attempted.response_head or None,
    )  # fmt: skip


async def _mark_endpoints(session: PumpSession, batch: Sequence[Ended]) -> None:
    """Remember since when an endpoint has failed; one success and it is forgotten."""
    well = {ended.leased.endpoint_id for ended in batch if ended.attempted.verdict.outcome is Outcome.SUCCEEDED}
    changed: dict[tuple[UUID, UUID], bool] = {}
    for ended in batch:
        key = (ended.leased.tenant_id, ended.leased.endpoint_id)
        if key[1] in well:
            if ended.leased.failing_since_at is not None:
                changed[key] = False
        elif ended.attempted.verdict.outcome in _AGAINST and ended.leased.failing_since_at is None:
            changed[key] = True
    if changed:
        values = {
            "tenants": [tenant_id for tenant_id, _ in changed],
            "endpoints": [endpoint_id for _, endpoint_id in changed],
            "failing": list(changed.values()),
        }
        await session.execute(_MARK, values)


def to_disable(batch: Sequence[Ended], now: datetime) -> dict[tuple[UUID, UUID], str]:
    """Endpoints (with their tenants) that said so, or have failed for too long, and the code for it."""
    found: dict[tuple[UUID, UUID], str] = {}
    for ended in batch:
        key = (ended.leased.tenant_id, ended.leased.endpoint_id)
        since = ended.leased.failing_since_at
        if ended.attempted.verdict.disable is not None:
            found[key] = ended.attempted.verdict.disable
        elif ended.attempted.verdict.outcome in _AGAINST and since is not None and since <= now - FAILING_FOR:
            found.setdefault(key, FAILING)
    return found


_COLUMNS: Final = (
    "tenant_id", "id", "delivery_id", "endpoint_id", "fence", "status", "error", "detail", "duration_ms", "response",
)  # fmt: skip
_SETTLE: Final = text("""
update app.delivery d
set state = u.state, lease_until = null, attempts = d.attempts + 1, last_status = u.status,
    run_at = case u.state when 'pending' then clock_timestamp() + u.wait else d.run_at end,
    delivered_at = case u.state when 'delivered' then clock_timestamp() end
from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:fences as bigint[]), cast(:states as text[]),
            cast(:waits as interval[]), cast(:statuses as bigint[])) as u(tenant_id, id, fence, state, wait, status)
where d.tenant_id = u.tenant_id and d.id = u.id and d.fence = u.fence and d.state = 'leased'
""")
_MARK: Final = text("""
with p as (
  select p.tenant_id, p.id, u.failing
  from app.endpoint p
  join unnest(cast(:tenants as uuid[]), cast(:endpoints as uuid[]), cast(:failing as boolean[]))
       as u(tenant_id, id, failing) on p.tenant_id = u.tenant_id and p.id = u.id
  where p.failing_since_at is null = u.failing
  order by p.tenant_id, p.id for no key update of p
)
update app.endpoint p set failing_since_at = case when f.failing then clock_timestamp() end
from p as f where p.tenant_id = f.tenant_id and p.id = f.id
""")
