from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.schema import metadata
from kernel import ids
from kernel.clock import system_now
from storage.database import Database
from storage.events import EventRow
from storage.migrating import maintain
from storage.partitions import AHEAD_MONTHS, PARTITIONED, bounds, ensure_partitions, month_after, stray_rows
from storage.roles import OWNER
from support.catalogue import faults
from support.marks import both_servers
from support.samples import sample
from support.tenants import CAUSE

pytestmark = both_servers

EVENT = metadata.tables["app.event"]
MONTH = text("select tableoid::regclass::text from app.event where id = :id limit 2")


def id_at(instant: datetime) -> UUID:
    return UUID(int=ids.first_id_of(int(instant.timestamp() * 1000)).int + 1)


async def keep_event(connection: AsyncConnection, event_id: UUID) -> str:
    """Write an event as the superuser, and say in which partition it lies."""
    await connection.execute(insert(EVENT).values(sample(EVENT, ids.new_id(), event_id)))
    return str((await connection.execute(MONTH, {"id": event_id})).scalar_one())


@pytest.mark.parametrize(
    ("month", "low", "beyond"),
    [
        ((2026, 2), datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ((2026, 12), datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ((2028, 2), datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_month_reaches_from_its_first_to_the_next(
    server: object, month: tuple[int, int], low: datetime, beyond: datetime
) -> None:
    first, last = (UUID(bound) for bound in bounds(*month))
    tick = timedelta(milliseconds=1)
    assert first < id_at(low) < last
    assert id_at(low - tick) < first
    assert first < id_at(beyond - tick) < last
    assert last < id_at(beyond)


@pytest.mark.parametrize(("months", "expected"), [(0, (2026, 11)), (1, (2026, 12)), (2, (2027, 1)), (14, (2028, 1))])
def test_months_are_counted_over_the_year_end(server: object, months: int, expected: tuple[int, int]) -> None:
    assert month_after(2026, 11, months) == expected


async def test_an_event_lies_in_the_month_of_its_id(database: Database) -> None:
    today = system_now()
    async with database.engine("owner").connect() as connection:
        assert await keep_event(connection, ids.new_id()) == f"app.event_{today:%Y_%m}"
        year, month = month_after(today.year, today.month, AHEAD_MONTHS)
        assert (
            await keep_event(connection, id_at(datetime(year, month, 28, tzinfo=UTC))) == f"app.event_{year}_{month:02}"
        )
        year, month = month_after(today.year, today.month, AHEAD_MONTHS + 1)
        assert await keep_event(connection, id_at(datetime(year, month, 1, tzinfo=UTC))) == "app.event_default"
        assert await keep_event(connection, id_at(datetime(2020, 1, 1, tzinfo=UTC))) == "app.event_default"


def ensure_as_owner(connection: Connection, today: datetime) -> list[str]:
    connection.exec_driver_sql(f"set local role {OWNER}")
    made = ensure_partitions(connection, today)
    connection.exec_driver_sql("reset role")
    return made


async def test_the_months_ahead_are_made_protected_and_once(database: Database) -> None:
    later = system_now() + timedelta(days=45)
    year, month = month_after(later.year, later.month, AHEAD_MONTHS)
    async with database.engine("owner").connect() as connection:
        made = await connection.run_sync(ensure_as_owner, later)
        assert f"event_{year}_{month:02}" in made
        assert {name.rsplit("_", 2)[0] for name in made} == set(PARTITIONED)
        assert await connection.run_sync(ensure_as_owner, later) == []
        assert await faults(connection) == {}


async def test_maintain_finds_nothing_to_do_after_migrate(database: Database) -> None:
    assert database.urls.owner is not None
    assert await maintain(database.urls.owner) == ([], {}, {})


async def test_stray_rows_are_told_and_keep_only_their_month_from_being_made(database: Database) -> None:
    later = system_now() + timedelta(days=45)
    year, month = month_after(later.year, later.month, AHEAD_MONTHS)
    async with database.engine("owner").connect() as connection:
        await keep_event(connection, id_at(datetime(year, month, 2, tzinfo=UTC)))
        made = await connection.run_sync(ensure_as_owner, later)
        strays = await connection.run_sync(stray_rows)
    assert strays == {"event": 1}
    assert f"event_{year}_{month:02}" not in made
    assert f"message_{year}_{month:02}" in made


async def test_a_row_is_found_whatever_partition_holds_it(database: Database, tenant_id: UUID) -> None:
    far = id_at(datetime(2099, 1, 1, tzinfo=UTC))
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(insert(EVENT).values(sample(EVENT, tenant_id, far)))
    async with database.tenant(tenant_id, CAUSE) as session:
        assert (await session.execute(select(EventRow.id).where(EventRow.id == far))).scalar_one() == far
