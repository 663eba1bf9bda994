"""Debts to chase, the same for ours and the reference: written as the owner, since nothing here is measured."""

from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from bench.stage import Stage, dsn
from dunning.rules import default_body

DAYS_LATE: Final = 4  # the first reminder is due, the second not yet


async def debts(stage: Stage, name: str, tenants: list[UUID], *, each: int, per_debtor: int = 2) -> None:
    """Open invoices of each tenant, so many of one debtor, each with a course whose step is due."""
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        await connection.execute(_CREDITORS, tenants, msgspec.json.encode(default_body()).decode())
        await connection.execute(_DEBTORS, tenants, -(-each // per_debtor))
        await connection.execute(_INVOICES, tenants, each, per_debtor, DAYS_LATE)
        await connection.execute(_COURSES, tenants, DAYS_LATE)
    finally:
        await connection.close()


_CREDITORS: Final = """
with t as (select unnest($1::uuid[]) as tenant_id), c as (
  insert into app.creditor (tenant_id, id, version, name, zone, language, country, currency)
  select tenant_id, uuidv7(), 1, 'Atelier Fournier', 'Europe/Paris', 'fr', 'FR', 'EUR' from t
), p as (
  insert into app.policy (tenant_id, id, version, name, is_default)
  select tenant_id, uuidv7(), 1, 'default', true from t returning tenant_id, id
)
insert into app.policy_version (tenant_id, id, version, policy_id, number, state, body, published_at)
select tenant_id, uuidv7(), 1, id, 1, 'published', $2, clock_timestamp() from p
"""
_DEBTORS: Final = """
with d as (
  insert into app.debtor (tenant_id, id, version, external_id, kind, name, name_folded, language, country)
  select t, uuidv7(), 1, 'd' || n, 'company', 'Société Durand ' || n, 'societe durand ' || n, 'fr', 'FR'
  from unnest($1::uuid[]) as t, generate_series(1, $2) as n
  returning tenant_id, id, external_id
)
insert into app.contact (tenant_id, id, version, debtor_id, name, email, billing)
select tenant_id, uuidv7(), 1, id, 'Comptabilité', external_id || '@debtor.example', true from d
"""
_INVOICES: Final = """
with v as (
  insert into app.invoice (tenant_id, id, version, creditor_id, debtor_id, number, issue_year, issued_on, due_on,
    due_on_source, currency, total_minor, prepaid_minor, balance_minor, document, source, source_rank, known_at)
  select d.tenant_id, uuidv7(), 1, c.id, d.id, 'F-' || n, 2026, current_date - $4::int - 30, current_date - $4::int,
    'document', 'EUR', 10000 + n, 0, 10000 + n, 'open', 'bench', 1, clock_timestamp() - interval '20 days'
  from generate_series(1, $2::int) as n
  join app.debtor d on d.tenant_id = any($1) and d.external_id = 'd' || (1 + (n - 1) / $3::int)
  join app.creditor c on c.tenant_id = d.tenant_id
  returning tenant_id, id, debtor_id, due_on, total_minor
)
insert into app.instalment (tenant_id, id, version, invoice_id, debtor_id, place, due_on, amount_minor, balance_minor)
select tenant_id, uuidv7(), 1, id, debtor_id, 1, due_on, total_minor, total_minor from v
"""
_COURSES: Final = """
with c as (
  insert into app.course (tenant_id, id, version, instalment_id, invoice_id, debtor_id, creditor_id,
    policy_version_id, state, cycle, from_step, first_seen_at)
  select i.tenant_id, uuidv7(), 1, i.id, i.invoice_id, i.debtor_id, v.creditor_id, p.id, 'active', 1, 0,
    clock_timestamp() - interval '20 days'
  from app.instalment i
  join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
  join app.policy_version p on p.tenant_id = i.tenant_id
  where i.tenant_id = any($1)
  returning tenant_id, id
)
insert into app.due (tenant_id, kind, object_id, due_at, clocked)
select tenant_id, 'dunning.course', id, clock_timestamp() - make_interval(hours => 24 * ($2::int - 3)), false from c
"""
