from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from casework.models import Task
from kernel import ids
from messaging.models import MessageKey
from storage.access_log import AccessRow
from storage.bulk import CHUNK, Rows, among, insert_rows, insert_tables
from storage.database import Database
from storage.encryption import DataKey
from support.tenants import CAUSE

COLUMNS = ("tenant_id", "key", "message_id")


async def test_rows_of_every_type_come_back(database: Database, tenant_id: UUID) -> None:
    at, subject = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        await insert_rows(
            session, DataKey, ("tenant_id", "subject_id", "version", "wrapped", "kek_id", "recorded_at"),
            [(tenant_id, subject, 2**62, b"\x00\xff", "k:é", at)],
        )  # fmt: skip
        await insert_rows(
            session, AccessRow, ("tenant_id", "id", "caller", "action", "outcome", "request_id"),
            [(tenant_id, subject, "a", "", "o'o", None), (tenant_id, ids.new_id(), "b", "{}", 'q"', "NULL")],
        )  # fmt: skip
    async with database.tenant(tenant_id, CAUSE) as session:
        key = (await session.execute(select(DataKey).where(DataKey.subject_id == subject))).scalar_one()
        rows = (await session.execute(select(AccessRow).order_by(AccessRow.caller).limit(9))).scalars().all()
    assert (key.version, key.wrapped, key.kek_id, key.recorded_at) == (2**62, b"\x00\xff", "k:é", at)
    assert [(row.action, row.outcome, row.request_id) for row in rows] == [("", "o'o", None), ("{}", 'q"', "NULL")]


async def test_a_type_of_our_own_is_written_as_it_is_kept(database: Database, tenant_id: UUID) -> None:
    """Dates, enumerations kept as text, and columns left to their defaults."""
    columns = ("tenant_id", "id", "kind", "subject_id", "title", "state", "known_at", "version")
    async with database.tenant(tenant_id, CAUSE) as session:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        row = (tenant_id, ids.new_id(), "probe", ids.new_id(), "t", "open", at, 1)
        await insert_rows(session, Task, columns, [row])
        task = (await session.execute(select(Task).limit(2))).scalar_one()
        assert (task.state, task.known_at, task.recorded_at.tzinfo is not None) == ("open", at, True)


async def test_many_rows_go_in_pieces(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = [(tenant_id, f"k{number}", ids.new_id()) for number in range(CHUNK + 1)]
        await insert_rows(session, MessageKey, COLUMNS, iter(rows))
        await insert_rows(session, MessageKey, COLUMNS, [])
        assert (await session.execute(select(func.count()).select_from(MessageKey))).scalar_one() == CHUNK + 1


async def test_a_conflict_is_an_error_unless_something_is_said(database: Database, tenant_id: UUID) -> None:
    first, second = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        await insert_rows(session, MessageKey, COLUMNS, [(tenant_id, "k", first)])
        await insert_rows(
            session, MessageKey, COLUMNS, [(tenant_id, "k", second)], on_conflict="on conflict do nothing"
        )
        assert (await session.execute(select(MessageKey.message_id))).scalar_one() == first
        with pytest.raises(IntegrityError):
            await insert_rows(session, MessageKey, COLUMNS, [(tenant_id, "k", second)])
        await session.rollback()


async def test_rows_of_another_tenant_are_refused(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = [(tenant_id, "mine", ids.new_id()), (ids.new_id(), "theirs", ids.new_id())]
        with pytest.raises(DBAPIError, match="row-level security"):
            await insert_rows(session, MessageKey, COLUMNS, rows)
        await session.rollback()
    async with database.tenant(tenant_id, CAUSE) as session:
        assert (await session.execute(select(MessageKey.key).limit(1))).first() is None


async def test_one_statement_asks_for_any_number_of_ids(database: Database, tenant_id: UUID) -> None:
    made = [ids.new_id() for _ in range(3)]
    async with database.tenant(tenant_id, CAUSE) as session:
        await insert_rows(session, MessageKey, COLUMNS, [(tenant_id, str(each), each) for each in made])
        for wanted in ([], made[:1], made, [*made, ids.new_id()]):
            found = await session.execute(select(MessageKey.message_id).where(among(MessageKey.message_id, wanted)))
            assert set(found.scalars()) == set(wanted) & set(made)


async def test_several_tables_in_one_statement(database: Database, tenant_id: UUID) -> None:
    """Whatever their number of rows: none, one, several, more than fit into one statement."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    accesses = ("tenant_id", "id", "caller", "action", "outcome", "request_id", "recorded_at")
    for number in (0, 1, 2, CHUNK + 1):
        keys = Rows(MessageKey, COLUMNS, [(tenant_id, f"{number}:{each}", ids.new_id()) for each in range(number)])
        one = Rows(AccessRow, accesses, [(tenant_id, ids.new_id(), "one", "a", f"after {number}", None, at)])
        async with database.tenant(tenant_id, CAUSE) as session:
            await insert_tables(session, keys, one)
    async with database.tenant(tenant_id, CAUSE) as session:
        assert (await session.execute(select(func.count()).select_from(MessageKey))).scalar_one() == CHUNK + 4
        rows = (await session.execute(select(AccessRow.outcome).order_by(AccessRow.id).limit(9))).scalars().all()
        assert rows == ["after 0", "after 1", "after 2", f"after {CHUNK + 1}"]
        with pytest.raises(IntegrityError):
            await insert_tables(session, Rows(MessageKey, COLUMNS, [(tenant_id, "1:0", ids.new_id())]), one)
