"""Monthly partitions by the time inside a UUIDv7 id, three months ahead; a default partition catches the rest."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from kernel.ids import first_id_of
from storage.roles import APP, DISPATCHER, OWNER, PUMP

PARTITIONED: Final = ("event", "message", "decision", "delivery", "delivery_attempt")
AHEAD_MONTHS: Final = 3
FEW_TENANTS: Final = "n_distinct = 20, n_distinct_inherited = 20"  # of a column `tenant_id`: see `expect_backlogs`
_STRAY: Final = "select count(*) from (select 1 from app.{table}_default limit 1000) x"


def month_after(year: int, month: int, months: int) -> tuple[int, int]:
    """The month that lies `months` after one."""
    index = year * 12 + month - 1 + months
    return index // 12, index % 12 + 1


def bounds(year: int, month: int) -> tuple[str, str]:
    """The ids from which and up to which a month's partition reaches."""
    later = month_after(year, month, 1)
    start, end = (int(datetime(*ym, 1, tzinfo=UTC).timestamp()) * 1000 for ym in ((year, month), later))
    return str(first_id_of(start)), str(first_id_of(end))


def ensure_partitions(connection: Connection, today: datetime) -> list[str]:
    """Create what is missing of this month and the months ahead; returns the names of what was made.

    Runs as the owner. A row that lies in the default partition keeps its month from being made, and no other:
    `stray_rows` tells of it.
    """
    made: list[str] = []
    for table in PARTITIONED:
        made += _ensure(connection, table, f"{table}_default", "default")
        for ahead in range(AHEAD_MONTHS + 1):
            year, month = month_after(today.year, today.month, ahead)
            low, high = bounds(year, month)
            made += _ensure(connection, table, f"{table}_{year}_{month:02}", f"for values from ('{low}') to ('{high}')")
    return made


def stray_rows(connection: Connection) -> dict[str, int]:
    """Rows that no monthly partition took: an alarm, since their month can no longer be split off cheaply."""
    counts: dict[str, int] = {}
    for table in PARTITIONED:
        statement = text(_STRAY.replace("{table}", table))  # our own names
        counts[table] = int(connection.execute(statement).scalar_one())
    return {table: count for table, count in counts.items() if count}


def _ensure(connection: Connection, table: str, name: str, values: str) -> list[str]:
    known = connection.execute(
        text("select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace"
             " where n.nspname = 'app' and c.relname = :name"),
        {"name": name},
    ).first()  # fmt: skip
    if known is not None:
        return []
    mine = "tenant_id = (select app.tenant_id())"
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(
                f"create table app.{name} partition of app.{table} {values}"
            )  # allow: f-string-sql, because DDL takes no parameters and the names are ours
    except IntegrityError:  # a row of the default partition belongs here
        return []
    for statement in (
        f"alter table app.{name} enable row level security",
        f"alter table app.{name} force row level security",
        f"create policy tenant on app.{name} for all to {APP} using ({mine}) with check ({mine})",
        f"create policy owner on app.{name} for all to {OWNER} using (true) with check (true)",
        f"revoke all on app.{name} from {APP}, {DISPATCHER}, {PUMP}",
        f"alter table app.{name} alter column tenant_id set ({FEW_TENANTS})",
    ):
        connection.exec_driver_sql(statement)
    return [name]
