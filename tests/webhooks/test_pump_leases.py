"""Leases: what a dead pump held is delivered by another, a living one keeps it, and none is lost."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from kernel import ids
from runtime.http import Http
from storage.database import Database, Urls
from storage.queues import LEASE
from support.marks import both_servers
from support.receivers import Receiver, hang, status
from support.tenants import make_tenant
from support.webhooks import change, fan_out_all, key_of, make_endpoint, make_events, rows, states
from webhooks import claiming, recording
from webhooks.claiming import NOBODY, Leased
from webhooks.pumping import PumpLimits, deliver, open_pump
from webhooks.recording import Ended
from webhooks.rota import Turn
from webhooks.schedule import judge
from webhooks.sending import Attempted

pytestmark = both_servers
EXPIRE = "update app.delivery set lease_until = clock_timestamp() - interval '1 s' where state = 'leased'"


@pytest.fixture
async def waiting(database: Database, receiver: Receiver, tenant_id: UUID) -> UUID:
    """An endpoint at the receiver for which five deliveries wait."""
    made = await make_endpoint(database, tenant_id, receiver.url())
    receiver.secret = made.secret
    await make_events(database, tenant_id, 5)
    await fan_out_all(database)
    return key_of(made)


async def claim(database: Database, tenant_id: UUID, endpoint_id: UUID, count: int = 10) -> list[Leased]:
    async with database.pump() as session:
        return (await claiming.claim(session, [Turn(tenant_id, endpoint_id, count)], lease=LEASE)).leased


def answered(leased: Leased, code: int) -> Ended:
    attempted = Attempted(
        delivery_id=leased.id,
        tenant_id=leased.tenant_id,
        endpoint_id=leased.endpoint_id,
        fence=leased.fence,
        started_at=leased.event.occurred_at,
        duration_ms=1,
        status=code,
        error=None,
        detail="",
        response_head=b"",
        verdict=judge(code, {}),
        retry_after_s=None,
    )
    return Ended(leased, attempted, ids.new_id())


async def test_what_is_held_is_not_delivered_by_another(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    held = await claim(database, tenant_id, waiting, 2)
    assert [leased.fence for leased in held] == [1, 1]
    assert await deliver(database, http) == 3
    assert (await states(database, tenant_id), len(receiver.accepted)) == ({"leased": 2, "delivered": 3}, 3)


async def test_what_a_dead_pump_held_is_delivered(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    await claim(database, tenant_id, waiting)
    assert await deliver(database, http) == 0
    await change(database, EXPIRE)
    assert await deliver(database, http) == 5
    assert (await states(database, tenant_id), receiver.duplicates()) == ({"delivered": 5}, [])
    found = await rows(database, "select attempts, fence from app.delivery limit 10")
    assert {(row.attempts, row.fence) for row in found} == {(1, 2)}  # the dead one used up no try


async def test_a_result_that_comes_too_late_changes_nothing(
    database: Database, http: Http, tenant_id: UUID, waiting: UUID
) -> None:
    held = await claim(database, tenant_id, waiting)
    await change(database, EXPIRE)
    await deliver(database, http)
    async with database.pump() as session:
        await recording.record(session, [answered(leased, 500) for leased in held])
        await claiming.give_back(session, held)
        await claiming.renew(session, held, lease=LEASE)
    assert await states(database, tenant_id) == {"delivered": 5}
    kept = await rows(database, "select fence, status, count(*) from app.delivery_attempt group by 1, 2 limit 9")
    assert sorted(kept) == [(1, 500, 5), (2, 204, 5)]  # but it was made, and the log says so


async def test_a_result_recorded_twice_is_kept_once(database: Database, tenant_id: UUID, waiting: UUID) -> None:
    batch = [answered(leased, 204) for leased in await claim(database, tenant_id, waiting)]
    for _ in range(2):
        async with database.pump() as session:
            await recording.record(session, batch)
    assert await states(database, tenant_id) == {"delivered": 5}
    assert await rows(database, "select count(*) from app.delivery_attempt") == [(5,)]


async def test_given_back_costs_no_try(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    held = await claim(database, tenant_id, waiting)
    async with database.pump() as session:
        await claiming.give_back(session, held)
    assert await states(database, tenant_id) == {"pending": 5}
    assert await deliver(database, http) == 5
    assert {(row.attempts) for row in await rows(database, "select attempts from app.delivery limit 9")} == {1}
    assert len(receiver.accepted) == 5


async def test_leases_are_renewed_while_an_answer_is_awaited(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    receiver.always("/hook", hang())
    lease = timedelta(seconds=0.3)
    with anyio.fail_after(20):
        async with open_pump(database, http, lease=lease) as pump:
            await pump.round()
            await receiver.until_received(1)
            (first,) = await leases(database)
            while (await leases(database)) == {first} or not pump.busy:  # until each was renewed once and again
                await pump.round()
            (second,) = await leases(database)
            async with database.pump() as session:
                assert await claiming.sweep(session) == 0
            assert second > first
            receiver.released.set()
            while pump.busy:
                await pump.round()
    assert await states(database, tenant_id) == {"delivered": 5}
    assert await rows(database, "select max(fence) from app.delivery") == [(1,)]


async def leases(database: Database) -> set[datetime]:
    found = await rows(
        database, "select max(lease_until) from app.delivery where state = 'leased' group by endpoint_id limit 9"
    )
    return {row[0] for row in found}


async def test_a_pump_that_stops_gives_back_what_it_holds(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    receiver.always("/hook", hang())
    async with open_pump(database, http, limits=PumpLimits(finish_within_s=0)) as pump:
        await pump.round()
        await receiver.until_received(1)
    assert await states(database, tenant_id) == {"pending": 5}
    receiver.always("/hook", status(204))
    assert await deliver(database, http) == 5
    assert {row.attempts for row in await rows(database, "select attempts from app.delivery limit 9")} == {1}


async def test_a_pump_that_stops_waits_for_what_is_nearly_done(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    async with open_pump(database, http) as pump:
        await pump.round()
    assert await states(database, tenant_id) == {"delivered": 5}


async def test_two_pumps_at_once_deliver_each_once(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    tenants = [tenant_id, *[await make_tenant(database) for _ in range(3)]]
    for tenant in tenants:
        await make_endpoint(database, tenant, receiver.url())
        await make_events(database, tenant, 100)
    await fan_out_all(database)
    made = await asyncio.gather(*[deliver(database, http) for _ in range(2)])
    assert sum(made) == 400
    assert {tuple(await_.items()) for await_ in [await states(database, tenant) for tenant in tenants]} == {
        (("delivered", 100),)
    }
    assert len({request.webhook_id for request in receiver.received}) == len(receiver.received) == 400


async def test_killed_again_and_again_it_loses_none(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    """A kill is a pump whose tasks end where they stand, and whose leases then run out."""
    made = await make_endpoint(database, tenant_id, receiver.url())
    receiver.secret = made.secret
    await make_events(database, tenant_id, 300)
    await fan_out_all(database)
    held_at_most = 0
    for steps in range(5, 200, 15):
        limits = PumpLimits(finish_within_s=0)
        task = asyncio.ensure_future(run_forever(database, http, limits))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        held_at_most += limits.per_endpoint
        await change(database, EXPIRE)
    await deliver(database, http)
    assert await states(database, tenant_id) == {"delivered": 300}
    assert len({request.webhook_id for request in receiver.accepted}) == 300
    assert len(receiver.received) - 300 <= held_at_most


async def run_forever(database: Database, http: Http, limits: PumpLimits) -> None:
    async with open_pump(database, http, limits=limits) as pump:
        while True:
            await pump.round()


async def test_a_scan_steps_from_endpoint_to_endpoint(database: Database, tenant_id: UUID) -> None:
    made = sorted([key_of(await make_endpoint(database, tenant_id)) for _ in range(3)])
    await make_events(database, tenant_id, 4)
    await fan_out_all(database)
    await change(
        database,
        "update app.delivery set run_at = clock_timestamp() + interval '1 h' where endpoint_id = :e",
        e=made[1],
    )
    async with database.pump() as session:
        first = await claiming.scan(session, (NOBODY, NOBODY), limit=2)
        rest = await claiming.scan(session, (first[-1].tenant_id, first[-1].endpoint_id), limit=2)
    assert [(each.endpoint_id, each.is_due) for each in (*first, *rest)] == [
        (made[0], True),
        (made[1], False),
        (made[2], True),
    ]


async def test_a_lost_database_loses_no_result(
    database: Database, database_urls: Urls, http: Http, receiver: Receiver, tenant_id: UUID, waiting: UUID
) -> None:
    """What was answered is kept until it can be recorded: the receiver sees nothing twice."""
    receiver.always("/hook", hang())
    with anyio.fail_after(30):
        async with open_pump(database, http) as pump:
            await pump.round()
            await receiver.until_received(2)
            await disconnect_pumps(database_urls)
            receiver.released.set()
            failures = 0
            while pump.busy:
                try:
                    await pump.round()
                except DBAPIError:
                    failures += 1
    assert failures > 0
    assert await states(database, tenant_id) == {"delivered": 5}
    assert len(receiver.received) == 5


async def disconnect_pumps(urls: Urls) -> None:
    assert urls.owner is not None
    engine = create_async_engine(urls.owner)
    async with engine.connect() as connection:
        await connection.execute(
            text(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and usename = 'relance_pump' limit 100"
            )
        )
    await engine.dispose()
