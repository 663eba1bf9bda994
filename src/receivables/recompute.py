"""Every balance again from the facts that it derives from; a difference is a bug of ours."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from storage.session import TenantSession, tenant_of


class Drift(Struct, frozen=True):
    """A cached balance that is not what its facts add up to."""

    id: str
    cached_minor: int
    recomputed_minor: int


async def drift(session: TenantSession, debtor_ids: Iterable[UUID], *, limit: int = 1_000) -> list[Drift]:
    """The balances of these debtors' documents and receipts that are wrong; none, unless we have a bug."""
    values = {"tenant_id": tenant_of(session), "debtors": list(debtor_ids), "rows": limit}
    rows = await session.execute(_DRIFT, values)
    return [Drift(ids.encode(row.prefix, row.id), row.cached, row.recomputed) for row in rows]


_DRIFT: Final = text("""
with line as (
  select i.id, i.invoice_id, i.balance_minor as cached,
         case when v.document = 'open' then i.amount_minor - coalesce(a.sum, 0) else 0 end as recomputed
  from app.instalment i
  join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = i.tenant_id and x.instalment_id = i.id) a on true
  where i.tenant_id = :tenant_id and i.debtor_id = any(cast(:debtors as uuid[]))
), balance as (
  select 'ins' as prefix, id, cached, recomputed from line
  union all
  select 'inv', v.id, v.balance_minor,
         case when v.document = 'open' then v.total_minor - v.prepaid_minor - coalesce(a.sum, 0) else 0 end
  from app.invoice v
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = v.tenant_id and x.invoice_id = v.id) a on true
  where v.tenant_id = :tenant_id and v.debtor_id = any(cast(:debtors as uuid[]))
  union all
  select 'inv', v.id, v.balance_minor, s.sum
  from app.invoice v
  join (select invoice_id, sum(recomputed) from line group by invoice_id) s on s.invoice_id = v.id
  where v.tenant_id = :tenant_id
  union all
  select 'crn', n.id, n.remaining_minor,
         case when n.document = 'open' then n.total_minor - n.used_minor - coalesce(a.sum, 0) else 0 end
  from app.credit_note n
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = n.tenant_id and x.credit_note_id = n.id) a on true
  where n.tenant_id = :tenant_id and n.debtor_id = any(cast(:debtors as uuid[]))
  union all
  select 'rcp', r.id, r.unapplied_minor,
         r.amount_minor - coalesce(a.sum, 0)
           - coalesce((select b.amount_minor from app.reversal b
                       where b.tenant_id = r.tenant_id and b.receipt_id = r.id), 0)
  from app.receipt r
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = r.tenant_id and x.receipt_id = r.id) a on true
  where r.tenant_id = :tenant_id and r.debtor_id = any(cast(:debtors as uuid[]))
)
select prefix, id, cached, cast(recomputed as bigint) as recomputed
from balance where cached <> recomputed order by prefix, id limit :rows
""")
