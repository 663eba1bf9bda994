-- What one POST /v1/invoices does in the database, for pgbench: the same statements, one transaction, RLS bound.
-- Texts that hold colons, which pgbench would take for variables, come as definitions: head, tail, cause.
\set n :n + 1
\set place (:client_id + :n * :clients) % :tenants
begin;
select set_config('app.tenant_id', 'a0000000-0000-7000-8000-' || lpad(:place, 12, '0'), true);
with taken as (
  insert into app.idempotency (tenant_id, caller, key, fingerprint)
  values (('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid, 'key_' || lpad(:place, 26, '0'),
          'bench-' || :client_id || '-' || :n, decode(repeat('5a', 32), 'hex'))
  on conflict do nothing returning 1
)
select exists (select from taken) as is_ours,
       coalesce((select now_at from app.business_clock
                 where tenant_id = ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid),
                clock_timestamp()) as now_at,
       k.version, k.wrapped
from (select) as one left join lateral (
  select version, wrapped from app.data_key
  where tenant_id = ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid
    and subject_id = ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid
  order by version desc limit 1
) k on true \gset
with written as (
  insert into app.invoice
    (tenant_id, id, version, creditor_id, debtor_id, external_id, number, issue_year, issued_on, due_on, due_on_source,
     currency, total_minor, prepaid_minor, balance_minor, document, purchase_order, payment_terms, direct_debit_on,
     source, source_rank, known_at)
  select t.id, u.id, 1, u.creditor_id, u.debtor_id, u.external_id, u.number, u.issue_year, u.issued_on, u.due_on,
         u.due_on_source, u.currency, u.total_minor, u.prepaid_minor, u.total_minor - u.prepaid_minor, 'open',
         u.purchase_order, u.payment_terms, u.direct_debit_on, u.source, u.source_rank, clock_timestamp()
  from (select ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid as id) as t,
       unnest(array[uuidv7()], array[2026::bigint],
              array[('c0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid],
              array[('d0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid], array[null::text],
              array['B-' || :client_id || '-' || :n], array['2026-11-02'::date], array['2026-12-02'::date],
              array['document'::text], array['EUR'::text], array[120000::bigint], array[0::bigint], array[null::text],
              array[null::text], array[null::date], array['api'::text], array[100::bigint])
    as u(id, issue_year, creditor_id, debtor_id, external_id, number, issued_on, due_on, due_on_source, currency,
         total_minor, prepaid_minor, purchase_order, payment_terms, direct_debit_on, source, source_rank)
  join app.creditor c on c.tenant_id = ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid
    and c.id = u.creditor_id
  join app.debtor d on d.tenant_id = ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid and d.id = u.debtor_id
  order by u.creditor_id, u.number, u.id
  on conflict do nothing
  returning tenant_id, id, creditor_id, debtor_id, currency, issued_on
), line as (
  select w.tenant_id, l.id, l.entry_id, w.id as invoice_id, l.place, l.due_on, l.amount_minor, w.creditor_id,
         w.debtor_id, w.currency, w.issued_on
  from written w,
       unnest(array[uuidv7()], array[uuidv7()], array[1::bigint], array['2026-12-02'::date], array[120000::bigint])
         as l(id, entry_id, place, due_on, amount_minor)
), lines as (
  insert into app.instalment (tenant_id, id, version, invoice_id, debtor_id, place, due_on, amount_minor, balance_minor)
  select l.tenant_id, l.id, 1, l.invoice_id, l.debtor_id, l.place, l.due_on, l.amount_minor, l.amount_minor from line l
), entries as (
  insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, invoice_id,
                                instalment_id, due_on, effective_on, known_at)
  select l.tenant_id, l.entry_id, 'invoice_opened', l.creditor_id, l.debtor_id, l.currency, l.amount_minor,
         l.invoice_id, l.id, l.due_on, l.issued_on, clock_timestamp()
  from line l
)
select id as invoice, uuidv7() as event from written \gset
update app.idempotency
set status = 201, key_version = :version::bigint, sealed = decode(repeat('5a', 772), 'hex')
where tenant_id = ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid
  and caller = 'key_' || lpad(:place, 26, '0') and key = 'bench-' || :client_id || '-' || :n;
with t0 as (
  insert into app.event
    (tenant_id, id, type, object_id, sequence, debtor_id, invoice_id, placement_id, occurred_at, cause, backfill,
     payload, subject_id, key_version, sealed)
  select ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid, :event::uuid, 'invoice.opened', :invoice::uuid, 1,
         ('d0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid, :invoice::uuid, null, clock_timestamp(),
         :cause::text, false, :head::text || 'B-' || :client_id || '-' || :n || :tail::text, null, null, null
)
insert into app.reaction (tenant_id, id, consumer, event_id, object_id, sequence, state)
select ('a0000000-0000-7000-8000-' || lpad(:place, 12, '0'))::uuid, uuidv7(), 'dunning.reactions.enter', :event::uuid,
       :invoice::uuid, 1, 'pending';
commit;
