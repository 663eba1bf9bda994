"""Content goes when its class says so, and its own key with it; a debtor's key stays."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from kernel import ids
from storage.blobs import PostgresBlobs
from storage.database import Database
from storage.retention import KEPT, expire
from support.receivables import at_work, make_debtor

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_what_is_past_its_time_goes_with_its_key(database: Database, tenant_id: UUID) -> None:
    blobs = PostgresBlobs(database.keys)
    async with at_work(database, tenant_id) as session:
        debtor_id = ids.decode("dbt", (await make_debtor(session)).id)
        old = await blobs.put(session, content=b"old", kind="export", retention="raw_export")
        new = await blobs.put(session, content=b"new", kind="export", retention="raw_export")
        document = await blobs.put(session, content=b"doc", kind="e_invoice", retention="raw_document")
        theirs = await blobs.put(session, content=b"x", kind="x", retention="upload", subject_id=debtor_id)
        logo = await blobs.put(session, content=b"logo", kind="image/png", retention="logo")
    now = LONG_AGO + KEPT["raw_export"] + timedelta(days=1)
    async with database.engine("owner").begin() as connection:
        aged = text("update app.blob set recorded_at = :at where id = any(cast(:ids as uuid[]))")
        wanted = [old.id, document.id, theirs.id, logo.id]
        await connection.execute(aged, {"at": LONG_AGO, "ids": wanted})
        assert await connection.run_sync(expire, now) == {"raw_export": 1, "upload": 1}
        assert await connection.run_sync(expire, now) == {}
        left = set((await connection.execute(text("select id from app.blob"))).scalars())
        keys = set((await connection.execute(text("select subject_id from app.data_key"))).scalars())
    assert left == {new.id, document.id, logo.id}
    assert debtor_id in keys
    assert old.id not in keys
    assert {new.id, document.id, logo.id} <= keys
