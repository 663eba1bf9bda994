from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select, text

from kernel import ids
from storage.database import Database
from storage.encryption import SealBroken, destroy_keys
from storage.events import EventRow, Payload, cause_read, emit, of_types, payloads, publish, view_type
from storage.reactions import ReactionRow
from storage.registry import Registry
from storage.session import Cause, TenantSession
from support.probes import FIRST, SECOND, PlainView, ProbeChanged, ProbeIgnored, ProbeView, change
from support.tenants import CAUSE, NOW, make_tenant


async def events_of(session: TenantSession, object_id: UUID) -> list[EventRow]:
    query = select(EventRow).where(EventRow.object_id == object_id).order_by(EventRow.sequence).limit(100)
    return list((await session.execute(query)).scalars())


async def read_all(database: Database, tenant_id: UUID, object_id: UUID) -> list[Payload]:
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = await events_of(session, object_id)
        read = await payloads(session, database.keys, rows)
        return [read[row.id] for row in rows]


async def test_an_event_is_written_with_its_transaction(database: Database, tenant_id: UUID) -> None:
    probe, debtor = ids.new_id(), ids.new_id()
    cause = Cause(kind="api_key", id="key_1", request_id="req_1", backfill=True)
    async with database.tenant(tenant_id, cause) as session:
        change(session, probe, 3, debtor_id=debtor)
    async with database.tenant(tenant_id, CAUSE) as session:
        (row,) = await events_of(session, probe)
    assert (row.type, row.sequence, row.debtor_id, row.invoice_id) == ("probe.changed", 3, debtor, None)
    assert (row.occurred_at, row.backfill, cause_read(row)) == (NOW, True, cause)
    assert row.log_position is None  # the relay's to give


async def test_an_event_goes_with_its_transaction(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()

    async def fail() -> None:
        async with database.tenant(tenant_id, CAUSE) as session:
            change(session, probe)
            await publish(session)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await events_of(session, probe) == []
        assert (await session.execute(select(ReactionRow.id).limit(1))).first() is None


async def test_each_consumer_gets_a_reaction_of_its_own(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, probe, 7)
        emit(session, ProbeIgnored(PlainView(id=ids.encode("prb", probe), version=8), None, NOW))
    async with database.tenant(tenant_id, CAUSE) as session:
        changed, _ = await events_of(session, probe)
        rows = (await session.execute(select(ReactionRow).order_by(ReactionRow.consumer).limit(9))).scalars().all()
    assert [(row.consumer, row.event_id, row.object_id, row.sequence, row.state) for row in rows] == [
        (consumer, changed.id, probe, 7, "pending") for consumer in (FIRST, SECOND)
    ]
    assert all(row.shard == tenant_id.int % 8 for row in rows)  # what the worker's arithmetic expects


async def test_an_unsealed_registry_lets_nothing_be_emitted(database: Database, tenant_id: UUID) -> None:
    unfinished = Database(database.urls, database.keys.provider, Registry())
    async with unfinished.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(RuntimeError, match="not sealed"):
            change(session, ids.new_id())
    await unfinished.close()


async def test_a_prefixed_id_routes_the_event(database: Database, tenant_id: UUID) -> None:
    debtor, invoice = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        for prefix, object_id in (("dbt", debtor), ("inv", invoice)):
            emit(session, ProbeIgnored(PlainView(id=ids.encode(prefix, object_id), version=1), None, NOW))
        view = ProbeView(id=ids.encode("prb", debtor), version=2, colour="red", invoice_id=ids.encode("inv", invoice))
        emit(session, ProbeChanged(view, None, NOW))
    async with database.tenant(tenant_id, CAUSE) as session:
        of_debtor, of_probe = await events_of(session, debtor)
        (of_invoice,) = await events_of(session, invoice)
    assert (of_debtor.debtor_id, of_debtor.invoice_id) == (debtor, None)
    assert (of_invoice.debtor_id, of_invoice.invoice_id) == (None, invoice)
    assert (of_probe.debtor_id, of_probe.invoice_id) == (None, invoice)


async def test_what_changed_is_named(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        before = change(session, probe, 1, colour="red", name="Ada")
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, probe, 2, colour="blue", name="Eve", before=before)
    made, changed = await read_all(database, tenant_id, probe)
    assert made.previous == {}
    assert (changed.view["colour"], changed.previous) == ("blue", {"version": 1, "colour": "red", "name": "Ada"})


async def test_personal_fields_are_sealed(database: Database, tenant_id: UUID) -> None:
    probe, debtor = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        before = change(session, probe, 1, debtor_id=debtor, name="Ada Lovelace")
        change(session, probe, 2, debtor_id=debtor, name="Ada King", before=before)
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = await events_of(session, probe)
    for row in rows:
        assert row.subject_id == debtor
        assert b"Ada" not in (row.sealed or b"")
        assert "Ada" not in row.payload
        assert msgspec.json.decode(row.payload)["view"]["name"] is None
    assert msgspec.json.decode(rows[1].payload)["previous"] == {"version": 1, "name": None}
    made, changed = await read_all(database, tenant_id, probe)
    assert (made.view["name"], changed.view["name"], changed.previous["name"]) == (
        "Ada Lovelace", "Ada King", "Ada Lovelace",
    )  # fmt: skip


async def test_an_erased_debtor_is_erased_from_history(database: Database, tenant_id: UUID) -> None:
    probe, erased, kept = ids.new_id(), ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, probe, 1, debtor_id=erased, name="Ada")
        change(session, probe, 2, debtor_id=kept, name="Eve")
    await read_all(database, tenant_id, probe)  # the ring now knows both keys
    async with database.tenant(tenant_id, CAUSE) as session:
        await destroy_keys(session, [erased])
    gone, there = await read_all(database, tenant_id, probe)
    assert (gone.view["name"], gone.view["colour"], there.view["name"]) == (None, "red", "Eve")


