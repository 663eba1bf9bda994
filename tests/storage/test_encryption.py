import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from kernel import ids
from storage.database import Database
from storage.encryption import DataKey, LocalKeyProvider, SealBroken, destroy_keys, place_of
from support.tenants import CAUSE

PLACE = place_of(UUID(int=1), "probe", UUID(int=2))


async def test_a_key_is_made_once_and_read_afterwards(database: Database, tenant_id: UUID) -> None:
    subject = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        sealed = (await database.keys.current(session, [subject]))[subject].seal(b"secret", PLACE)
    async with database.tenant(tenant_id, CAUSE) as session:
        again = (await database.keys.current(session, [subject, subject]))[subject]
        count = await session.execute(select(func.count()).select_from(DataKey).where(DataKey.subject_id == subject))
        assert (again.open(sealed, PLACE), count.scalar_one()) == (b"secret", 1)


async def test_keys_made_at_once_both_open(database: Database, tenant_id: UUID) -> None:
    subject = ids.new_id()

    async def seal(content: bytes) -> tuple[bytes, int]:
        async with database.tenant(tenant_id, CAUSE) as session:
            key = (await database.keys.current(session, [subject]))[subject]
            return key.seal(content, PLACE), key.version

    sealed = await asyncio.gather(*(seal(content) for content in (b"one", b"two", b"three")))
    async with database.tenant(tenant_id, CAUSE) as session:
        keys = await database.keys.of_versions(session, [(tenant_id, subject, version) for _, version in sealed])
    opened = [keys[tenant_id, subject, version].open(content, PLACE) for content, version in sealed]
    assert opened == [b"one", b"two", b"three"]


async def test_a_destroyed_key_is_gone_for_those_who_knew_it(database: Database, tenant_id: UUID) -> None:
    destroyed, kept = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        keys = await database.keys.current(session, [destroyed, kept])
        wanted = [(tenant_id, subject, keys[subject].version) for subject in (destroyed, kept)]
        sealed = keys[destroyed].seal(b"secret", PLACE)
    async with database.tenant(tenant_id, CAUSE) as session:
        await destroy_keys(session, [destroyed])
    async with database.tenant(tenant_id, CAUSE) as session:
        assert set(await database.keys.of_versions(session, wanted)) == {wanted[1]}
        anew = (await database.keys.current(session, [destroyed]))[destroyed]
    assert anew.version != wanted[0][2]
    with pytest.raises(SealBroken):
        anew.open(sealed, PLACE)


async def test_a_key_of_another_tenant_is_neither_read_nor_destroyed(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    subject = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        wanted = (tenant_id, subject, (await database.keys.current(session, [subject]))[subject].version)
    async with database.tenant(other_tenant_id, CAUSE) as session:
        assert await database.keys.of_versions(session, [wanted]) == {}
        await destroy_keys(session, [subject])
    async with database.tenant(tenant_id, CAUSE) as session:
        assert set(await database.keys.of_versions(session, [wanted])) == {wanted}


async def test_a_wrapped_key_cannot_be_moved(database: Database, tenant_id: UUID) -> None:
    """A ring that has opened it where it belongs must not open it elsewhere from memory."""
    one, two = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        await database.keys.current(session, [one, two])
    async with database.engine("owner").begin() as connection:
        await connection.execute(
            text(
                "update app.data_key x set wrapped = y.wrapped from app.data_key y"
                " where x.subject_id = :one and y.subject_id = :two"
            ),
            {"one": one, "two": two},
        )
    async with database.tenant(tenant_id, CAUSE) as session:
        await database.keys.current(session, [two])
        with pytest.raises(SealBroken):
            await database.keys.current(session, [one])


def test_a_seal_belongs_to_its_place(tmp_path: Path) -> None:
    provider = LocalKeyProvider(tmp_path / "kek")
    wrapped = provider.wrap(b"k" * 32, b"here")
    assert provider.unwrap(wrapped, b"here") == b"k" * 32
    for broken, place in ((wrapped, b"there"), (wrapped[:-1] + b"!", b"here"), (b"short", b"here")):
        with pytest.raises(SealBroken):
            provider.unwrap(broken, place)


def test_the_key_file_is_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    wrapped = LocalKeyProvider(path).wrap(b"k" * 32, b"")
    assert path.stat().st_mode & 0o777 == 0o600
    assert LocalKeyProvider(path).unwrap(wrapped, b"") == b"k" * 32
    path.write_bytes(b"half a key")
    with pytest.raises(ValueError, match="restore it from your backup"):
        LocalKeyProvider(path)


def test_a_derived_secret_is_stable_and_one_of_its_purpose(tmp_path: Path) -> None:
    provider, other = LocalKeyProvider(tmp_path / "kek"), LocalKeyProvider(tmp_path / "other")
    assert provider.derive("links") == provider.derive("links")
    assert len({provider.derive("links"), provider.derive("cursors"), other.derive("links")}) == 3
