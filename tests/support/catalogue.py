"""What PostgreSQL's catalogue must not contain: each query lists faults and must return no row.

The first ten are those of the isolation reference, with the lists of what is exempt and why; the others close what
row-level security does not look at: partitions, sequences, default rights, large objects, roles, rights by column.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.schema import GLOBAL
from storage.roles import ADMIN, APP, DIRECTORY, DISPATCHER, OWNER, PUMP, SERVICES
from storage.tenant_rls import QUEUE_COLUMNS, QUEUE_UPDATES

Rights = Mapping[str, Mapping[str, tuple[str, ...]]]  # table → verb → columns, "*" for all of them

QUEUES: Final = ("message", "job", "reaction", "tick")

# What the cross-tenant roles may do, column by column; a right that is not here turns the suite red.
DISPATCHER_RIGHTS: Final[Rights] = {
    **{queue: {"select": QUEUE_COLUMNS, "update": QUEUE_UPDATES} for queue in QUEUES},
    # the order of reactions, and what a tick is about: names of kinds and ids, never contents
    "reaction": {"select": (*QUEUE_COLUMNS, "consumer", "object_id", "sequence"), "update": QUEUE_UPDATES},
    "tick": {
        "select": (*QUEUE_COLUMNS, "kind", "object_id"),
        "update": QUEUE_UPDATES,
        "insert": ("tenant_id", "object_id", "kind", "state", "shard"),
    },
    # the promoter takes what is due; update only in order to lock it
    "due": {
        "select": ("tenant_id", "kind", "object_id", "due_at", "clocked"),
        "update": ("clocked",),
        "delete": ("*",),
    },
    # the relay numbers events without reading one
    "event": {"select": ("tenant_id", "id", "recorded_at", "log_position"), "update": ("log_position",)},
    "log_head": {"select": ("tenant_id", "position"), "update": ("position",), "insert": ("*",)},
}
PUMP_RIGHTS: Final[Rights] = {
    "event": {"select": ("*",)},  # it delivers them
    "log_head": {"select": ("*",)},
    "data_key": {"select": ("*",)},  # to open the endpoints' secrets and the events' personal fields
    "endpoint": {"select": ("*",), "update": ("position", "failing_since_at")},
    "delivery": {"select": ("*",), "insert": ("*",), "update": ("*",)},
    "delivery_attempt": {"select": ("*",), "insert": ("*",)},
}
DIRECTORY_RIGHTS: Final[Rights] = {
    "api_key": {"select": ("*",)},
    "inbox": {"select": ("*",)},
    "account": {"select": ("*",), "insert": ("*",)},
    "tenant_slug": {"select": ("*",), "insert": ("*",)},
    "platform_switch": {"select": ("*",), "update": ("*",)},
}
NEVER_CHANGED: Final = {  # by the application: what it writes here is history, evidence or a secret
    "access_row", "allocation", "blob", "captured_mail", "data_key", "decision", "event", "ledger_entry",
    "message_copy", "reversal",
}  # fmt: skip

_POLICY: Final = "(tenant_id = ( SELECT app.tenant_id() AS tenant_id))"
_GLOBALS: Final = {f"app.{table}": why for table, why in GLOBAL.items()}


class Check(Struct, frozen=True):
    """One query for faults; what `allow` names is exempt, each with its reason."""

    name: str
    sql: str
    allow: Mapping[str, str] = {}


def _foreign_policies() -> dict[str, str]:
    """The policies beside the canonical one. To whom each is given, `policies for another role` holds."""
    allowed = {
        f"app.{table}.{DISPATCHER}": "a queue: its columns are granted one by one" for table in DISPATCHER_RIGHTS
    }
    allowed |= {f"app.{table}.{PUMP}": "webhooks of all tenants in one batch" for table in PUMP_RIGHTS}
    return allowed | {
        f"app.api_key.{DIRECTORY}": "a key is looked up before its tenant is known",
        f"app.inbox.{DIRECTORY}": "so is an import address",
    }


def _rights(role: str, rights: Rights) -> dict[str, str]:
    return {
        f"{role} {verb} app.{table}.{column}": "see the table of rights"
        for table, verbs in rights.items()
        for verb, columns in verbs.items()
        for column in columns
    }


CHECKS: Final = (
    Check("tables without forced row-level security", """
