"""Endpoints in a tenant: made, changed, disabled, rotated, removed; and what never leaves."""

from datetime import timedelta
from uuid import UUID

import pytest

from kernel import ids
from kernel.errors import PreconditionFailed
from runtime.egress import HttpSettings
from storage.database import Database
from storage.session import TenantSession
from support.tenants import CAUSE, NOW
from support.webhooks import LOOPBACK, make_endpoint, make_events, rows, stamp
from webhooks import access, endpoints, queries, sealing
from webhooks.endpoints import NewWebhookEndpoint, WebhookEndpointChange
from webhooks.errors import (
    EndpointInvalid,
    EndpointNotDisabled,
    EndpointNotEnabled,
    EndpointNotFound,
    TooManyEndpoints,
)
from webhooks.sealing import Sealed, Secret
from webhooks.signing import MAX_KEYS, read_key
from webhooks.views import WebhookEndpointView, WebhookEndpointWithSecret

URL = "https://receiver.example.com/hook"


def id_of(made: WebhookEndpointWithSecret) -> UUID:
    return ids.decode("whe", made.webhook_endpoint.id)


async def secrets_of(session: TenantSession, database: Database, endpoint_id: UUID) -> tuple[Secret, ...]:
    row = await access.endpoint(session, endpoint_id)
    return await sealing.read(session, database.keys, endpoint_id, Sealed(row.key_version, row.secrets))


async def test_create_shows_the_secret_once(database: Database, tenant_id: UUID) -> None:
    made = await make_endpoint(database, tenant_id, URL, types=("hold.*", "receipt.recorded", "hold.*"))
    view = made.webhook_endpoint
    assert (view.url, view.types, view.state, view.version) == (URL, ["hold.*", "receipt.recorded"], "enabled", 1)
    assert made.secret is not None
    read_key(made.secret)
    async with database.tenant(tenant_id, CAUSE) as session:
        listed = [WebhookEndpointView.of(row) for row in await queries.endpoints(session, after=None, limit=10)]
        (kept,) = await secrets_of(session, database, id_of(made))
    assert listed == [view]
    assert kept.text == made.secret
    assert made.secret not in repr(kept)


async def test_secret_is_in_no_row_and_no_event(database: Database, tenant_id: UUID) -> None:
    made = await make_endpoint(database, tenant_id)
    async with database.tenant(tenant_id, CAUSE) as session:
        rotated = await endpoints.rotate_secret(session, id_of(made), NOW, ring=database.keys)
    assert rotated.secret is not None
    for secret in (made.secret, rotated.secret):
        assert secret is not None
        raw = secret.removeprefix("whsec_")
        found = await rows(
            database,
            "select (select count(*) from app.endpoint p where p::text like :raw)"
            " + (select count(*) from app.event e where e::text like :raw)"
            " + (select count(*) from app.endpoint p where p.secrets like convert_to(:raw, 'utf8'))",
            raw=f"%{raw}%",
        )
        assert found == [(0,)]


@pytest.mark.parametrize(
    ("new", "pointer", "code"),
    [
        (NewWebhookEndpoint(url="http://receiver.example.com/"), "/url", "url_scheme"),
        (NewWebhookEndpoint(url="https://169.254.169.254/latest"), "/url", "url_address"),
        (NewWebhookEndpoint(url=URL, types=()), "/types", "types_count"),
        (NewWebhookEndpoint(url=URL, types=("hold.*", "nothing.*")), "/types/1", "event_type_unknown"),
        (NewWebhookEndpoint(url=URL, types=("hold.released; drop",)), "/types/0", "event_type_unknown"),
        (NewWebhookEndpoint(url=URL, types=("*",) * 51), "/types", None),
        (NewWebhookEndpoint(url=URL, timeout_s=4), "/timeout_s", "out_of_range"),
        (NewWebhookEndpoint(url=URL, timeout_s=31), "/timeout_s", "out_of_range"),
        (NewWebhookEndpoint(url=URL, api_version="2020-01-01"), "/api_version", "version_unknown"),
        (NewWebhookEndpoint(url=URL, description="x" * 501), "/description", "too_long"),
    ],
)
async def test_create_refuses(
    database: Database, tenant_id: UUID, new: NewWebhookEndpoint, pointer: str, code: str | None
) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        if code is None:  # the same glob many times is one glob
            await endpoints.create(session, new, NOW, ring=database.keys, http=HttpSettings())
            return
        with pytest.raises(EndpointInvalid) as refused:
            await endpoints.create(session, new, NOW, ring=database.keys, http=HttpSettings())
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [(pointer, code)]


