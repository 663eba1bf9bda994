"""Merged debtors, before there is a command that merges."""

from uuid import UUID

from sqlalchemy import update

from receivables.models import Debtor
from storage.session import TenantSession, tenant_of


async def merge(session: TenantSession, member: UUID, root: UUID) -> None:
    """Point one debtor to another."""
    mine = (Debtor.tenant_id == tenant_of(session), Debtor.id == member)
    await session.execute(update(Debtor).where(*mine).values(merged_into_id=root))
