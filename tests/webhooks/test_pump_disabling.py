"""An endpoint that ends itself or fails for days is disabled; what waits for it is parked until it is enabled."""

from uuid import UUID

import pytest

from kernel import ids
from runtime.http import Http
from storage.database import Database
from storage.jobs import JobContext
from support.receivers import Behaviour, Receiver, status
from support.tenants import CAUSE, NOW
from support.webhooks import (
    MAKE_DUE,
    change,
    connected,
    fan_out_all,
    key_of,
    make_events,
    rows,
    states,
)
from webhooks import endpoints, recovery
from webhooks.pumping import deliver


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [
        (status(410), "gone", {"parked": 3}),
        (status(410, {"webhook-delivery": "disable"}), "gone", {"parked": 3}),
        (status(200, {"webhook-delivery": "disable"}), "asked", {"delivered": 1, "parked": 2}),
    ],
)
async def test_a_receiver_may_end_its_endpoint(
    database: Database,
    http: Http,
    receiver: Receiver,
    tenant_id: UUID,
    *,
    answer: Behaviour,
    code: str,
    left: dict[str, int],
) -> None:
    endpoint_id = key_of(await connected(database, tenant_id, receiver))
    receiver.plan("/hook", answer)
    await make_events(database, tenant_id)
    await fan_out_all(database)
    await deliver(database, http)
    await make_events(database, tenant_id, 2)
    await change(database, "update app.endpoint set position = 0 where state = 'disabled'")
    assert await endpoint_state(database, endpoint_id) == ("disabled", code)
    await add_delivery(database, endpoint_id, 2)
    await change(database, MAKE_DUE)
    assert await deliver(database, http) == 0
    assert (await states(database, tenant_id), len(receiver.received)) == (left, 1)
    told = await rows(database, "select type from app.event where type like 'webhook%' order by id limit 9")
    assert [row.type for row in told] == ["webhook_endpoint.created", "webhook_endpoint.disabled"]
    tasks = await rows(database, "select kind, subject_id from app.task limit 9")
    assert [(row.kind, row.subject_id) for row in tasks] == [("webhook_endpoint_disabled", endpoint_id)]


async def add_delivery(database: Database, endpoint_id: UUID, count: int) -> None:
    """Deliveries that were made before the endpoint was disabled."""
    await change(
        database,
        "insert into app.delivery (tenant_id, id, endpoint_id, event_id, state, shard)"
        " select e.tenant_id, e.id, :endpoint, e.id, 'pending', 0 from app.event e where e.type = 'api_key.created'"
        " order by e.id desc limit :count",
        endpoint=endpoint_id,
        count=count,
    )


async def endpoint_state(database: Database, endpoint_id: UUID) -> tuple[str, str | None]:
    (row,) = await rows(database, "select state, disabled_code from app.endpoint where id = :e", e=endpoint_id)
    return row.state, row.disabled_code


@pytest.mark.parametrize("deliver_them", [True, False])
async def test_enabling_lets_go_what_was_parked(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID, *, deliver_them: bool
) -> None:
    endpoint_id = key_of(await connected(database, tenant_id, receiver))
    await make_events(database, tenant_id, 3)
    await fan_out_all(database)
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.disable(session, endpoint_id, NOW)
    assert await deliver(database, http) == 0
    assert await states(database, tenant_id) == {"parked": 3}
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.enable(session, endpoint_id, NOW, catch_up=deliver_them)
    await carry_out_job(database, tenant_id)
    assert await deliver(database, http) == (3 if deliver_them else 0)
    assert await states(database, tenant_id) == ({"delivered": 3} if deliver_them else {"dropped": 3})


async def carry_out_job(database: Database, tenant_id: UUID) -> None:
    """Do what a worker does with the one job that is queued."""
    (row,) = await rows(database, "select id, kind, fence, params from app.job where state = 'pending' limit 2")
    assert row.kind == recovery.JOB

    async def nothing_to_drain() -> bool:
        return True

    await recovery.carry_out(JobContext(database, tenant_id, row.id, row.fence, row.params, nothing_to_drain))
    await change(database, "update app.job set state = 'done'")


async def test_what_waits_for_a_removed_endpoint_is_dropped(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    endpoint_id = key_of(await connected(database, tenant_id, receiver))
    await make_events(database, tenant_id, 2)
    await fan_out_all(database)
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.remove(session, endpoint_id, NOW)
    assert await deliver(database, http) == 0
    assert (await states(database, tenant_id), receiver.received) == ({"dropped": 2}, [])


@pytest.mark.parametrize(
    ("failing_days", "between_hours", "disabled"),
    [
        (4.9, 60, False),  # not yet long enough
        (5.1, 60, True),
        (5.1, 1, False),  # one bad hour long ago, silence, and now
        (5.1, 121, False),  # silence, and now one bad hour
    ],
)
async def test_failing_for_days_disables(
    database: Database,
    http: Http,
    receiver: Receiver,
    tenant_id: UUID,
    *,
    failing_days: float,
    between_hours: float,
    disabled: bool,
) -> None:
    endpoint_id = key_of(await connected(database, tenant_id, receiver))
    receiver.always("/hook", status(500))
    await make_events(database, tenant_id)
    await fan_out_all(database)
    await change(
        database,
        "update app.endpoint set failing_since_at = clock_timestamp() - make_interval(secs => :since)",
        since=failing_days * 86_400,
    )
    await add_failure(database, tenant_id, endpoint_id, failing_days * 24 - between_hours)
    await deliver(database, http)
    expected = ("disabled", "failing") if disabled else ("enabled", None)
    assert await endpoint_state(database, endpoint_id) == expected


async def add_failure(database: Database, tenant_id: UUID, endpoint_id: UUID, hours_ago: float) -> None:
    (now_ms,) = (await rows(database, "select (extract(epoch from clock_timestamp()) * 1000)::bigint"))[0]
    await change(
        database,
        "insert into app.delivery_attempt (tenant_id, id, delivery_id, endpoint_id, fence, status, duration_ms)"
        " values (:tenant, :id, :id, :endpoint, 1, 500, 1)",
        tenant=tenant_id,
        id=ids.first_id_of(now_ms - int(hours_ago * 3_600_000)),
        endpoint=endpoint_id,
    )