async def test_what_is_sealed_after_an_erasure_does_not_break_what_was_before(
    database: Database, tenant_id: UUID
) -> None:
    probe, debtor = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, probe, 1, debtor_id=debtor, name="Ada")
    async with database.tenant(tenant_id, CAUSE) as session:
        await destroy_keys(session, [debtor])
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, probe, 2, debtor_id=debtor, name="erased")
    before, after = await read_all(database, tenant_id, probe)
    assert (before.view["name"], after.view["name"]) == (None, "erased")


async def test_a_ciphertext_cannot_be_moved_to_another_row(database: Database, tenant_id: UUID) -> None:
    probe, debtor = ids.new_id(), ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        change(session, probe, 1, debtor_id=debtor, name="Ada")
        change(session, probe, 2, debtor_id=debtor, name="Eve")
    async with database.engine("owner").begin() as connection:
        await connection.execute(
            text(
                "update app.event e set sealed = other.sealed from app.event other"
                " where e.object_id = :probe and other.object_id = :probe and e.sequence = 1 and other.sequence = 2"
            ),
            {"probe": probe},
        )
    with pytest.raises(SealBroken):
        await read_all(database, tenant_id, probe)


async def test_a_ciphertext_cannot_be_moved_to_another_tenant(database: Database, tenant_id: UUID) -> None:
    """Neither with its key, which is wrapped for its tenant, nor without."""
    probe, debtor = ids.new_id(), ids.new_id()
    other = await make_tenant(database)
    for owner, name in ((tenant_id, "Ada"), (other, "Eve")):
        async with database.tenant(owner, CAUSE) as session:
            change(session, probe, 1, debtor_id=debtor, name=name)
    moved = "update app.{0} x set {1} = y.{1} from app.{0} y where x.tenant_id = :other and y.tenant_id = :tenant and "
    values = {"other": other, "tenant": tenant_id, "probe": probe, "debtor": debtor}
    async with database.engine("owner").begin() as connection:
        sealed = moved.format("event", "sealed") + "x.object_id = :probe and y.object_id = :probe"
        await connection.execute(text(sealed), values)
    with pytest.raises(SealBroken):
        await read_all(database, other, probe)
    await read_all(database, tenant_id, probe)  # the ring knows the wrapped key now, and must not mistake it
    async with database.engine("owner").begin() as connection:
        wrapped = moved.format("data_key", "wrapped") + "x.subject_id = :debtor and y.subject_id = :debtor"
        await connection.execute(text(wrapped), values)
    with pytest.raises(SealBroken):
        await read_all(database, other, probe)


async def test_events_of_one_transaction_are_in_order(database: Database, tenant_id: UUID) -> None:
    probe = ids.new_id()
    async with database.tenant(tenant_id, CAUSE) as session:
        for version in range(1, 31):
            change(session, probe, version)
    async with database.tenant(tenant_id, CAUSE) as session:
        rows = await events_of(session, probe)
    assert rows == sorted(rows, key=lambda row: (row.recorded_at, row.id))
    assert rows[-1].recorded_at - rows[0].recorded_at < timedelta(seconds=30)


def test_a_view_and_a_type_are_known_by_the_class(probes: None) -> None:
    assert view_type(ProbeChanged) is ProbeView
    assert of_types(["probe.changed", "probe.unknown"]) == ["probe.unknown"]
