"""A ledger of a tenant's whole past, for what reads it: written as the owner, since nothing here is measured.

Of each ten invoices, spread over 400 days, six have been paid, one of them in part; one has a credit note, one in
fifty was corrected, one in a hundred voided, and one debtor in ten has money that settles nothing.
"""

from typing import Final
from uuid import UUID

import asyncpg

from bench.stage import Stage, dsn

DAYS: Final = 400


async def histories(stage: Stage, name: str, tenants: list[UUID], *, each: int, per_debtor: int = 20) -> None:
    """So many invoices of each tenant with what has become of them, all entered in the ledger."""
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        await connection.execute(_PARTIES, tenants, max(each // per_debtor, 1))
        for statement in (_INVOICES, _CORRECTED, _VOIDED, _CREDITED):
            await connection.execute(statement, tenants, *((each, DAYS) if statement is _INVOICES else ()))
        await connection.execute(_PAID, tenants)
        await connection.execute(_UNAPPLIED, tenants)
        await connection.execute(_SETTLED, tenants)
    finally:
        await connection.close()


_PARTIES: Final = """
with c as (
  insert into app.creditor (tenant_id, id, version, name, zone, language, country, currency)
  select t, uuidv7(), 1, 'Atelier Fournier ' || n, 'Europe/Paris', 'fr', 'FR', 'EUR'
  from unnest($1::uuid[]) as t, generate_series(1, 2) as n
)
insert into app.debtor (tenant_id, id, version, external_id, kind, name, name_folded, language, country)
select t, uuidv7(), 1, 'd' || n, 'company', 'Société Durand ' || n, 'societe durand ' || n, 'fr', 'FR'
from unnest($1::uuid[]) as t, generate_series(1, $2) as n
"""
_INVOICES: Final = """
with c as (
  select tenant_id, id, row_number() over (partition by tenant_id order by id) - 1 as place
  from app.creditor where tenant_id = any($1)
), d as (
  select tenant_id, id, row_number() over (partition by tenant_id order by id) - 1 as place,
         count(*) over (partition by tenant_id) as many
  from app.debtor where tenant_id = any($1)
), v as (
  insert into app.invoice (tenant_id, id, version, creditor_id, debtor_id, number, issue_year, issued_on, due_on,
    due_on_source, currency, total_minor, prepaid_minor, balance_minor, document, source, source_rank, known_at)
  select d.tenant_id, uuidv7(), 1, c.id, d.id, 'F-' || n, 2026, day, day + 30, 'document',
    case when d.place % 10 = 0 then 'USD' else 'EUR' end, 10000 + n, 0, 10000 + n, 'open', 'bench', 1, day
  from generate_series(0, $2::int - 1) as n
  cross join lateral (select current_date - $3::int + n % $3::int as day) as born
  join d on d.place = n % d.many
  join c on c.tenant_id = d.tenant_id and c.place = n % 2
  returning tenant_id, id, creditor_id, debtor_id, currency, total_minor, issued_on, due_on, known_at
), i as (
  insert into app.instalment (tenant_id, id, version, invoice_id, debtor_id, place, due_on, amount_minor, balance_minor)
  select tenant_id, uuidv7(), 1, id, debtor_id, 1, due_on, total_minor, total_minor from v
  returning tenant_id, id, invoice_id
)
insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, invoice_id,
  instalment_id, due_on, effective_on, known_at)
select v.tenant_id, uuidv7(), 'invoice_opened', v.creditor_id, v.debtor_id, v.currency, v.total_minor, v.id, i.id,
  v.due_on, v.issued_on, v.known_at
from v join i on i.tenant_id = v.tenant_id and i.invoice_id = v.id
"""
_PLACED: Final = """
with v as (
  select v.*, i.id as instalment_id, row_number() over (partition by v.tenant_id order by v.id) as place
  from app.invoice v join app.instalment i on i.tenant_id = v.tenant_id and i.invoice_id = v.id
  where v.tenant_id = any($1)
)"""
_CORRECTED: Final = f"""{_PLACED}, moved as (
  update app.instalment i set due_on = v.due_on + 15 from v
  where i.tenant_id = v.tenant_id and i.id = v.instalment_id and v.place % 50 = 7
)
insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, invoice_id,
  instalment_id, due_on, effective_on, known_at)
select tenant_id, uuidv7(), 'invoice_corrected', creditor_id, debtor_id, currency, 0, id, instalment_id, due_on + 15,
  issued_on, known_at + interval '3 days'
from v where place % 50 = 7
"""
_VOIDED: Final = f"""{_PLACED}, gone as (
  update app.invoice i set document = 'void', void_reason = 'cancelled', balance_minor = 0 from v
  where i.tenant_id = v.tenant_id and i.id = v.id and v.place % 100 = 9
), nothing as (
  update app.instalment i set balance_minor = 0 from v
  where i.tenant_id = v.tenant_id and i.id = v.instalment_id and v.place % 100 = 9
)
insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, invoice_id,
  instalment_id, due_on, effective_on, known_at)
select tenant_id, uuidv7(), 'invoice_voided', creditor_id, debtor_id, currency, -total_minor, id, instalment_id, due_on,
  issued_on + 5, known_at + interval '5 days'
from v where place % 100 = 9
"""
_CREDITED: Final = f"""{_PLACED}, n as (
  insert into app.credit_note (tenant_id, id, version, creditor_id, debtor_id, number, issue_year, issued_on, currency,
    total_minor, used_minor, remaining_minor, document, source, source_rank, known_at)
  select tenant_id, uuidv7(), 1, creditor_id, debtor_id, 'A-' || place, 2026, issued_on + 10, currency, 1500, 0,
    case when place % 20 = 8 then 1500 else 0 end, 'open', id::text, 1, known_at + interval '10 days'
  from v where place % 10 = 8
  returning *
), a as (
  insert into app.allocation (tenant_id, id, version, credit_note_id, invoice_id, instalment_id, debtor_id,
    amount_minor, effective_on, known_at)
  select n.tenant_id, uuidv7(), 1, n.id, v.id, v.instalment_id, v.debtor_id, 1500, n.issued_on, n.known_at
  from n join v on v.tenant_id = n.tenant_id and v.id::text = n.source where n.remaining_minor = 0
)
insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, credit_note_id,
  effective_on, known_at)
select tenant_id, uuidv7(), 'credit_note_recorded', creditor_id, debtor_id, currency, -1500, id, issued_on, known_at
from n
"""
_PAID: Final = f"""{_PLACED}, r as (
  insert into app.receipt (tenant_id, id, version, creditor_id, debtor_id, currency, amount_minor, unapplied_minor,
    state, source, effective_on, known_at)
  select tenant_id, uuidv7(), 1, creditor_id, debtor_id, currency,
    total_minor / (case when place % 10 = 5 then 2 else 1 end), 0, 'final', id::text, due_on + (place % 20)::int,
    known_at + make_interval(days => 30 + (place % 20)::int)
  from v where place % 10 < 6 and due_on + (place % 20)::int <= current_date and document = 'open'
  returning *
), a as (
  insert into app.allocation (tenant_id, id, version, receipt_id, invoice_id, instalment_id, debtor_id, amount_minor,
    effective_on, known_at)
  select r.tenant_id, uuidv7(), 1, r.id, v.id, v.instalment_id, v.debtor_id, r.amount_minor, r.effective_on, r.known_at
  from r join v on v.tenant_id = r.tenant_id and v.id::text = r.source
)
insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, receipt_id,
  effective_on, known_at)
select tenant_id, uuidv7(), 'receipt_recorded', creditor_id, debtor_id, currency, -amount_minor, id, effective_on,
  known_at
from r
"""
_UNAPPLIED: Final = """
with d as (
  select v.tenant_id, v.debtor_id, v.creditor_id, v.currency, min(v.issued_on) as day
  from app.invoice v where v.tenant_id = any($1) group by 1, 2, 3, 4
), r as (
  insert into app.receipt (tenant_id, id, version, creditor_id, debtor_id, currency, amount_minor, unapplied_minor,
    state, source, effective_on, known_at)
  select tenant_id, uuidv7(), 1, creditor_id, debtor_id, currency, 700, 700, 'final', 'bench', day + 40, day + 40
  from d where get_byte(uuid_send(debtor_id), 15) % 10 = 0
  returning *
)
insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, receipt_id,
  effective_on, known_at)
select tenant_id, uuidv7(), 'receipt_recorded', creditor_id, debtor_id, currency, -amount_minor, id, effective_on,
  known_at
from r
"""
_SETTLED: Final = """
with s as (
  select tenant_id, invoice_id, instalment_id, sum(amount_minor) as settled
  from app.allocation where tenant_id = any($1) group by 1, 2, 3
), i as (
  update app.instalment i set balance_minor = i.amount_minor - s.settled from s
  where i.tenant_id = s.tenant_id and i.id = s.instalment_id
)
update app.invoice v set balance_minor = v.total_minor - s.settled from s
where v.tenant_id = s.tenant_id and v.id = s.invoice_id
"""
