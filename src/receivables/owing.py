"""Whether money of debtors is open: something to pay, or money and credit notes that nobody has used."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import text

from storage.session import TenantSession, tenant_of


async def is_open(session: TenantSession, debtor_ids: Iterable[UUID]) -> bool:
    """Whether anything of these debtors themselves is open; who was merged into them is asked for by name."""
    values = {"tenant_id": tenant_of(session), "ids": list(debtor_ids)}
    return bool((await session.execute(_OPEN, values)).scalar_one())


_OPEN: Final = text("""
select exists (select from app.instalment i where i.tenant_id = :tenant_id and i.balance_minor > 0
               and i.debtor_id = any(cast(:ids as uuid[])))
    or exists (select from app.receipt r where r.tenant_id = :tenant_id and r.unapplied_minor > 0
               and r.debtor_id = any(cast(:ids as uuid[])))
    or exists (select from app.charge c where c.tenant_id = :tenant_id and c.balance_minor > 0
               and c.debtor_id = any(cast(:ids as uuid[])))
    or exists (select from app.credit_note n where n.tenant_id = :tenant_id and n.remaining_minor > 0
               and n.debtor_id = any(cast(:ids as uuid[])))
""")
