"""Test clocks of sandboxes: business time that stands still until somebody advances it.

Advancing is a durable job that walks from due instant to due instant; here it is asked for, `workers` walks.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import select, text

from kernel import ids
from storage import jobs
from storage.clocks import BusinessClock, set_clock
from storage.events import emit
from storage.session import TenantSession, tenant_of
from tenants import access
from tenants.errors import ClockAdvancing, ClockTargetInvalid, NoTestClock
from tenants.events import ClockAdvanced
from tenants.models import TenantKind
from tenants.views import ClockView, JobView

JOB: Final = "clock.advance"
MAX_ADVANCE: Final = timedelta(days=731)  # two years


class Advance(Struct, frozen=True, kw_only=True):
    """What the job `clock.advance` is to do."""

    to: datetime
    since: datetime  # where the clock stood when it was asked for


async def clock(session: TenantSession) -> ClockView:
    """The sandbox's clock; raises NoTestClock."""
    return ClockView.of(await _row(session, lock=False))


async def advance(session: TenantSession, to: datetime) -> JobView:
    """Ask for the clock to go on to an instant; raises NoTestClock, ClockTargetInvalid, ClockAdvancing."""
    if (await access.tenant(session)).kind is not TenantKind.SANDBOX:
        raise NoTestClock
    row = await _row(session, lock=True)  # two at once: the second waits here, then sees the first one's job
    if await under_way(session) is not None:
        raise ClockAdvancing
    if not row.now_at < to <= row.now_at + MAX_ADVANCE:
        raise ClockTargetInvalid(row.now_at)
    job_id = ids.new_id()
    params = Advance(to=to.astimezone(UTC), since=row.now_at)
    await jobs.add(session, job_id, JOB, msgspec.json.encode(params).decode())
    await session.flush()
    return JobView.of(await access.job(session, job_id))


def params_of(text_: str) -> Advance:
    """Read the parameters of a job back."""
    return msgspec.json.decode(text_, type=Advance)


async def under_way(session: TenantSession) -> str | None:
    """The job that is advancing the clock now, if any."""
    found = (await session.execute(_UNDER_WAY, {"tenant_id": tenant_of(session), "kind": JOB})).scalar_one_or_none()
    return None if found is None else ids.encode("job", found)


async def move(session: TenantSession, to: datetime) -> None:
    """One step of the walk: the clock shows this instant from the commit on; never backwards."""
    row = await _row(session, lock=True)
    if to > row.now_at:
        await set_clock(session, to)


async def arrived(session: TenantSession, since: datetime) -> ClockView:
    """The walk is over: tell it."""
    row = await _row(session, lock=True)
    after = ClockView.of(row)
    before = ClockView.of(BusinessClock(tenant_id=row.tenant_id, now_at=since))
    emit(session, ClockAdvanced(after, before, row.now_at))
    return after


async def _row(session: TenantSession, *, lock: bool) -> BusinessClock:
    wanted = select(BusinessClock).where(BusinessClock.tenant_id == tenant_of(session))
    if lock:
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    row = (await session.scalars(wanted)).one_or_none()
    if row is None:
        raise NoTestClock
    return row


_UNDER_WAY: Final = text(
    "select id from app.job where tenant_id = :tenant_id and kind = :kind"
    " and state in ('pending', 'leased', 'dispatching') limit 1"
)
