"""From events to deliveries: one for each endpoint and event, whatever is killed."""

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest

from storage.database import Database
from support.tenants import CAUSE, NOW
from support.webhooks import BACKFILL, fan_out_all, key_of, make_endpoint, make_events, rows, stamp
from webhooks import endpoints, fanning_out
from webhooks.fanning_out import fan_out


async def delivered_to(database: Database, endpoint_id: UUID) -> list[UUID]:
    """The objects of an endpoint's deliveries, in the order of the deliveries."""
    found = await rows(
        database,
        "select e.object_id from app.delivery d join app.event e on e.tenant_id = d.tenant_id and e.id = d.event_id"
        " where d.endpoint_id = :endpoint order by d.id limit 1000",
        endpoint=endpoint_id,
    )
    return [row.object_id for row in found]


async def test_each_event_gets_one_delivery_in_the_order_of_the_log(database: Database, tenant_id: UUID) -> None:
    first, second = [key_of(await make_endpoint(database, tenant_id)) for _ in range(2)]
    objects = await make_events(database, tenant_id, 5)
    await fan_out_all(database)
    assert await fan_out(database) == 0
    assert await delivered_to(database, first) == await delivered_to(database, second) == objects


async def test_globs_choose_and_the_position_passes_what_they_leave(database: Database, tenant_id: UUID) -> None:
    await stamp(database)
    other = key_of(await make_endpoint(database, tenant_id, types=("hold.*",)))
    every = key_of(await make_endpoint(database, tenant_id, types=("*",)))
    objects = await make_events(database, tenant_id, 2)
    await fan_out_all(database)
    assert await delivered_to(database, other) == []
    assert await delivered_to(database, every) == [other, every, *objects]  # its own creation is news as well
    positions = await rows(
        database,
        "select p.position = h.position as level from app.endpoint p join app.log_head h using (tenant_id) limit 9",
    )
    assert [row.level for row in positions] == [True, True]


async def test_backfill_only_where_it_is_asked_for(database: Database, tenant_id: UUID) -> None:
    plain = key_of(await make_endpoint(database, tenant_id))
    asking = key_of(await make_endpoint(database, tenant_id, include_backfill=True))
    old = await make_events(database, tenant_id, cause=BACKFILL)
    new = await make_events(database, tenant_id)
    await fan_out_all(database)
    assert await delivered_to(database, plain) == new
    assert await delivered_to(database, asking) == [*old, *new]


async def test_an_event_waits_for_its_number(database: Database, tenant_id: UUID) -> None:
    endpoint_id = key_of(await make_endpoint(database, tenant_id))
    await stamp(database)
    await fan_out_all(database)
    objects = await make_events(database, tenant_id, stamped=False)
    assert await fan_out(database) == 0
    await stamp(database)
    assert await fan_out(database) == 1
    assert await delivered_to(database, endpoint_id) == objects


async def test_no_event_crosses_tenants(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    mine = key_of(await make_endpoint(database, tenant_id))
    theirs = key_of(await make_endpoint(database, other_tenant_id))
    objects = await make_events(database, tenant_id, 3)
    await fan_out_all(database)
    assert (await delivered_to(database, mine), await delivered_to(database, theirs)) == (objects, [])


@pytest.mark.parametrize("catch_up", [True, False])
async def test_disabled_endpoint_gets_nothing_until_it_is_enabled(
    database: Database, tenant_id: UUID, *, catch_up: bool
) -> None:
    endpoint_id = key_of(await make_endpoint(database, tenant_id))
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.disable(session, endpoint_id, NOW)
    missed = await make_events(database, tenant_id, 2)
    assert await fan_out(database) == 0
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.enable(session, endpoint_id, NOW, catch_up=catch_up)
    later = await make_events(database, tenant_id, 1)
    await fan_out_all(database)
    assert await delivered_to(database, endpoint_id) == ([*missed, *later] if catch_up else later)


async def test_ping_goes_to_its_endpoint_alone(database: Database, tenant_id: UUID) -> None:
    pinged = key_of(await make_endpoint(database, tenant_id, types=("hold.*",)))
    await stamp(database)
    other = key_of(await make_endpoint(database, tenant_id, types=("hold.*", "webhook_endpoint.pinged")))
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.ping(session, pinged, NOW)
    await stamp(database)
    await fan_out_all(database)
    assert (await delivered_to(database, pinged), await delivered_to(database, other)) == ([pinged], [])


async def test_a_long_log_is_caught_up_in_pieces(
    database: Database, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanning_out, "BATCH_EVENTS", 0)
    monkeypatch.setattr(fanning_out, "MIN_EVENTS", 3)
    endpoint_id = key_of(await make_endpoint(database, tenant_id))
    await stamp(database)
    await fan_out_all(database)
    objects = await make_events(database, tenant_id, 7)
    assert [await fan_out(database) for _ in range(4)] == [3, 3, 1, 0]
    assert await delivered_to(database, endpoint_id) == objects


async def test_several_at_once_make_each_delivery_once(database: Database, tenant_id: UUID) -> None:
    made = [key_of(await make_endpoint(database, tenant_id)) for _ in range(4)]
    objects = await make_events(database, tenant_id, 20)
    await asyncio.gather(*[fan_out(database) for _ in range(4)])
    await fan_out_all(database)
    for endpoint_id in made:
        assert await delivered_to(database, endpoint_id) == objects


async def test_broken_off_anywhere_it_loses_and_repeats_nothing(database: Database, tenant_id: UUID) -> None:
    endpoint_id = key_of(await make_endpoint(database, tenant_id))
    objects: list[UUID] = []
    for steps in range(0, 60, 3):
        objects += await make_events(database, tenant_id, 2)
        task = asyncio.ensure_future(fan_out(database))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await fan_out_all(database)
    assert await delivered_to(database, endpoint_id) == objects
