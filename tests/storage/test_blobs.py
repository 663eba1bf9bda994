import hashlib
from uuid import UUID

import pytest
from sqlalchemy import select

from kernel import ids
from kernel.errors import NotFound
from storage.blobs import MAX_BYTES, BlobRow, BlobTooLarge, PostgresBlobs
from storage.database import Database
from storage.encryption import destroy_keys
from support.tenants import CAUSE

CONTENT = b"%PDF-1.7 \x00 Ada Lovelace"


async def test_a_blob_comes_back_and_lies_sealed(database: Database, tenant_id: UUID) -> None:
    blobs = PostgresBlobs(database.keys)
    async with database.tenant(tenant_id, CAUSE) as session:
        ref = await blobs.put(session, content=CONTENT, kind="invoice", retention="evidence")
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await blobs.get(session, ref.id) == CONTENT
        row = (await session.execute(select(BlobRow).limit(2))).scalar_one()
    assert (ref.size, ref.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).digest())
    assert b"Ada" not in row.sealed
    assert (row.subject_id, row.kind, row.retention) == (ref.id, "invoice", "evidence")


async def test_an_empty_blob_is_a_blob(database: Database, tenant_id: UUID) -> None:
    blobs = PostgresBlobs(database.keys)
    async with database.tenant(tenant_id, CAUSE) as session:
        ref = await blobs.put(session, content=b"", kind="upload", retention="short")
        assert (await blobs.get(session, ref.id), ref.size) == (b"", 0)


async def test_a_foreign_blob_is_like_no_blob(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    blobs = PostgresBlobs(database.keys)
    async with database.tenant(tenant_id, CAUSE) as session:
        ref = await blobs.put(session, content=CONTENT, kind="invoice", retention="evidence")
    async with database.tenant(other_tenant_id, CAUSE) as session:
        for blob_id in (ref.id, ids.new_id()):
            with pytest.raises(NotFound):
                await blobs.get(session, blob_id)


async def test_a_blob_goes_with_the_key_of_its_subject(database: Database, tenant_id: UUID) -> None:
    blobs, debtor = PostgresBlobs(database.keys), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        ref = await blobs.put(session, content=CONTENT, kind="message", retention="evidence", subject_id=debtor)
        assert await blobs.get(session, ref.id) == CONTENT
    async with database.tenant(tenant_id, CAUSE) as session:
        await destroy_keys(session, [debtor])
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(NotFound):
            await blobs.get(session, ref.id)


async def test_what_is_too_large_is_refused(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(BlobTooLarge):
            await PostgresBlobs(database.keys).put(
                session, content=bytes(MAX_BYTES + 1), kind="upload", retention="short"
            )
        assert (await session.execute(select(BlobRow.id).limit(1))).first() is None
