"""From deliveries to a real receiver, verified by a library that is not ours; and what each answer leads to."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from kernel import ids
from runtime.http import Http
from runtime.metrics import Metrics
from storage.database import Database
from storage.encryption import destroy_keys
from storage.queues import LEASE
from support.receivers import Behaviour, Receiver, large_body, open_receiver, redirect, reset, status, too_many
from support.tenants import CAUSE, NOW
from support.webhooks import (
    MAKE_DUE,
    change,
    connected,
    fan_out_all,
    key_of,
    make_endpoint,
    make_events,
    make_personal_event,
    rows,
    states,
)
from webhooks import claiming, endpoints
from webhooks.bodies import body_of
from webhooks.pumping import deliver, open_pump
from webhooks.rota import Turn


async def only_delivery(database: Database) -> Any:
    (row,) = await rows(
        database, "select *, run_at - clock_timestamp() as wait from app.delivery where state <> 'x' limit 2"
    )
    return row


async def attempts_of(database: Database) -> list[tuple[int | None, str | None]]:
    found = await rows(database, "select status, error from app.delivery_attempt order by id limit 100")
    return [(row.status, row.error) for row in found]


async def test_delivered_verified_and_recorded(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    made = await connected(database, tenant_id, receiver)
    (object_id,) = await make_events(database, tenant_id)
    await fan_out_all(database)
    assert await deliver(database, http) == 1
    (request,) = receiver.accepted
    row = await only_delivery(database)
    assert request.headers["webhook-id"] == ids.encode("evt", row.event_id)
    assert request.headers["content-type"] == "application/json"
    body = msgspec.json.decode(request.body)
    (position,) = (await rows(database, "select log_position from app.event where id = :e", e=row.event_id))[0]
    assert {name: body[name] for name in body if name != "data"} == {
        "type": "api_key.created",
        "timestamp": "2026-03-02T09:00:00Z",
        "id": request.headers["webhook-id"],
        "previous": {},
        "object_id": ids.encode("key", object_id),
        "sequence": 1,
        "tenant_id": ids.encode("ten", tenant_id),
        "api_version": "2026-11-01",
        "log_position": position,
    }
    assert body["data"]["id"] == ids.encode("key", object_id)
    assert (row.state, row.attempts, row.last_status, row.lease_until) == ("delivered", 1, 204, None)
    assert row.delivered_at is not None
    assert await attempts_of(database) == [(204, None)]
    assert made.secret is not None
    assert made.secret.encode() not in request.body


async def test_personal_fields_until_their_key_is_destroyed(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    await connected(database, tenant_id, receiver, types=("contact.*",))
    await make_personal_event(database, tenant_id, "Zoé Petit")
    erased = await make_personal_event(database, tenant_id, "Noé Grand")
    await fan_out_all(database)
    async with database.tenant(tenant_id, CAUSE) as session:
        await destroy_keys(session, [erased])
    await deliver(database, http)
    told = [msgspec.json.decode(request.body)["data"] for request in receiver.accepted]
    assert sorted((each["name"] or "", each["language"]) for each in told) == [("", "fr"), ("Zoé Petit", "fr")]


async def test_a_failure_is_tried_again_under_the_same_id(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    endpoint_id = key_of(await connected(database, tenant_id, receiver))
    receiver.plan("/hook", status(500, body=b"out of order"), reset())
    await make_events(database, tenant_id)
    await fan_out_all(database)
    assert await deliver(database, http) == 1
    row = await only_delivery(database)
    assert (row.state, row.attempts, row.last_status) == ("pending", 1, 500)
    assert timedelta(seconds=1) < row.wait <= timedelta(seconds=6)
    assert (await failing_since(database, endpoint_id)) is not None
    assert await deliver(database, http) == 0  # its time has not come
    await change(database, MAKE_DUE)
    assert await deliver(database, http) == 1
    row = await only_delivery(database)
    assert (row.state, row.attempts, row.last_status) == ("pending", 2, None)
    assert timedelta(minutes=3) < row.wait <= timedelta(minutes=6)
    await change(database, MAKE_DUE)
    assert await deliver(database, http) == 1
    assert (await only_delivery(database)).state == "delivered"
    assert await failing_since(database, endpoint_id) is None
    assert len({request.webhook_id for request in receiver.received}) == 1
    assert all(request.verified for request in receiver.received)
    assert await attempts_of(database) == [(500, None), (None, "connection_reset"), (204, None)]
    kept = await rows(database, "select response, detail from app.delivery_attempt order by id limit 9")
    assert (kept[0].response, kept[0].detail) == (b"out of order", None)
    assert (kept[1].response, kept[2].response) == (None, None)
    assert kept[1].detail == "the connection was closed before an answer came"


async def failing_since(database: Database, endpoint_id: UUID) -> Any:
    return (await rows(database, "select failing_since_at from app.endpoint where id = :e", e=endpoint_id))[0][0]


async def test_after_the_last_try_it_is_exhausted(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    await connected(database, tenant_id, receiver)
    receiver.always("/hook", status(503))
    await make_events(database, tenant_id)
    await fan_out_all(database)
    await change(database, "update app.delivery set attempts = 8")
    await deliver(database, http)
    assert await states(database, tenant_id) == {"pending": 1}
    await change(database, MAKE_DUE)
    await deliver(database, http)
    assert await states(database, tenant_id) == {"exhausted": 1}
    await change(database, MAKE_DUE)
    assert await deliver(database, http) == 0


@pytest.mark.parametrize(
    ("answer", "state", "least", "most"),
    [
        (too_many("3600"), "pending", 3_600, 3_600 * 1.2),
        (too_many("1"), "pending", 47, 72),  # a throttled endpoint is asked a minute later at the earliest
        (too_many("soon"), "pending", 47, 72),
        (redirect("https://elsewhere.example.com/"), "pending", 3, 6),
        (status(404), "pending", 3, 6),
        (status(400, {"webhook-delivery": "abort-message"}), "dropped", None, None),
        (status(202), "delivered", None, None),
    ],
)
async def test_each_answer_has_its_state(
    database: Database,
    http: Http,
    receiver: Receiver,
    tenant_id: UUID,
    *,
    answer: Behaviour,
    state: str,
    least: float | None,
    most: float | None,
) -> None:
    await connected(database, tenant_id, receiver)
    receiver.plan("/hook", answer)
    await make_events(database, tenant_id)
    await fan_out_all(database)
    assert await deliver(database, http) == 1
    row = await only_delivery(database)
    assert row.state == state
    if least is not None and most is not None:
        assert least <= row.wait.total_seconds() <= most
    assert len(receiver.received) == 1


async def test_of_a_long_answer_the_head_is_kept(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    await connected(database, tenant_id, receiver)
    receiver.plan("/hook", large_body(2_000_000))
    await make_events(database, tenant_id)
    await fan_out_all(database)
    await deliver(database, http)
    assert await states(database, tenant_id) == {"delivered": 1}
    (row,) = await rows(database, "select length(response) as size from app.delivery_attempt limit 2")
    assert row.size == 16 * 1024


async def test_nobody_can_be_asked(database: Database, http: Http, tenant_id: UUID) -> None:
    async with open_receiver() as gone:
        closed = gone.url()
    await make_endpoint(database, tenant_id, closed)
    old = key_of(await make_endpoint(database, tenant_id))
    await change(database, "update app.endpoint set url = 'http://10.0.0.1/' where id = :e", e=old)  # of older rules
    await make_events(database, tenant_id)
    await fan_out_all(database)
    await deliver(database, http)
    assert await states(database, tenant_id) == {"pending": 2}
    assert sorted(await attempts_of(database), key=str) == [(None, "connection_refused"), (None, "refused_address")]


async def test_a_fault_of_ours_stops_nobody_else(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    await connected(database, tenant_id, receiver)
    spoilt = key_of(await make_endpoint(database, tenant_id, receiver.url()))
    await change(database, "update app.endpoint set secrets = '\\x00' where id = :e", e=spoilt)
    await make_events(database, tenant_id, 2)
    await fan_out_all(database)
    assert await deliver(database, http) == 4
    assert await states(database, tenant_id) == {"delivered": 2, "pending": 2}
    assert sorted(await attempts_of(database), key=str) == [
        (204, None),
        (204, None),
        (None, "internal_error"),
        (None, "internal_error"),
    ]
    assert await failing_since(database, spoilt) is None  # it does not speak against the endpoint


async def test_an_event_that_is_no_longer_kept_is_dropped(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    await connected(database, tenant_id, receiver)
    await make_events(database, tenant_id, 2)
    await fan_out_all(database)
    await change(database, "delete from app.event where id = (select event_id from app.delivery order by id limit 1)")
    assert await deliver(database, http) == 1
    assert await states(database, tenant_id) == {"delivered": 1, "dropped": 1}


async def test_both_secrets_sign_during_a_rotation(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    made = await connected(database, tenant_id, receiver)
    verified: list[bool] = []
    for grace, secret_is_old in ((timedelta(days=1), True), (timedelta(days=1), False), (timedelta(0), True)):
        old = receiver.secret
        async with database.tenant(tenant_id, CAUSE) as session:
            rotated = await endpoints.rotate_secret(session, key_of(made), NOW, ring=database.keys, grace=grace)
        receiver.secret = old if secret_is_old else rotated.secret
        await make_events(database, tenant_id)
        await fan_out_all(database)
        await deliver(database, http)
        verified.append(receiver.received[-1].verified)
        receiver.secret = rotated.secret
    assert verified == [True, True, False]
    assert [len(request.headers["webhook-signature"].split()) for request in receiver.received] == [2, 3, 1]


async def test_neither_secret_nor_body_nor_address_is_logged(
    database: Database, http: Http, receiver: Receiver, tenant_id: UUID
) -> None:
    made = await make_endpoint(database, tenant_id, receiver.url("/token-in-the-path"), types=("contact.*",))
    spoilt = key_of(await make_endpoint(database, tenant_id, receiver.url("/token-in-the-path"), types=("contact.*",)))
    await change(database, "update app.endpoint set secrets = '\\x00' where id = :e", e=spoilt)
    receiver.plan("/token-in-the-path", status(410, body=b"gone for good"))
    await make_personal_event(database, tenant_id, "Zo\u00e9 Petit")
    await fan_out_all(database)
    (row, _) = await rows(database, "select * from app.delivery limit 3")
    async with database.pump() as session:
        (held,) = (await claiming.claim(session, [Turn(tenant_id, row.endpoint_id, 1)], lease=LEASE)).leased
        await claiming.give_back(session, [held])
    with capture_logs() as lines:
        await deliver(database, http)
    assert [line["event"] for line in lines] == ["webhook_not_prepared"]
    said = f"{lines} {held} {held.event} {body_of(held.event, '2026-11-01', {})}"
    assert made.secret is not None
    for private in (made.secret, made.secret.removeprefix("whsec_"), "token-in-the-path", "Petit", "ctc_", "gone for"):
        assert private not in said


async def test_attempts_are_counted(database: Database, http: Http, receiver: Receiver, tenant_id: UUID) -> None:
    metrics = Metrics()
    await connected(database, tenant_id, receiver)
    receiver.plan("/hook", status(500))
    await make_events(database, tenant_id, 3)
    await fan_out_all(database)
    async with open_pump(database, http, metrics=metrics) as pump:
        while await pump.round() or pump.busy:
            pass
    assert pump.attempts == 3
    told = metrics.render().decode().splitlines()
    assert 'webhook_delivery_attempts_total{outcome="succeeded"} 2.0' in told
    assert 'webhook_delivery_attempts_total{outcome="failed"} 1.0' in told
