"""What a caller may see and do of deliveries: lists, attempts, retry, recovery."""

from datetime import timedelta
from uuid import UUID

import pytest

from kernel import ids
from kernel.clock import system_now
from runtime.http import Http
from storage.database import Database
from storage.jobs import JobContext
from support.receivers import Receiver, status
from support.tenants import CAUSE, NOW
from support.webhooks import change, fan_out_all, key_of, make_endpoint, make_events, rows, states
from webhooks import access, deliveries, endpoints, queries, recovery
from webhooks.errors import DeliveryNotFound, DeliveryUnderWay, EndpointNotEnabled, EndpointNotFound, SpanInvalid
from webhooks.models import DeliveryState
from webhooks.pumping import deliver
from webhooks.views import DeliveryAttemptView, DeliveryView

HOUR = timedelta(hours=1)


@pytest.fixture
async def endpoint_id(database: Database, receiver: Receiver, tenant_id: UUID) -> UUID:
    """An endpoint at the receiver, for which three deliveries wait."""
    made = await make_endpoint(database, tenant_id, receiver.url())
    receiver.secret = made.secret
    await make_events(database, tenant_id, 3)
    await fan_out_all(database)
    return key_of(made)


async def delivery_ids(database: Database) -> list[UUID]:
    return [row.id for row in await rows(database, "select id from app.delivery order by id limit 100")]


async def test_list_and_attempts(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, endpoint_id: UUID
) -> None:
    receiver.plan("/hook", status(500, body=b"caf\xc3\xa9 \xff"))
    await deliver(database, http)
    wanted = await delivery_ids(database)
    async with database.tenant(tenant_id, CAUSE) as session:
        first = await queries.deliveries(session, endpoint_id, after=None, limit=2)
        rest = await queries.deliveries(session, endpoint_id, after=first[-1].id, limit=2)
        assert [row.id for row in (*first, *rest)] == wanted[::-1]
        (failed,) = await queries.deliveries(session, endpoint_id, state=DeliveryState.PENDING, after=None, limit=10)
        view = DeliveryView.of(failed)
        (tried,) = [DeliveryAttemptView.of(row) for row in await queries.attempts(session, failed.id)]
    assert (view.state, view.attempts, view.last_status, view.delivered_at) == ("pending", 1, 500, None)
    assert view.next_attempt_at is not None
    assert (tried.status, tried.error, tried.response) == (500, None, "café \ufffd")
    done = DeliveryView.of(first[0] if first[0].id != failed.id else first[1])
    assert (done.state, done.next_attempt_at, done.last_status) == ("delivered", None, 204)


@pytest.mark.parametrize("state", ["pending", "delivered", "exhausted", "parked", "dropped"])
async def test_retry_makes_any_delivery_pending_now(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, endpoint_id: UUID, *, state: str
) -> None:
    first = (await delivery_ids(database))[0]
    await change(
        database,
        "update app.delivery set state = case id when :id then :state else 'dropped' end, attempts = 10,"
        " run_at = clock_timestamp() + interval '1 day'",
        id=first,
        state=state,
    )
    async with database.tenant(tenant_id, CAUSE) as session:
        view = await deliveries.retry(session, first)
    assert (view.state, view.attempts, view.delivered_at) == ("pending", 0, None)
    assert await deliver(database, http) == 1
    async with database.tenant(tenant_id, CAUSE) as session:
        assert (await access.delivery(session, first)).state == "delivered"
    assert len(receiver.accepted) == 1


async def test_retry_is_refused_while_it_is_sent_or_its_endpoint_is_off(
    database: Database, tenant_id: UUID, endpoint_id: UUID
) -> None:
    first, second, _ = await delivery_ids(database)
    await change(database, "update app.delivery set state = 'leased' where id = :id", id=first)
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(DeliveryUnderWay):
            await deliveries.retry(session, first)
        await endpoints.disable(session, endpoint_id, NOW)
        with pytest.raises(EndpointNotEnabled):
            await deliveries.retry(session, second)


async def test_foreign_delivery_is_like_no_delivery(
    database: Database, tenant_id: UUID, other_tenant_id: UUID, endpoint_id: UUID
) -> None:
    first = (await delivery_ids(database))[0]
    async with database.tenant(other_tenant_id, CAUSE) as session:
        for foreign in (first, ids.new_id()):
            with pytest.raises(DeliveryNotFound):
                await access.delivery(session, foreign)
            with pytest.raises(DeliveryNotFound):
                await deliveries.retry(session, foreign)
            assert await queries.attempts(session, foreign) == []
        for foreign in (endpoint_id, ids.new_id()):
            with pytest.raises(EndpointNotFound):
                await recovery.recover(session, foreign, since=NOW, until=NOW + HOUR)
    assert await states(database, tenant_id) == {"pending": 3}


async def test_recovery_brings_back_what_was_given_up_in_a_span(
    database: Database,
    http: Http,
    tenant_id: UUID,
    endpoint_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "BATCH", 2)
    neighbour = key_of(await make_endpoint(database, tenant_id))
    await make_events(database, tenant_id, 2)
    await fan_out_all(database)
    await change(database, "update app.delivery set state = 'exhausted', attempts = 10")
    await change(
        database,
        "update app.delivery set state = 'delivered' where id = (select id from app.delivery"
        " where endpoint_id = :e order by id desc limit 1)",
        e=endpoint_id,
    )
    now = system_now()
    async with database.tenant(tenant_id, CAUSE) as session:
        for since, until in ((now, now), (now, now - HOUR), (now - timedelta(days=91), now)):
            with pytest.raises(SpanInvalid):
                await recovery.recover(session, endpoint_id, since=since, until=until)
        await recovery.recover(session, endpoint_id, since=now - 2 * HOUR, until=now - HOUR)
        await recovery.recover(session, endpoint_id, since=now - HOUR, until=now + HOUR)
    await carry_out(database, tenant_id)
    found = await rows(database, "select endpoint_id, state, count(*) from app.delivery group by 1, 2 limit 9")
    assert set(found) == {(endpoint_id, "pending", 4), (endpoint_id, "delivered", 1), (neighbour, "exhausted", 2)}
    assert await deliver(database, http) == 4
    jobs = await rows(database, "select progress from app.job order by id limit 9")
    assert [row.progress for row in jobs] == ["0 deliveries", "4 deliveries"]


async def test_recovery_of_a_disabled_endpoint_is_refused(
    database: Database, tenant_id: UUID, endpoint_id: UUID
) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.disable(session, endpoint_id, NOW)
        with pytest.raises(EndpointNotEnabled):
            await recovery.recover(session, endpoint_id, since=NOW, until=NOW + HOUR)


async def carry_out(database: Database, tenant_id: UUID) -> None:
    async def nothing_to_drain() -> bool:
        return True

    for row in await rows(database, "select id, fence, params from app.job order by id limit 9"):
        context = JobContext(database, tenant_id, row.id, row.fence, row.params, nothing_to_drain)
        await recovery.carry_out(context)
