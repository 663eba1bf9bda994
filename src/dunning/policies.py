"""Policies and their versions: a published one never changes; the next version applies to debts that enter later."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from dunning.errors import PolicyNameTaken, PolicyNotFound
from dunning.events import PolicyPublished
from dunning.models import Policy, PolicyVersion, VersionState
from dunning.rules import PolicyBody, check, default_body
from dunning.views import PolicyView
from kernel import ids
from storage.bulk import among
from storage.events import emit
from storage.session import TenantSession, tenant_of

DEFAULT_NAME: Final = "default"


async def create(
    session: TenantSession, name: str, body: PolicyBody, now: datetime, *, default: bool = False
) -> PolicyView:
    """Make a policy and publish its first version. Raises PolicyInvalid, PolicyNameTaken."""
    check(body)
    tenant_id, policy_id = tenant_of(session), ids.new_id()
    if default:
        await session.execute(_NO_DEFAULT, {"tenant_id": tenant_id})
    values = {"tenant_id": tenant_id, "id": policy_id, "version": 1, "name": name, "is_default": default}
    made = await session.execute(insert(Policy).values(values).on_conflict_do_nothing().returning(Policy.id))
    if made.first() is None:
        raise PolicyNameTaken
    row = await policy(session, policy_id)
    return await _publish(session, row, body, 1, now)


_NO_DEFAULT: Final = text("update app.policy set is_default = false where tenant_id = :tenant_id and is_default")


async def publish(session: TenantSession, policy_id: UUID, body: PolicyBody, now: datetime) -> PolicyView:
    """Publish a new version. Courses that have begun keep theirs. Raises PolicyInvalid, PolicyNotFound."""
    check(body)
    row = await policy(session, policy_id, lock=True)
    current = await published(session, policy_id)
    current.state = VersionState.ARCHIVED
    current.version += 1
    row.version += 1
    await session.flush()
    return await _publish(session, row, body, current.number + 1, now)


async def _publish(session: TenantSession, row: Policy, body: PolicyBody, number: int, now: datetime) -> PolicyView:
    version = PolicyVersion(
        tenant_id=row.tenant_id,
        id=ids.new_id(),
        version=1,
        policy_id=row.id,
        number=number,
        state=VersionState.PUBLISHED,
        body=msgspec.json.encode(body).decode(),
        published_at=now,
    )
    session.add(version)
    await session.flush()
    view = PolicyView.of(row, version)
    emit(session, PolicyPublished(view, None, now))
    return view


async def policy(session: TenantSession, policy_id: UUID, *, lock: bool = False) -> Policy:
    """Load one policy; another tenant's does not exist."""
    row = await session.get(Policy, (tenant_of(session), policy_id), with_for_update=lock or None)
    if row is None:
        raise PolicyNotFound
    return row


async def published(session: TenantSession, policy_id: UUID) -> PolicyVersion:
    """The version in force."""
    statement = select(PolicyVersion).where(
        PolicyVersion.tenant_id == tenant_of(session),
        PolicyVersion.policy_id == policy_id,
        PolicyVersion.state == VersionState.PUBLISHED,
    )
    return (await session.execute(statement)).scalar_one()


async def default_version(session: TenantSession, now: datetime) -> PolicyVersion:
    """The version by which debts enter that no rule sends elsewhere; a tenant's first call makes the built-in one."""
    tenant_id = tenant_of(session)
    statement = (
        select(PolicyVersion)
        .join(Policy, (Policy.tenant_id == PolicyVersion.tenant_id) & (Policy.id == PolicyVersion.policy_id))
        .where(Policy.tenant_id == tenant_id, Policy.is_default, PolicyVersion.state == VersionState.PUBLISHED)
    )
    found = (await session.execute(statement)).scalar_one_or_none()
    if found is not None:
        return found
    await session.execute(_ONE_AT_A_TIME, {"tenant": str(tenant_id)})
    found = (await session.execute(statement)).scalar_one_or_none()
    if found is not None:
        return found
    view = await create(session, DEFAULT_NAME, default_body(), now, default=True)
    return await published(session, ids.decode("pol", view.id))


_ONE_AT_A_TIME: Final = text("select pg_advisory_xact_lock(hashtext('policy.default'), hashtext(:tenant))")


async def bodies(session: TenantSession, version_ids: Iterable[UUID], *, share: bool = False) -> dict[UUID, PolicyBody]:
    """The rules of versions by id; FOR SHARE in the gate, so that nothing is archived in between."""
    wanted = sorted(set(version_ids))
    statement = (
        select(PolicyVersion)
        .where(PolicyVersion.tenant_id == tenant_of(session), among(PolicyVersion.id, wanted))
        .order_by(PolicyVersion.id)
        .limit(len(wanted) + 1)
    )
    if share:
        statement = statement.with_for_update(read=True)
    rows = (await session.execute(statement)).scalars()
    return {row.id: _DECODER.decode(row.body) for row in rows}


_DECODER: Final = msgspec.json.Decoder(PolicyBody)
