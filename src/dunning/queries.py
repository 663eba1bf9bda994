"""Lists of policies, courses and notices, by keyset."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from dunning.models import Course, Notice, Policy, PolicyVersion, VersionState
from storage.session import TenantSession, tenant_of


async def policies(session: TenantSession, *, after: UUID | None, limit: int) -> list[tuple[Policy, PolicyVersion]]:
    """Policies with the version in force, the newest first, after one of them."""
    wanted = (
        select(Policy, PolicyVersion)
        .join(PolicyVersion, (PolicyVersion.tenant_id == Policy.tenant_id) & (PolicyVersion.policy_id == Policy.id))
        .where(Policy.tenant_id == tenant_of(session), PolicyVersion.state == VersionState.PUBLISHED)
    )
    if after is not None:
        wanted = wanted.where(Policy.id < after)
    return [(row[0], row[1]) for row in await session.execute(wanted.order_by(Policy.id.desc()).limit(limit))]


async def courses(
    session: TenantSession, *, state: str | None, debtor_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[Course]:
    """Courses, the newest first, after one of them."""
    wanted = select(Course).where(Course.tenant_id == tenant_of(session))
    if state is not None:
        wanted = wanted.where(Course.state == state)
    if debtor_id is not None:
        wanted = wanted.where(Course.debtor_id == debtor_id)
    if after is not None:
        wanted = wanted.where(Course.id < after)
    return list(await session.scalars(wanted.order_by(Course.id.desc()).limit(limit)))


async def notices(
    session: TenantSession, *, debtor_id: UUID | None, state: str | None, after: UUID | None, limit: int
) -> Sequence[Notice]:
    """Notices, the newest first, after one of them."""
    wanted = select(Notice).where(Notice.tenant_id == tenant_of(session))
    if debtor_id is not None:
        wanted = wanted.where(Notice.debtor_id == debtor_id)
    if state is not None:
        wanted = wanted.where(Notice.state == state)
    if after is not None:
        wanted = wanted.where(Notice.id < after)
    return list(await session.scalars(wanted.order_by(Notice.id.desc()).limit(limit)))
