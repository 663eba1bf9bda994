"""Forget what people have written about debtors: notes of holds, details of tasks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import update

from casework.models import Hold, Task
from storage.registry import erases
from storage.session import TenantSession, tenant_of


@erases
async def forget(session: TenantSession, subjects: Sequence[UUID], now: datetime) -> None:
    """Blank the notes about these debtors; that there was a hold or a task stays."""
    del now
    tenant_id = tenant_of(session)
    await session.flush()
    holds = update(Hold).where(Hold.tenant_id == tenant_id, Hold.debtor_id.in_(subjects)).values(note=None)
    tasks = update(Task).where(Task.tenant_id == tenant_id, Task.debtor_id.in_(subjects)).values(detail=None)
    await session.execute(holds)
    await session.execute(tasks)
