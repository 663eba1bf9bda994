"""Forget what documents have said of people: the raw e-invoices of persons, and both sides of their conflicts.

What a source has said of a debtor is sealed under the debtor's own key and goes with it. An export holds many debtors:
it has a key and a short retention of its own.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text

from storage.encryption import destroy_keys
from storage.registry import erases
from storage.session import TenantSession, tenant_of


@erases
async def forget(session: TenantSession, subjects: Sequence[UUID], now: datetime) -> None:
    """Destroy the keys of what only tells of these debtors. A company's documents are kept as accounts are."""
    del now
    await session.flush()
    values = {"tenant_id": tenant_of(session), "ids": list(subjects)}
    await destroy_keys(session, (await session.execute(_KEYS, values)).scalars())


_KEYS: Final = text("""
with person as (
  select d.id from app.debtor d
  where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[])) and d.kind = 'person'
), told as (
  select v.id from app.invoice v join person p on p.id = v.debtor_id where v.tenant_id = :tenant_id
  union all
  select n.id from app.credit_note n join person p on p.id = n.debtor_id where n.tenant_id = :tenant_id
)
select i.blob_id from told t
join app.imported_document i on i.tenant_id = :tenant_id and i.object_id = t.id and i.place = ''
  and i.blob_id is not null
union
select c.id from app.conflict c join person p on p.id = c.debtor_id where c.tenant_id = :tenant_id
union
select c.id from app.conflict c join told t on t.id = c.object_id where c.tenant_id = :tenant_id
""")  # bounded: by the documents of the debtors asked for
