"""The debtor's lock, which everything takes that can change what may be said to a debtor, and every send.

Whoever holds it sees facts that stand still until the transaction ends. Take it once for all debtors of a command,
before the first row is read, and never inside a savepoint that may be rolled back.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import text

from receivables.errors import DebtorNotFound
from storage.session import TenantSession, memory, tenant_of

_TRIES: Final = 5


class Locked:
    """The debtors that this unit of work has locked, each with its root."""

    def __init__(self) -> None:
        self.roots: dict[UUID, UUID] = {}


async def lock_debtors(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Lock the roots of these debtors, in the order of their ids; what is locked already costs nothing.

    Answers the root of each; raises DebtorNotFound.
    """
    locked = memory(session, Locked).roots
    wanted = set(debtor_ids)
    for _ in range(_TRIES):
        missing = wanted - locked.keys()
        if not missing:
            return {debtor_id: locked[debtor_id] for debtor_id in wanted}
        await _lock(session, missing, locked)
    raise DebtorNotFound


def regroup(session: TenantSession, debtor_ids: Iterable[UUID], root_id: UUID) -> None:
    """Remember that debtors whose root this unit of work has locked have another one, which it has locked or made."""
    memory(session, Locked).roots.update(dict.fromkeys((*debtor_ids, root_id), root_id))


def debtors_locked(session: TenantSession) -> frozenset[UUID]:
    """The roots that this unit of work has locked."""
    return frozenset(memory(session, Locked).roots.values())


async def _lock(session: TenantSession, missing: set[UUID], locked: dict[UUID, UUID]) -> None:
    values = {"tenant_id": tenant_of(session), "ids": list(missing)}
    found: set[UUID] = set()
    for row in await session.execute(_LOCK, values):
        found.update(row.starts)
        # Else it was merged, or somebody left it, while we waited: look again whose root it is.
        if row.merged_into_id is None and row.group_version == row.seen_version:
            locked.update(dict.fromkeys((*row.starts, row.id), row.id))
    if missing - found:
        raise DebtorNotFound


# Only the outer table is locked; its rows come sorted, so that two commands over the same debtors never wait crosswise.
_LOCK: Final = text("""
with recursive up as (
  select d.id as start_id, d.id, d.merged_into_id, d.group_version, 1 as depth
  from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union all
  select up.start_id, d.id, d.merged_into_id, d.group_version, up.depth + 1
  from up join app.debtor d on d.tenant_id = :tenant_id and d.id = up.merged_into_id
  where up.depth < 32
), root as (
  select id, min(group_version) as group_version, array_agg(start_id) as starts
  from up where merged_into_id is null group by id
)
select d.id, d.merged_into_id, d.group_version, root.group_version as seen_version, root.starts
from root join app.debtor d on d.tenant_id = :tenant_id and d.id = root.id
order by d.id
for no key update of d
""")  # bounded: by the debtors asked for