async def test_create_names_every_fault(database: Database, tenant_id: UUID) -> None:
    new = NewWebhookEndpoint(url="ftp://x", types=("nothing",), timeout_s=0)
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(EndpointInvalid) as refused:
            await endpoints.create(session, new, NOW, ring=database.keys, http=HttpSettings())
    assert [fault.pointer for fault in refused.value.errors] == ["/url", "/types/0", "/timeout_s"]


async def test_number_of_endpoints_is_bounded(
    database: Database, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 2)
    first = await make_endpoint(database, tenant_id)
    await make_endpoint(database, tenant_id)
    with pytest.raises(TooManyEndpoints):
        await make_endpoint(database, tenant_id)
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.remove(session, id_of(first), NOW)
    await make_endpoint(database, tenant_id)


async def test_new_endpoint_begins_at_the_head_of_the_log(database: Database, tenant_id: UUID) -> None:
    await make_events(database, tenant_id, 3)
    made = await make_endpoint(database, tenant_id)
    (head,) = (await rows(database, "select position from app.log_head where tenant_id = :t", t=tenant_id))[0]
    async with database.tenant(tenant_id, CAUSE) as session:
        row = await access.endpoint(session, id_of(made))
    assert row.position == head > 2


async def test_update_changes_what_it_names(database: Database, tenant_id: UUID) -> None:
    made = await make_endpoint(database, tenant_id, types=("hold.*",))
    change = WebhookEndpointChange(types=("*",), description=" For the  books ")
    async with database.tenant(tenant_id, CAUSE) as session:
        after = await endpoints.update(session, id_of(made), change, NOW, http=HttpSettings(), expected_version=1)
    assert (after.types, after.description, after.url, after.version) == (["*"], "For the books", URL, 2)
    async with database.tenant(tenant_id, CAUSE) as session:
        again = await endpoints.update(session, id_of(made), change, NOW, http=HttpSettings())
    assert again == after
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(PreconditionFailed):
            await endpoints.update(session, id_of(made), change, NOW, http=HttpSettings(), expected_version=1)
        with pytest.raises(EndpointInvalid):  # the same door as for a new one
            await endpoints.update(
                session, id_of(made), WebhookEndpointChange(url="https://10.0.0.1/"), NOW, http=HttpSettings()
            )
    assert await types_of(database, tenant_id) == ["webhook_endpoint.created", "webhook_endpoint.updated"]


async def test_disable_then_enable(database: Database, tenant_id: UUID) -> None:
    endpoint_id = id_of(await make_endpoint(database, tenant_id))
    async with database.tenant(tenant_id, CAUSE) as session:
        with pytest.raises(EndpointNotDisabled):
            await endpoints.enable(session, endpoint_id, NOW)
        off = await endpoints.disable(session, endpoint_id, NOW)
        assert (off.state, off.disabled_code, off.disabled_at) == ("disabled", "requested", NOW)
        for refused in (endpoints.disable, endpoints.ping):
            with pytest.raises(EndpointNotEnabled):
                await refused(session, endpoint_id, NOW)
    async with database.tenant(tenant_id, CAUSE) as session:
        on = await endpoints.enable(session, endpoint_id, NOW)
    assert (on.state, on.disabled_code, on.disabled_at, on.version) == ("enabled", None, None, 3)
    assert (await types_of(database, tenant_id))[1:] == ["webhook_endpoint.disabled", "webhook_endpoint.enabled"]