select format('%I.%I', n.nspname, c.relname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)
  and format('%I.%I', n.nspname, c.relname) <> all (cast(:allow as text[]))
""", _GLOBALS),
    Check("tables without the canonical policy", f"""
select format('%I.%I', n.nspname, c.relname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind in ('r', 'p')
  and not exists (
        select from pg_policy p
        where p.polrelid = c.oid and p.polpermissive and p.polcmd = '*'
          and pg_get_expr(p.polqual, p.polrelid) = '{_POLICY}'
          and pg_get_expr(p.polwithcheck, p.polrelid) = '{_POLICY}')
  and format('%I.%I', n.nspname, c.relname) <> all (cast(:allow as text[]))
""", _GLOBALS),
    # Permissive policies are ORed, so one bad policy opens the table.
    Check("permissive policies beside the canonical one", f"""
select format('%I.%I.%I', n.nspname, c.relname, p.polname) as object
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and p.polpermissive
  and (pg_get_expr(p.polqual, p.polrelid) <> '{_POLICY}' or pg_get_expr(p.polwithcheck, p.polrelid) <> '{_POLICY}')
  and p.polroles <> array['{OWNER}'::regrole::oid]
  and format('%I.%I.%I', n.nspname, c.relname, p.polname) <> all (cast(:allow as text[]))
""", _foreign_policies()),
    Check("unique keys without the tenant", """
select format('%I.%I', n.nspname, ic.relname) as object
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and i.indisunique
  and not exists (
        select from pg_attribute a
        where a.attrelid = i.indrelid and a.attname = 'tenant_id'
          and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
  and format('%I.%I', n.nspname, ic.relname) <> all (cast(:allow as text[]))
""", {
        "app.pk_account": "a global table",
        "app.uq_account_slug": "a global table",
        "app.pk_tenant_slug": "a global table",
        "app.uq_tenant_slug_live": "a global table: an account has one live tenant",
        "app.pk_platform_switch": "a global table",
        "app.alembic_version_pkc": "a global table",
    }),
    Check("foreign keys that do not pair the tenants", """
select format('%I.%I.%I', n.nspname, c.relname, k.conname) as object
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and k.contype = 'f'
  and not exists (
        select from unnest(k.conkey, k.confkey) as pair(col, ref)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.col and a.attname = 'tenant_id'
        join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.ref and b.attname = 'tenant_id')
  and format('%I.%I.%I', n.nspname, c.relname, k.conname) <> all (cast(:allow as text[]))
"""),
    Check("views that read as their owner", """
select format('%I.%I', n.nspname, c.relname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app'
  and (c.relkind = 'v' and not coalesce((select o.option_value::boolean from pg_options_to_table(c.reloptions) o
                                         where o.option_name = 'security_invoker'), false)
       or c.relkind = 'm' and exists (select from pg_roles r where r.rolname = any (cast(:services as text[]))
                                      and has_any_column_privilege(r.oid, c.oid, 'select')))
  and format('%I.%I', n.nspname, c.relname) <> all (cast(:allow as text[]))
"""),
    Check("services that may too much or own something", f"""
select r.rolname || ' ' || x.fault as object
from pg_roles r
cross join lateral (values (r.rolsuper, 'is superuser'), (r.rolbypassrls, 'bypasses row-level security'),
                           (r.rolcreaterole, 'creates roles'), (r.rolcreatedb, 'creates databases'),
                           (r.rolreplication, 'replicates')) as x (is_so, fault)
where x.is_so and (r.rolname = any (cast(:services as text[])) or r.rolname in ('{OWNER}', '{DIRECTORY}')
                   or r.rolname = '{ADMIN}' and not r.rolbypassrls)
union all
select r.rolname || ' logs in' from pg_roles r where r.rolname in ('{OWNER}', '{DIRECTORY}') and r.rolcanlogin
union all
select r.rolname || ' owns ' || pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_shdepend d join pg_roles r on r.oid = d.refobjid
where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o'
  and d.dbid in (0, (select oid from pg_database where datname = current_database()))
  and r.rolname = any (cast(:services as text[]))
union all
select m.rolname || ' is a member of ' || r.rolname
from pg_auth_members x join pg_roles m on m.oid = x.member join pg_roles r on r.oid = x.roleid
where m.rolname = any (cast(:services as text[]))
"""),
    Check("definer functions whose search path is not pinned", """
select p.oid::regprocedure::text as object
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'app' and p.prosecdef
  and not exists (select from unnest(p.proconfig) as setting where setting like 'search_path=%')
  and p.oid::regprocedure::text <> all (cast(:allow as text[]))
"""),
    # Row-level security covers none of these verbs.
    Check("rights to truncate, to refer or to add triggers", """
select format('%I.%I %s', n.nspname, c.relname, r.rolname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join pg_roles r
where n.nspname = 'app' and c.relkind in ('r', 'p') and r.rolname = any (cast(:services as text[]))
  and (has_table_privilege(r.oid, c.oid, 'truncate') or has_any_column_privilege(r.oid, c.oid, 'references')
       or has_table_privilege(r.oid, c.oid, 'trigger'))
  and format('%I.%I', n.nspname, c.relname) <> all (cast(:allow as text[]))
"""),
    # Under row-level security a comparison that is not leakproof cannot be an index condition.
    Check("indexes on what is not leakproof", """
select format('%I.%I', n.nspname, ic.relname) as object
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app'
  and (i.indexprs is not null
       or exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid
                  where a.attrelid = c.oid and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                    and (t.typtype = 'e' or t.typname in ('numeric', 'jsonb', 'citext', 'tsvector')
                         or t.typcategory = 'A')))
  and format('%I.%I', n.nspname, ic.relname) <> all (cast(:allow as text[]))
"""),
    # Forced row-level security binds the owner too: without a policy of its own, a migration sees no row to mend.
    Check("tables whose rows are hidden from migrations", f"""
select format('%I.%I', n.nspname, c.relname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind in ('r', 'p')
  and not exists (
        select from pg_policy p
        where p.polrelid = c.oid and p.polpermissive and p.polcmd = '*' and p.polroles = array['{OWNER}'::regrole::oid]
          and pg_get_expr(p.polqual, p.polrelid) = 'true' and pg_get_expr(p.polwithcheck, p.polrelid) = 'true')
  and format('%I.%I', n.nspname, c.relname) <> all (cast(:allow as text[]))
""", _GLOBALS),
    Check("tables that migrations do not own", f"""
select format('%I.%I', n.nspname, c.relname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind <> all ('{{i,I}}') and c.relowner <> '{OWNER}'::regrole
"""),
    Check("policies for another role than the one they name", f"""
select format('%I.%I.%I', n.nspname, c.relname, p.polname) as object
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app'
  and (select array_agg(case u.oid when 0 then 'public' else pg_get_userbyid(u.oid) end) from unnest(p.polroles) u(oid))
      <> array[(case p.polname when 'tenant' then '{APP}' when 'owner' then '{OWNER}' else p.polname end)::name]
"""),
    Check("rights on partitions", """
select distinct format('%I.%I %s', n.nspname, c.relname, r.rolname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join pg_roles r
where n.nspname = 'app' and c.relispartition and r.rolname = any (cast(:services as text[]))
  and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate, references, trigger')
       or has_any_column_privilege(r.oid, c.oid, 'select, insert, update, references'))
"""),
    # Every name is an id of our own making; a sequence would count all tenants together.
    Check("sequences", """
select format('%I.%I', n.nspname, c.relname) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'app' and c.relkind = 'S'
"""),
    Check("default rights for others than the operator", f"""
select concat_ws(' ', d.defaclobjtype, coalesce(nullif(x.grantee, 0)::regrole::text, 'public'), x.privilege_type)
       as object
from pg_default_acl d cross join lateral aclexplode(d.defaclacl) x
where x.grantee <> '{ADMIN}'::regrole and x.grantee <> d.defaclrole
"""),
    Check("large objects", "select format('large object %s', oid) as object from pg_largeobject_metadata limit 10"),
    Check("rights of everybody", """
select format('%I.%I %s', n.nspname, c.relname, x.privilege_type) as object
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join lateral aclexplode(c.relacl) x
where n.nspname = 'app' and x.grantee = 0
union all
select format('%I.%I.%I %s', n.nspname, c.relname, a.attname, x.privilege_type)
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
cross join lateral aclexplode(a.attacl) x
where n.nspname = 'app' and x.grantee = 0
union all
select format('schema %I %s', n.nspname, x.privilege_type)
from pg_namespace n cross join lateral aclexplode(n.nspacl) x
where n.nspname in ('app', 'public') and x.grantee = 0
"""),
    Check("schemas in which a service may create", """
select format('%I %s', n.nspname, r.rolname) as object
from pg_namespace n cross join pg_roles r
where r.rolname = any (cast(:services as text[])) and n.nspname !~ '^pg_'
  and has_schema_privilege(r.oid, n.oid, 'create')
"""),
    Check("functions that a role need not call", f"""
with callable as materialized (
  select p.oid, p.oid::regprocedure::text as name, p.prosecdef from pg_proc p where p.pronamespace = 'app'::regnamespace
)
select f.name || ' ' || r.role as object
from callable f cross join unnest(cast(:services as text[])) r(role)
where has_function_privilege(r.role, f.oid, 'execute') and not (f.prosecdef and r.role = '{APP}')
  and f.name || ' ' || r.role <> all (cast(:allow as text[]))
""", {
        f"{function} {role}": why
        for function, why in (
            ("app.tenant_id()", "policies ask it"),
            ("app.shard_of(uuid)", "queues ask it; it reads nothing"),
        )
        for role in SERVICES
    }),
    # Triggers and rules act behind the back of whoever reads the code; other kinds of relation have no row security.
    Check("triggers, rules and relations of other kinds", """
select format('%s trigger %I', t.tgrelid::regclass, t.tgname) as object
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and not t.tgisinternal
union all
select format('%s rule %I', w.ev_class::regclass, w.rulename)
from pg_rewrite w join pg_class c on c.oid = w.ev_class join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind not in ('v', 'm')
union all
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'app' and c.relkind not in ('r', 'p', 'i', 'I', 'v', 'm', 'S')
"""),
    # A right on a whole table is listed once, as `*`.
    Check("rights beyond the tables of rights", f"""
with relation as materialized (
  select c.oid, 'app.' || c.relname as name
  from pg_class c where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
), role (name) as (
  values ('{APP}'), ('{DISPATCHER}'), ('{PUMP}'), ('{DIRECTORY}')
), held as materialized (
  select r.name as role, v.verb, t.name || '.*' as object
  from relation t cross join role r cross join unnest(array['select', 'insert', 'update', 'delete']) v(verb)
  where has_table_privilege(r.name, t.oid, v.verb)
 union all
  select r.name, v.verb, t.name || '.' || a.attname
  from relation t cross join role r cross join unnest(array['select', 'insert', 'update']) v(verb)
  join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  where has_any_column_privilege(r.name, t.oid, v.verb) and not has_table_privilege(r.name, t.oid, v.verb)
    and has_column_privilege(r.name, t.oid, a.attnum, v.verb)
)
select concat_ws(' ', role, verb, object) as object from held
where case when role <> '{APP}' then concat_ws(' ', role, verb, object) <> all (cast(:allow as text[]))
           else split_part(object, '.', 2) = any (cast(:globals as text[]))
                or verb = 'update' and split_part(object, '.', 2) = any (cast(:never_changed as text[]))
                or verb = 'delete' and split_part(object, '.', 2) = 'event' end
""", _rights(DISPATCHER, DISPATCHER_RIGHTS) | _rights(PUMP, PUMP_RIGHTS) | _rights(DIRECTORY, DIRECTORY_RIGHTS)),
)  # fmt: skip


async def faults(connection: AsyncConnection) -> dict[str, list[str]]:
    """Every fault of the schema `app` by the check that finds it; empty when all is well."""
    found = {check.name: await objects(connection, check, check.allow) for check in CHECKS}
    return {name: names for name, names in found.items() if names}


async def objects(connection: AsyncConnection, check: Check, allow: Iterable[str] = ()) -> list[str]:
    """What one check finds beside what is allowed."""
    await connection.exec_driver_sql("set local search_path = ''")  # so that expressions print with their schema
    values = {
        "allow": list(allow),
        "services": list(SERVICES),
        "globals": list(GLOBAL),
        "never_changed": sorted(NEVER_CHANGED),
    }
    statement = text(check.sql)
    rows = await connection.execute(statement, {name: values[name] for name in statement.compile().params})
    return sorted(str(row.object) for row in rows)
