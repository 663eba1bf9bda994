"""Nobody waits for somebody else: not for a silent endpoint, a long backlog, a dead one, a big tenant."""

from uuid import UUID

import anyio

from runtime.http import Http
from storage.database import Database
from support.receivers import Receiver, hang, open_receiver
from support.tenants import make_tenant
from support.webhooks import change, fan_out_all, key_of, make_endpoint, make_events, rows, states
from webhooks.pumping import Pump, PumpLimits, deliver, open_pump


async def test_a_silent_endpoint_keeps_no_other_waiting(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    receiver.always("/silent", hang())
    await make_endpoint(database, tenant_id, receiver.url("/silent"))
    tenants = [await make_tenant(database) for _ in range(4)]
    for tenant in tenants:
        await make_endpoint(database, tenant, receiver.url())
        await make_events(database, tenant, 50)
    await make_endpoint(database, tenant_id, receiver.url())  # the silent one's neighbour in its own tenant
    await make_events(database, tenant_id, 50)
    await fan_out_all(database)
    with anyio.fail_after(30):
        async with open_pump(database, http, limits=PumpLimits(finish_within_s=0)) as pump:
            while (await rows(database, "select count(*) from app.delivery where state = 'delivered'")) != [(250,)]:
                await pump.round()
            silent = [request for request in receiver.received if request.path == "/silent"]
            assert 1 <= len(silent) <= 10  # none of which has been answered
    for tenant in tenants:
        assert await states(database, tenant) == {"delivered": 50}
    assert await states(database, tenant_id) == {"delivered": 50, "pending": 50}


async def test_a_dead_endpoint_s_backlog_does_not_stand_before_its_neighbour(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    async with open_receiver() as gone:
        closed = gone.url()
    dead = key_of(await make_endpoint(database, tenant_id, closed))
    await make_events(database, tenant_id, 2_000)
    await fan_out_all(database)
    await make_endpoint(database, tenant_id, receiver.url())
    await make_events(database, tenant_id, 5)
    await fan_out_all(database)
    await change(database, "update app.delivery set run_at = run_at - interval '1 day' where endpoint_id = :e", e=dead)
    async with open_pump(database, http, limits=PumpLimits(finish_within_s=0)) as pump:
        rounds = 0
        while len(receiver.received) < 5:
            rounds += 1
            await pump.round()
    assert rounds <= 5
    (tried,) = (await rows(database, "select count(*) from app.delivery_attempt where endpoint_id = :e", e=dead))[0]
    assert tried < 500


async def test_a_big_tenant_takes_its_turn(database: Database, http: Http, receiver: Receiver, tenant_id: UUID) -> None:
    for path in ("/big/1", "/big/2", "/big/3"):
        await make_endpoint(database, tenant_id, receiver.url(path))
    await make_events(database, tenant_id, 1_000)
    small = [await make_tenant(database) for _ in range(10)]
    for tenant in small:
        await make_endpoint(database, tenant, receiver.url("/small"))
        await make_events(database, tenant, 10)
    await fan_out_all(database)
    assert await deliver(database, http) == 3_100
    paths = [request.path for request in receiver.received]
    last_small = max(place for place, path in enumerate(paths) if path == "/small")
    assert last_small < 600  # of 3,100: in its order of arrival, the small ones' last would come at the end


async def test_a_slow_endpoint_gets_less_at_once_but_everything(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    """What a busy lane could not begin in time is given back and comes again."""
    receiver.plan("/slow", hang(), hang())
    await make_endpoint(database, tenant_id, receiver.url("/slow"))
    await make_events(database, tenant_id, 40)
    await fan_out_all(database)
    with anyio.fail_after(30):
        async with open_pump(database, http, limits=PumpLimits(pause_s=0.1)) as pump:
            while not await given_back(database):
                await pump.round()
            assert receiver.most_at_once["/slow"] <= 10
            receiver.released.set()
            while await states(database, tenant_id) != {"delivered": 40}:
                await pump.round()
    assert {row.attempts for row in await rows(database, "select attempts from app.delivery limit 50")} == {1}


async def given_back(database: Database) -> bool:
    found = await rows(database, "select 1 from app.delivery where state = 'pending' and fence > 0 limit 1")
    return bool(found)


async def test_news_end_the_wait_for_a_silent_endpoint(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    receiver.always("/silent", hang())
    await make_endpoint(database, tenant_id, receiver.url("/silent"))
    await make_events(database, tenant_id)
    await fan_out_all(database)
    patient = PumpLimits(results_within_s=60, scan_every_s=60, finish_within_s=0)
    with anyio.fail_after(10):  # less than the silent one's time limit
        async with open_pump(database, http, limits=patient) as pump, anyio.create_task_group() as group:
            group.start_soon(turn, pump)
            await receiver.until_received(1)
            await make_endpoint(database, tenant_id, receiver.url())
            await make_events(database, tenant_id)
            await fan_out_all(database)
            pump.wake()
            await receiver.until_received(3)  # the new event at both
            group.cancel_scope.cancel()
    assert {request.path for request in receiver.received} == {"/silent", "/hook"}


async def turn(pump: Pump) -> None:
    while True:
        await pump.round()
