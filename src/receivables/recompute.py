"""Every balance again from the facts that it derives from; a difference is a bug of ours."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from receivables.merges import groups_of, roots_of
from storage.session import TenantSession, tenant_of


class Drift(Struct, frozen=True):
    """A cached balance that is not what its facts add up to."""

    id: str
    cached_minor: int
    recomputed_minor: int


async def drift(session: TenantSession, debtor_ids: Iterable[UUID], *, limit: int = 1_000) -> list[Drift]:
    """The balances of these debtors (and of who is one with them) that are wrong; none, unless we have a bug."""
    roots = await roots_of(session, debtor_ids)
    groups = await groups_of(session, roots.values())
    members = [each for group in groups.values() for each in group]
    values = {"tenant_id": tenant_of(session), "debtors": members, "rows": limit}
    rows = await session.execute(_DRIFT, values)
    return [Drift(ids.encode(row.prefix, row.id), row.cached, row.recomputed) for row in rows]


# `line` is what each instalment adds up to. The last check is of the whole account: what is open less what money and
# credit notes have left is what these debtors owe a creditor in all.
_DRIFT: Final = text("""
with line as (
  select i.id, i.invoice_id, i.debtor_id, i.amount_minor, i.due_on, i.balance_minor as cached, v.document, v.currency,
         v.creditor_id, coalesce(e.sum, 0) as entered, coalesce(e.sum, 0) - coalesce(a.sum, 0) as recomputed
  from app.instalment i
  join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
  left join lateral (select sum(x.amount_minor) from app.ledger_entry x
                     where x.tenant_id = i.tenant_id and x.invoice_id = i.invoice_id and x.instalment_id = i.id) e
    on true
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = i.tenant_id and x.instalment_id = i.id) a on true
  where i.tenant_id = :tenant_id and i.debtor_id = any(cast(:debtors as uuid[]))
), note as (
  select n.id, n.debtor_id, n.creditor_id, n.currency, n.remaining_minor as cached,
         -coalesce(e.sum, 0) - coalesce(a.sum, 0) as recomputed,
         case when n.document = 'open' then n.total_minor - n.used_minor else 0 end as documented,
         -coalesce(e.sum, 0) as entered
  from app.credit_note n
  left join lateral (select sum(x.amount_minor) from app.ledger_entry x
                     where x.tenant_id = n.tenant_id and x.debtor_id = n.debtor_id and x.credit_note_id = n.id) e
    on true
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = n.tenant_id and x.credit_note_id = n.id) a on true
  where n.tenant_id = :tenant_id and n.debtor_id = any(cast(:debtors as uuid[]))
), cash as (
  select r.id, r.debtor_id, r.creditor_id, r.currency, r.unapplied_minor as cached, -coalesce(e.sum, 0) as entered,
         -coalesce(e.sum, 0) - coalesce(a.sum, 0) as recomputed,
         r.amount_minor - coalesce((select sum(b.amount_minor) from app.reversal b
                                    where b.tenant_id = r.tenant_id and b.receipt_id = r.id), 0) as documented
  from app.receipt r
  left join lateral (select sum(x.amount_minor) from app.ledger_entry x
                     where x.tenant_id = r.tenant_id and x.debtor_id = r.debtor_id and x.receipt_id = r.id) e on true
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = r.tenant_id and x.receipt_id = r.id) a on true
  where r.tenant_id = :tenant_id and r.debtor_id = any(cast(:debtors as uuid[]))
), charge as (
  select c.id, c.creditor_id, c.currency, c.balance_minor as cached, c.amount_minor - c.waived_minor as documented,
         coalesce(e.sum, 0) as entered, coalesce(e.sum, 0) - coalesce(a.sum, 0) as recomputed
  from app.charge c
  left join lateral (select sum(x.amount_minor) from app.ledger_entry x
                     where x.tenant_id = c.tenant_id and x.debtor_id = c.debtor_id and x.charge_id = c.id) e on true
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = c.tenant_id and x.charge_id = c.id) a on true
  where c.tenant_id = :tenant_id and c.debtor_id = any(cast(:debtors as uuid[]))
), given_up as (
  select w.id, case when w.state = 'standing' then w.amount_minor else 0 end as documented,
         -coalesce(e.sum, 0) as entered, coalesce(a.sum, 0) as settled
  from app.write_off w
  left join lateral (select sum(x.amount_minor) from app.ledger_entry x
                     where x.tenant_id = w.tenant_id and x.invoice_id = w.invoice_id and x.write_off_id = w.id) e
    on true
  left join lateral (select sum(x.amount_minor) from app.allocation x
                     where x.tenant_id = w.tenant_id and x.write_off_id = w.id) a on true
  where w.tenant_id = :tenant_id and w.debtor_id = any(cast(:debtors as uuid[]))
), balance as (
  select 'ins' as prefix, id, cached, recomputed from line
  union all
  select 'ins', id, case when document = 'void' then 0 else amount_minor end, entered from line
  union all
  select 'ins', l.id, case when e.due_on is not distinct from l.due_on then 1 else 0 end, 1
  from line l
  join lateral (select x.due_on from app.ledger_entry x
                where x.tenant_id = :tenant_id and x.invoice_id = l.invoice_id and x.instalment_id = l.id
                order by x.known_at desc, x.id desc limit 1) e on true
  where l.document = 'open'
  union all
  select 'inv', v.id, v.balance_minor, coalesce(sum(l.recomputed), 0)
  from app.invoice v left join line l on l.invoice_id = v.id
  where v.tenant_id = :tenant_id and v.debtor_id = any(cast(:debtors as uuid[]))
  group by v.id, v.balance_minor
  union all
  select 'crn', id, cached, recomputed from note
  union all
  select 'crn', id, documented, entered from note
  union all
  select 'rcp', id, cached, recomputed from cash
  union all
  select 'rcp', id, documented, entered from cash
  union all
  select 'chg', id, cached, recomputed from charge
  union all
  select 'chg', id, documented, entered from charge
  union all
  select 'wof', id, documented, entered from given_up
  union all
  select 'wof', id, documented, settled from given_up
  union all
  select 'crd', e.creditor_id, coalesce(o.sum, 0), e.sum
  from (select x.creditor_id, x.currency, sum(x.amount_minor) from app.ledger_entry x
        where x.tenant_id = :tenant_id and x.debtor_id = any(cast(:debtors as uuid[])) group by 1, 2) e
  left join (select creditor_id, currency, sum(cached)
             from (select creditor_id, currency, cached from line
                   union all select creditor_id, currency, cached from charge
                   union all select creditor_id, currency, -cached from note
                   union all select creditor_id, currency, -cached from cash) part
             group by 1, 2) o using (creditor_id, currency)
)
select prefix, id, cached, cast(recomputed as bigint) as recomputed
from balance where cached <> recomputed order by prefix, id limit :rows
""")
