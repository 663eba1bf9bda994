"""Merged debtors: a pointer from one to another. Rows stay where they are; reads, locks and keys use the root."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import text

from storage.session import TenantSession, tenant_of


async def roots_of(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The root of each debtor; a debtor that does not exist is absent."""
    values = {"tenant_id": tenant_of(session), "ids": list(set(debtor_ids))}
    if not values["ids"]:
        return {}
    return {row.start_id: row.id for row in await session.execute(_ROOTS, values)}


async def groups_of(session: TenantSession, roots: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Each root with everybody merged into it, the root among them."""
    values = {"tenant_id": tenant_of(session), "ids": list(set(roots))}
    groups: dict[UUID, list[UUID]] = {}
    for row in await session.execute(_GROUPS, values):
        groups.setdefault(row.root_id, []).append(row.id)
    return groups


async def group_of(session: TenantSession, debtor_id: UUID) -> list[UUID]:
    """Everybody who is one with this debtor; empty when it does not exist."""
    root = (await roots_of(session, [debtor_id])).get(debtor_id)
    return (await groups_of(session, [root]))[root] if root is not None else []


_ROOTS: Final = text("""
with recursive up as (
  select d.id as start_id, d.id, d.merged_into_id, 1 as depth
  from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union all
  select up.start_id, d.id, d.merged_into_id, up.depth + 1
  from up join app.debtor d on d.tenant_id = :tenant_id and d.id = up.merged_into_id
  where up.depth < 32
)
select start_id, id from up where merged_into_id is null
""")  # bounded: by the debtors asked for
_GROUPS: Final = text("""
with recursive down as (
  select d.id as root_id, d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union
  select down.root_id, d.id from down join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = down.id
)
select root_id, id from down
""")  # bounded: by who was merged into the debtors asked for
