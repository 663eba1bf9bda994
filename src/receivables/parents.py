"""Parents of debtors: which company one is a part of. A tree; each debtor still owes for itself."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from receivables.errors import ParentInvalid
from receivables.models import Debtor
from storage.session import TenantSession, tenant_of

MAX_LEVELS: Final = 20


async def serialise(session: TenantSession) -> None:
    """One change of the tree at a time: two far ends of a circle share no debtor whose lock would tell."""
    await session.execute(_SERIALISE, {"key": f"parents:{tenant_of(session)}"})


_SERIALISE: Final = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")


async def known(session: TenantSession, debtor_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these debtors that exist."""
    wanted = set(debtor_ids)
    statement = select(Debtor.id).where(Debtor.tenant_id == tenant_of(session), Debtor.id.in_(wanted))
    return set(await session.scalars(statement)) if wanted else set()  # bounded: by the ids asked for


async def missing(session: TenantSession, debtor_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these debtors that do not exist."""
    wanted = set(debtor_ids)
    return wanted - await known(session, wanted)


async def check(session: TenantSession, debtor_id: UUID, parent_id: UUID) -> None:
    """Refuse a parent that does not exist, or that would close a circle or grow the tree too high.

    Raises ParentInvalid.
    """
    values = {"tenant_id": tenant_of(session), "id": debtor_id, "parent_id": parent_id, "most": MAX_LEVELS + 1}
    row = (await session.execute(_LEVELS, values)).one()
    if row.above == 0 or row.closes or row.above + row.below > MAX_LEVELS:
        raise ParentInvalid


_LEVELS: Final = text("""
with recursive up as (
  select d.id, d.parent_id, 1 as level from app.debtor d where d.tenant_id = :tenant_id and d.id = :parent_id
  union all
  select d.id, d.parent_id, up.level + 1 from up
  join app.debtor d on d.tenant_id = :tenant_id and d.id = up.parent_id where up.level < :most
), down as (
  select cast(:id as uuid) as id, 1 as level
  union all
  select d.id, down.level + 1 from down
  join app.debtor d on d.tenant_id = :tenant_id and d.parent_id = down.id where down.level < :most
)
select (select count(*) from up) as above, (select max(level) from down) as below,
       exists (select from up where id = :id) as closes
""")
