"""Keep what came of attempts: the deliveries' states and a row for each try, a batch in one transaction."""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from storage.session import PumpSession
from webhooks.claiming import Leased
from webhooks.disabling import FAILING, FAILING_FOR
from webhooks.models import DeliveryState
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


_DELIVERED: Final = Settled(DeliveryState.DELIVERED)


def settle(ended: Ended, jitter: float) -> Settled:
    """Decide from the answer and from how often it was tried; `jitter` is drawn from [-1, 1]."""
    verdict = ended.attempted.verdict
    if verdict.outcome is Outcome.SUCCEEDED:
        return _DELIVERED
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
    ordered = sorted(batch, key=lambda ended: ended.leased.id.bytes)  # all lock in one order
    settled = [settle(ended, random.uniform(-1, 1)) for ended in ordered]  # noqa: S311 - jitter, not a secret
    leased, attempted = [ended.leased for ended in ordered], [ended.attempted for ended in ordered]
    values = {
        "tenants": [each.tenant_id for each in leased],
        "ids": [each.id for each in leased],
        "endpoints": [each.endpoint_id for each in leased],
        "fences": [each.fence for each in leased],
        "states": [each.state.value for each in settled],
        "waits": [each.wait_s for each in settled],
        "attempts": [ended.attempt_id for ended in ordered],
        "statuses": [each.status for each in attempted],
        "errors": [each.error for each in attempted],
        "details": [each.detail[:MAX_DETAIL] or None for each in attempted],
        "durations": [each.duration_ms for each in attempted],
        "responses": [each.response_head or None for each in attempted],
    }
    await session.execute(_RECORD, values)
    await _mark_endpoints(session, ordered)


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


_RECORD: Final = text("""
with u as (
  select * from unnest(
    cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:endpoints as uuid[]), cast(:fences as bigint[]),
    cast(:states as text[]), cast(:waits as float8[]), cast(:attempts as uuid[]), cast(:statuses as bigint[]),
    cast(:errors as text[]), cast(:details as text[]), cast(:durations as bigint[]), cast(:responses as bytea[]))
  as u(tenant_id, id, endpoint_id, fence, state, wait_s, attempt_id, status, error, detail, duration_ms, response)
), settled as (
  update app.delivery d
  set state = u.state, lease_until = null, attempts = d.attempts + 1, last_status = u.status,
      run_at = case u.state when 'pending' then clock_timestamp() + make_interval(secs => u.wait_s) else d.run_at end,
      delivered_at = case u.state when 'delivered' then clock_timestamp() end
  from u where d.tenant_id = u.tenant_id and d.id = u.id and d.fence = u.fence and d.state = 'leased'
)
insert into app.delivery_attempt
  (tenant_id, id, delivery_id, endpoint_id, fence, status, error, detail, duration_ms, response)
select u.tenant_id, u.attempt_id, u.id, u.endpoint_id, u.fence, u.status, u.error, u.detail, u.duration_ms, u.response
from u
on conflict do nothing
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
