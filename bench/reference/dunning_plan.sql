-- Everything that a dunning run writes about one tenant, in one statement: the limit that PostgreSQL sets.
-- $1 the tenant, $2 now, $3 the day of contact. New ids are as long as ours and sort like ours.
with ready as (
  delete from app.due d
  where d.tenant_id = $1::uuid and d.kind = 'dunning.course' and d.due_at <= $2::timestamptz
  returning d.object_id
), debt as (
  select c.id as course_id, c.instalment_id, c.invoice_id, c.debtor_id, c.creditor_id, c.policy_version_id, c.cycle,
         c.from_step, c.first_seen_at, i.due_on, i.balance_minor, v.currency, cr.zone, k.id as contact_id,
         coalesce(k.zone, d.zone, cr.zone) as debtor_zone, uuidv7() as notice_id, uuidv7() as decision_id
  from ready r
  join app.course c on c.tenant_id = $1 and c.id = r.object_id and c.state = 'active'
  join app.instalment i on i.tenant_id = $1 and i.id = c.instalment_id and i.balance_minor > 0
  join app.invoice v on v.tenant_id = $1 and v.id = c.invoice_id and v.document = 'open'
  join app.creditor cr on cr.tenant_id = $1 and cr.id = c.creditor_id
  join app.debtor d on d.tenant_id = $1 and d.id = c.debtor_id and d.insolvent_on is null
  join lateral (
    select k.id, k.zone from app.contact k
    where k.tenant_id = $1 and k.debtor_id = c.debtor_id and k.billing and k.archived_at is null
      and k.email is not null
    order by k.id limit 1) k on true
  where i.due_on + 3 <= $3::date
), letter as (
  select creditor_id, debtor_id, contact_id, uuidv7() as message_id from debt group by creditor_id, debtor_id, contact_id
), key as (
  insert into app.message_key (tenant_id, key, message_id)
  select $1, replace(creditor_id::text, '-', '') || ':' || replace(debtor_id::text, '-', '') || ':'
         || replace(contact_id::text, '-', '') || ':email:dunning:' || $3::date, message_id
  from letter
), message as (
  insert into app.message (tenant_id, id, version, creditor_id, debtor_id, contact_id, channel, purpose, contact_day,
    level, planned_at, state)
  select $1, message_id, 1, creditor_id, debtor_id, contact_id, 'email', 'dunning', $3::date, 1, $2, 'pending'
  from letter
), said as (
  select debt.*, letter.message_id from debt join letter using (creditor_id, debtor_id, contact_id)
), part as (
  insert into app.message_part (tenant_id, message_id, part_id, debt_id)
  select $1, message_id, notice_id, instalment_id from said
), notice as (
  insert into app.notice (tenant_id, id, version, course_id, instalment_id, invoice_id, debtor_id, cycle, step,
    occurrence, level, state, message_id, planned_at)
  select $1, notice_id, 1, course_id, instalment_id, invoice_id, debtor_id, cycle, 'first_reminder', 1, 1, 'planned',
         message_id, $2
  from said
), decision as (
  insert into app.decision (tenant_id, id, instalment_id, course_id, made_by, decided_at, verdict, step, blockers,
    facts, policy_version_id, cycle)
  select $1, decision_id, instalment_id, course_id, 'run', $2, 'act', 'first_reminder', '',
    '{"document":"open","due_on":"' || due_on || '","balance_minor":' || balance_minor || ',"currency":"' || currency
    || '","held_minor":0,"unapplied_minor":0,"in_process_minor":0,"direct_debit_on":null,"insolvent":false,'
    || '"reachable":true,"opted_out":false,"holds":[],"outsourced":false,"mode":"automatic","stopped":[],'
    || '"in_review":false,"creditor_zone":"' || zone || '","debtor_zone":"' || debtor_zone
    || '","fresh":true,"cycle":' || cycle || ',"from_step":' || from_step
    || ',"seen_on":"' || (first_seen_at at time zone zone)::date || '","said":[],"contacted_on":null}',
    policy_version_id, cycle
  from said
), course as (
  update app.course c set trace = 'act first_reminder' from said where c.tenant_id = $1 and c.id = said.course_id
), again as (
  insert into app.due (tenant_id, kind, object_id, due_at, clocked)
  select $1, 'dunning.course', course_id, (due_on + 10 + time '09:00') at time zone zone,
         exists (select from app.business_clock b where b.tenant_id = $1)
  from said
), happened as (
  select 'message.planned' as type, message_id as object_id, debtor_id, null::uuid as invoice_id,
    '{"view":{"id":"msg_' || left(replace(message_id::text, '-', ''), 26)
    || '","version":1,"creditor_id":"crd_' || left(replace(creditor_id::text, '-', ''), 26)
    || '","debtor_id":"dbt_' || left(replace(debtor_id::text, '-', ''), 26)
    || '","contact_id":"ctc_' || left(replace(contact_id::text, '-', ''), 26)
    || '","channel":"email","purpose":"dunning","contact_day":"' || $3::date
    || '","level":1,"template":null,"language":null,"tone":null,"state":"planned","code":null,"provider_ref":null,'
    || '"planned_at":"' || to_char($2 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","sent_at":null},"previous":{}}' as payload
  from letter
  union all
  select 'notice.planned', notice_id, debtor_id, invoice_id,
    '{"view":{"id":"ntc_' || left(replace(notice_id::text, '-', ''), 26)
    || '","version":1,"course_id":"crs_' || left(replace(course_id::text, '-', ''), 26)
    || '","instalment_id":"ins_' || left(replace(instalment_id::text, '-', ''), 26)
    || '","invoice_id":"inv_' || left(replace(invoice_id::text, '-', ''), 26)
    || '","debtor_id":"dbt_' || left(replace(debtor_id::text, '-', ''), 26)
    || '","message_id":"msg_' || left(replace(message_id::text, '-', ''), 26)
    || '","cycle":' || cycle || ',"step":"first_reminder","occurrence":1,"level":1,"state":"planned","code":null,'
    || '"planned_at":"' || to_char($2 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","issued_at":null},"previous":{}}'
  from said
), event as (
  insert into app.event (tenant_id, id, type, object_id, sequence, debtor_id, invoice_id, occurred_at, cause, backfill,
    payload)
  select $1, uuidv7(), type, object_id, 1, debtor_id, invoice_id, $2, '{"kind":"schedule"}', false, payload
  from happened
)
select count(*) from said
