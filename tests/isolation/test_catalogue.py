"""The catalogue holds no fault, and each fault that could be planted turns its check red."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from support.catalogue import CHECKS, Check, faults, objects
from support.marks import both_servers

pytestmark = both_servers

POLICY = "tenant_id = (select app.tenant_id())"
COPIED = (
    f"alter table app.{{0}} enable row level security; alter table app.{{0}} force row level security;"
    f" create policy tenant on app.{{0}} to relance_app using ({POLICY}) with check ({POLICY});"
    f" create policy owner on app.{{0}} to relance_owner using (true) with check (true)"
)
PARENT_AND_CHILD = (
    "set local role relance_owner; create table app.parent (tenant_id uuid, id uuid primary key);"
    " create table app.child (tenant_id uuid primary key, parent_id uuid,"
    " constraint fk_child foreign key (parent_id) references app.parent (id))"
)
MATERIALISED = (
    "set local role relance_owner; create materialized view app.planted as select * from app.invoice;"
    " grant select on app.planted to relance_app"
)
TRIGGER = (
    "create trigger planted before update on app.invoice for each row"
    " execute function suppress_redundant_updates_trigger()"
)
FORCED = "tables without forced row-level security"
CANONICAL = "tables without the canonical policy"
BESIDE = "permissive policies beside the canonical one"
OTHER_ROLE = "policies for another role than the one they name"
UNIQUE = "unique keys without the tenant"
FOREIGN = "foreign keys that do not pair the tenants"
VIEWS = "views that read as their owner"
SERVICES = "services that may too much or own something"
DEFINERS = "definer functions whose search path is not pinned"
VERBS = "rights to truncate, to refer or to add triggers"
LEAKPROOF = "indexes on what is not leakproof"
HIDDEN = "tables whose rows are hidden from migrations"
OWNED = "tables that migrations do not own"
PARTITIONS = "rights on partitions"
DEFAULTS = "default rights for others than the operator"
EVERYBODY = "rights of everybody"
CREATE = "schemas in which a service may create"
FUNCTIONS = "functions that a role need not call"
KINDS = "triggers, rules and relations of other kinds"
RIGHTS = "rights beyond the tables of rights"

# A name of the fault; what plants it; the checks that must turn red, each with what it names.
PLANTED: dict[str, tuple[str, dict[str, list[str]]]] = {
    "a missing policy": ("drop policy tenant on app.invoice", {CANONICAL: ["app.invoice"]}),
    "a policy that is always true as well": (
        f"alter policy tenant on app.invoice using ({POLICY} or true)",
        {CANONICAL: ["app.invoice"], BESIDE: ["app.invoice.tenant"]},
    ),
    "a second permissive policy": (
        "create policy extra on app.invoice for select to relance_app using (true)",
        {BESIDE: ["app.invoice.extra"], OTHER_ROLE: ["app.invoice.extra"]},
    ),
    "a policy that lets everything be written": (
        "create policy extra on app.invoice for insert to relance_app with check (true)",
        {BESIDE: ["app.invoice.extra"], OTHER_ROLE: ["app.invoice.extra"]},
    ),
    "a policy of the pump for everybody": (
        "alter policy relance_pump on app.event to public",
        {OTHER_ROLE: ["app.event.relance_pump"]},
    ),
    "a policy of the owner for the application": (
        "alter policy owner on app.debtor to relance_app",
        {BESIDE: ["app.debtor.owner"], OTHER_ROLE: ["app.debtor.owner"], HIDDEN: ["app.debtor"]},
    ),
    "row-level security switched off": (
        "alter table app.debtor disable row level security",
        {FORCED: ["app.debtor"]},
    ),
    "row-level security not forced": (
        "alter table app.debtor no force row level security",
        {FORCED: ["app.debtor"]},
    ),
    "a new table without any": (
        "set local role relance_owner; create table app.forgotten (tenant_id uuid primary key)",
        {FORCED: ["app.forgotten"], CANONICAL: ["app.forgotten"], HIDDEN: ["app.forgotten"]},
    ),
    "a single-column foreign key": (
        f"{PARENT_AND_CHILD}; {COPIED.format('parent')}; {COPIED.format('child')}",
        {FOREIGN: ["app.child.fk_child"], UNIQUE: ["app.parent_pkey"]},
    ),
    "a global unique": ("create unique index planted on app.debtor (name)", {UNIQUE: ["app.planted"]}),
    "a global unique that only carries the tenant along": (
        "create unique index planted on app.debtor (name) include (tenant_id)",
        {UNIQUE: ["app.planted"]},
    ),
    "an index that row-level security cannot use": (
        "alter table app.debtor add column score numeric; create index planted on app.debtor (tenant_id, score)",
        {LEAKPROOF: ["app.planted"]},
    ),
    "an index on a function that is not leakproof": (
        "create index planted on app.debtor (tenant_id, lower(name))",
        {LEAKPROOF: ["app.planted"]},
    ),
    "rows hidden from migrations": ("drop policy owner on app.instalment", {HIDDEN: ["app.instalment"]}),
    "rows hidden from migrations in one partition": (
        "drop policy owner on app.event_default",
        {HIDDEN: ["app.event_default"]},
    ),
    "a view that reads as its owner": (
        "set local role relance_owner; create view app.planted as select * from app.invoice",
        {VIEWS: ["app.planted"]},
    ),
    "a materialised view that the application reads": (
        MATERIALISED,
        {VIEWS: ["app.planted"]},
    ),
    "a service that bypasses row-level security": (
        "alter role relance_pump bypassrls",
        {SERVICES: ["relance_pump bypasses row-level security"]},
    ),
    "a service that owns a table": (
        "alter table app.policy owner to relance_app",
        {
            SERVICES: ["relance_app owns table app.policy"],
            OWNED: ["app.policy"],
            VERBS: ["app.policy relance_app"],
        },
    ),
    "a service that belongs to another role": (
        "grant relance_directory to relance_app",
        {SERVICES: ["relance_app is a member of relance_directory"]},
    ),
    "the right to truncate": (
        "grant all on app.invoice to relance_app",
        {VERBS: ["app.invoice relance_app"]},
    ),
    "the right to refer": (
        "grant references (id) on app.invoice to relance_app",
        {VERBS: ["app.invoice relance_app"]},
    ),
    "an unpinned definer": (
        "alter function app.find_tenant(text) reset search_path",
        {DEFINERS: ["app.find_tenant(text)"]},
    ),
    "a definer that the pump may call": (
        "grant execute on function app.find_tenant(text) to relance_pump",
        {FUNCTIONS: ["app.find_tenant(text) relance_pump"]},
    ),
    "a partition with a grant": (
        "grant select on app.event_default to relance_app",
        {PARTITIONS: ["app.event_default relance_app"]},
    ),
    "a partition with a column granted": (
        "grant select (payload) on app.event_default to relance_dispatcher",
        {PARTITIONS: ["app.event_default relance_dispatcher"]},
    ),
    "a sequence": ("set local role relance_owner; create sequence app.planted", {"sequences": ["app.planted"]}),
    "a default right": (
        "alter default privileges for role relance_owner in schema app grant select on tables to relance_app",
        {DEFAULTS: ["r relance_app SELECT"]},
    ),
    "a large object": ("select lo_create(4242)", {"large objects": ["large object 4242"]}),
    "a table for everybody": (
        "grant select on app.invoice to public",
        {
            EVERYBODY: ["app.invoice SELECT"],
            RIGHTS: [f"relance_{role} select app.invoice.*" for role in ("directory", "dispatcher", "pump")],
        },
    ),
    "a service that may create tables": (
        "grant create on schema app to relance_app",
        {CREATE: ["app relance_app"]},
    ),
    "a trigger": (
        TRIGGER,
        {KINDS: ["app.invoice trigger planted"]},
    ),
    "a rule": (
        "create rule planted as on delete to app.invoice do instead nothing",
        {KINDS: ["app.invoice rule planted"]},
    ),
    "a body for the dispatcher": (
        "grant select (code) on app.message to relance_dispatcher",
        {RIGHTS: ["relance_dispatcher select app.message.code"]},
    ),
    "a debtor for the pump": (
        "grant select on app.debtor to relance_pump",
        {RIGHTS: ["relance_pump select app.debtor.*"]},
    ),
    "a global table for the application": (
        "grant select on app.tenant_slug to relance_app",
        {RIGHTS: ["relance_app select app.tenant_slug.*"]},
    ),
    "a history that can be rewritten": (
        "grant update (payload) on app.event to relance_app",
        {RIGHTS: ["relance_app update app.event.payload"]},
    ),
}


async def test_the_migrated_database_has_no_fault(database: Database) -> None:
    async with database.engine("owner").connect() as connection:
        assert await faults(connection) == {}


@pytest.mark.parametrize("check", [check for check in CHECKS if check.allow], ids=lambda check: check.name)
async def test_what_is_allowed_is_there(check: Check, database: Database) -> None:
    async with database.engine("owner").connect() as connection:
        found = await objects(connection, check)
    assert set(check.allow) <= set(found)  # an exemption that nothing needs hides the next fault of that name


@pytest.mark.parametrize("fault", PLANTED)
async def test_a_planted_fault_turns_its_check_red(fault: str, database: Database) -> None:
    statements, expected = PLANTED[fault]
    async with database.engine("owner").connect() as connection:
        await plant(connection, statements)
        assert await faults(connection) == expected


def test_every_check_has_a_fault_that_turns_it_red(server: object) -> None:
    assert {name for _, expected in PLANTED.values() for name in expected} == {check.name for check in CHECKS}


async def plant(connection: AsyncConnection, statements: str) -> None:
    """Run some statements as the superuser or the owner; the caller's transaction is never committed."""
    for statement in statements.split("; "):
        await connection.exec_driver_sql(statement)
    await connection.exec_driver_sql("reset role")
