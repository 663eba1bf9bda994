"""What a migration says for each table: row-level security, the one canonical policy, and who may do what.

The catalogue tests hold every table to this text; a table with another one turns the suite red.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

from storage.partitions import FEW_TENANTS
from storage.roles import ADMIN, APP, DIRECTORY, DISPATCHER, OWNER, PUMP

MINE: Final = "tenant_id = (select app.tenant_id())"


def prepare_schema() -> None:
    """The functions that policies and defaults use."""
    op.execute("""
create function app.tenant_id() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.tenant_id', true), '')::uuid $$
""")
    op.execute("""
create function app.shard_of(tenant uuid) returns smallint language sql immutable strict parallel safe
as $$ select (get_byte(uuid_send(tenant), 15) & 7)::smallint $$
""")


def enable_tenant_rls(table: str, *, app: str = "select, insert, update", partition: bool = False) -> None:
    """Force row-level security on a table with the canonical policy, and grant the application its verbs.

    A partition gets the policies and no grant: a policy of its parent does not apply when it is read by name.
    """
    op.execute(f"alter table app.{table} enable row level security")
    op.execute(f"alter table app.{table} force row level security")
    op.execute(f"create policy tenant on app.{table} for all to {APP} using ({MINE}) with check ({MINE})")
    op.execute(f"create policy owner on app.{table} for all to {OWNER} using (true) with check (true)")
    if not partition:
        op.execute(f"grant {app} on app.{table} to {APP}")


def open_to(role: str, table: str, *, select: Sequence[str] = (), update: Sequence[str] = (), also: str = "") -> None:
    """Let a cross-tenant role reach these columns of a table, by a policy and grants of its own.

    `also` names whole-table verbs (insert, delete) that the role needs besides.
    """
    op.execute(f"create policy {role} on app.{table} for all to {role} using (true) with check (true)")
    if select:
        op.execute(f"grant select ({', '.join(select)}) on app.{table} to {role}")
    if update:
        op.execute(f"grant update ({', '.join(update)}) on app.{table} to {role}")
    if also:
        op.execute(f"grant {also} on app.{table} to {role}")


QUEUE_COLUMNS: Final = ("tenant_id", "id", "state", "run_at", "lease_until", "fence", "attempts", "shard")
QUEUE_UPDATES: Final = ("state", "run_at", "lease_until", "fence", "attempts")


def open_queue(table: str, *, extra: Sequence[str] = ()) -> None:
    """Let the dispatcher claim and sweep a queue table: its queue columns, never a body or a debtor."""
    open_to(DISPATCHER, table, select=(*QUEUE_COLUMNS, *extra), update=QUEUE_UPDATES)
    expect_backlogs(table)


def expect_backlogs(table: str) -> None:
    """Tell the planner that one tenant's rows are many in a queue, whatever its statistics say.

    They are gathered in quiet hours as often as not, when each row was of another tenant: a claim would then look for
    each of its rows by the tenant alone, and a sudden backlog cost its square until the next analysis.
    """
    op.execute(f"alter table app.{table} alter column tenant_id set ({FEW_TENANTS})")


def definer(signature: str, body: str, *, returns: str, to: str = APP, volatile: bool = False) -> None:
    """A narrow look-up across tenants, owned by the directory role, its search path pinned."""
    kind = "volatile" if volatile else "stable"
    op.execute(
        f"create function app.{signature} returns {returns} language sql {kind} security definer"
        f" set search_path = pg_catalog, pg_temp as $$ {body} $$"
    )
    name = signature.split("(", maxsplit=1)[0]
    op.execute(f"revoke all on function app.{name} from public")
    op.execute(f"grant execute on function app.{name} to {to}")
    op.execute(f"alter function app.{name} owner to {DIRECTORY}")


__all__ = [
    "ADMIN",
    "APP",
    "DIRECTORY",
    "DISPATCHER",
    "OWNER",
    "PUMP",
    "definer",
    "enable_tenant_rls",
    "expect_backlogs",
    "open_queue",
    "open_to",
    "prepare_schema",
]
