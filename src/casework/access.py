"""The only way to load one row by its id; another tenant's row does not exist."""

from uuid import UUID

from casework.errors import HandlingNotFound, HoldNotFound, TaskNotFound
from casework.models import Handling, Hold, Task
from receivables.access import reread
from receivables.locks import lock_debtors
from storage.session import TenantSession, tenant_of


async def hold(session: TenantSession, hold_id: UUID, *, lock: bool = False) -> Hold:
    """Load one hold."""
    row = await session.get(Hold, (tenant_of(session), hold_id))
    if row is None:
        raise HoldNotFound
    if lock:  # the debtor's lock, which a send takes too
        await lock_debtors(session, [row.debtor_id])
        await reread(session, row)
    return row


async def handling(session: TenantSession, handling_id: UUID) -> Handling:
    """Load who handles."""
    row = await session.get(Handling, (tenant_of(session), handling_id))
    if row is None:
        raise HandlingNotFound
    return row


async def task(session: TenantSession, task_id: UUID, *, lock: bool = False) -> Task:
    """Load one task; its lock is its own row's."""
    row = await session.get(Task, (tenant_of(session), task_id))
    if row is None:
        raise TaskNotFound
    if lock:
        await session.flush()
        await session.refresh(row, with_for_update={"key_share": True})
    return row