async def test_rotation_keeps_the_old_secret_for_its_grace(database: Database, tenant_id: UUID) -> None:
    made = await make_endpoint(database, tenant_id)
    endpoint_id = id_of(made)
    async with database.tenant(tenant_id, CAUSE) as session:
        second = await endpoints.rotate_secret(session, endpoint_id, NOW, ring=database.keys)
        kept = await secrets_of(session, database, endpoint_id)
        assert [secret.text for secret in kept] == [second.secret, made.secret]
        assert (kept[0].ends_at, second.webhook_endpoint.version) == (None, 2)
        assert kept[1].ends_at is not None
        third = await endpoints.rotate_secret(session, endpoint_id, NOW, ring=database.keys, grace=timedelta(0))
        kept = await secrets_of(session, database, endpoint_id)
        assert [secret.text for secret in kept] == [third.secret]
        for grace in (timedelta(seconds=-1), timedelta(days=7, seconds=1)):
            with pytest.raises(EndpointInvalid):
                await endpoints.rotate_secret(session, endpoint_id, NOW, ring=database.keys, grace=grace)
        last = third
        for _ in range(MAX_KEYS + 2):
            last = await endpoints.rotate_secret(session, endpoint_id, NOW, ring=database.keys)
        kept = await secrets_of(session, database, endpoint_id)
        assert (len(kept), kept[0].text) == (MAX_KEYS, last.secret)


async def test_removed_endpoint_is_gone_and_its_secret_too(database: Database, tenant_id: UUID) -> None:
    endpoint_id = id_of(await make_endpoint(database, tenant_id))
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.remove(session, endpoint_id, NOW)
    async with database.tenant(tenant_id, CAUSE) as session:
        assert await queries.endpoints(session, after=None, limit=10) == []
        for verb in (endpoints.enable, endpoints.disable, endpoints.ping, endpoints.remove):
            with pytest.raises(EndpointNotFound):
                await verb(session, endpoint_id, NOW)
    assert await rows(database, "select state, length(secrets) from app.endpoint limit 9") == [("removed", 0)]


async def test_foreign_endpoint_is_like_no_endpoint(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    endpoint_id = id_of(await make_endpoint(database, tenant_id))
    change = WebhookEndpointChange(description="mine now")
    async with database.tenant(other_tenant_id, CAUSE) as session:
        for foreign in (endpoint_id, ids.new_id()):
            with pytest.raises(EndpointNotFound) as refused:
                await access.endpoint(session, foreign)
            assert (refused.value.detail, refused.value.errors) == ("", ())
            with pytest.raises(EndpointNotFound):
                await endpoints.update(session, foreign, change, NOW, http=LOOPBACK)
            with pytest.raises(EndpointNotFound):
                await endpoints.rotate_secret(session, foreign, NOW, ring=database.keys)
            for verb in (endpoints.enable, endpoints.disable, endpoints.ping, endpoints.remove):
                with pytest.raises(EndpointNotFound):
                    await verb(session, foreign, NOW)
        assert await queries.endpoints(session, after=None, limit=10) == []
        assert await queries.deliveries(session, endpoint_id, after=None, limit=10) == []


async def test_list_pages_by_keyset(database: Database, tenant_id: UUID) -> None:
    made = [id_of(await make_endpoint(database, tenant_id)) for _ in range(3)]
    async with database.tenant(tenant_id, CAUSE) as session:
        first = await queries.endpoints(session, after=None, limit=2)
        second = await queries.endpoints(session, after=first[-1].id, limit=2)
    assert [row.id for row in (*first, *second)] == made[::-1]


async def types_of(database: Database, tenant_id: UUID) -> list[str]:
    await stamp(database)
    found = await rows(
        database,
        "select type from app.event where tenant_id = :t and type like 'webhook%' order by log_position limit 100",
        t=tenant_id,
    )
    return [row.type for row in found]


async def test_event_carries_the_view_and_what_changed(database: Database, tenant_id: UUID) -> None:
    made = await make_endpoint(database, tenant_id)
    async with database.tenant(tenant_id, CAUSE) as session:
        await endpoints.disable(session, id_of(made), NOW)
    found = await rows(
        database,
        "select payload, sequence, object_id from app.event where type = :type limit 2",
        type="webhook_endpoint.disabled",
    )
    assert [(row.sequence, row.object_id) for row in found] == [(2, id_of(made))]
    assert '"state":"disabled"' in found[0].payload
    assert '"previous":{"version":1,"state":"enabled"' in found[0].payload
