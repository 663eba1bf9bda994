"""Endpoints, events in a tenant's log and deliveries for tests."""

from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import text

import casework.events
from kernel import ids
from receivables.events import ContactCreated
from receivables.views import ContactView
from runtime.egress import HttpSettings, network
from storage import relay
from storage.database import Database
from storage.events import emit
from storage.session import Cause
from support.receivers import Receiver
from support.tenants import CAUSE, NOW
from tenants.events import ApiKeyCreated
from tenants.views import ApiKeyView
from webhooks import endpoints
from webhooks.endpoints import NewWebhookEndpoint
from webhooks.fanning_out import fan_out
from webhooks.views import WebhookEndpointWithSecret

LOOPBACK: Final = HttpSettings(allow_private=(network("127.0.0.0/8"),), allow_http=True)
KNOWN: Final = (casework.events,)  # whose events are then in the catalogue
MAKE_DUE: Final = "update app.delivery set run_at = clock_timestamp() where state = 'pending'"
BACKFILL: Final = Cause(kind="command", id="test", backfill=True)


async def make_endpoint(
    database: Database,
    tenant_id: UUID,
    url: str = "https://receiver.example.com/hook",
    *,
    types: tuple[str, ...] = ("api_key.*",),  # what make_events writes, and not the endpoint's own creation
    include_backfill: bool = False,
    timeout_s: int = endpoints.DEFAULT_TIMEOUT_S,
) -> WebhookEndpointWithSecret:
    """An enabled endpoint that gets what make_events writes."""
    new = NewWebhookEndpoint(url=url, types=types, include_backfill=include_backfill, timeout_s=timeout_s)
    async with database.tenant(tenant_id, CAUSE) as session:
        return await endpoints.create(session, new, NOW, ring=database.keys, http=LOOPBACK)


async def connected(database: Database, tenant_id: UUID, receiver: Receiver, **more: Any) -> WebhookEndpointWithSecret:
    """An endpoint at the receiver, which verifies with its secret."""
    made = await make_endpoint(database, tenant_id, receiver.url(), **more)
    receiver.secret = made.secret
    return made


async def make_events(
    database: Database, tenant_id: UUID, count: int = 1, *, cause: Cause = CAUSE, stamped: bool = True
) -> list[UUID]:
    """So many events `api_key.created` of objects of their own, numbered by the relay; returns the objects' ids."""
    objects = [ids.new_id() for _ in range(count)]
    async with database.tenant(tenant_id, cause) as session:
        for object_id in objects:
            emit(session, ApiKeyCreated(key_view(object_id), None, NOW))
    if stamped:
        await stamp(database)
    return objects


async def make_personal_event(database: Database, tenant_id: UUID, name: str) -> UUID:
    """One event `contact.created` of a debtor of its own, whose name is sealed; returns the debtor's id."""
    debtor_id = ids.new_id()
    view = ContactView(
        id=ids.encode("ctc", ids.new_id()),
        version=1,
        debtor_id=ids.encode("dbt", debtor_id),
        name=name,
        email=None,
        language="fr",
        zone=None,
        phone=None,
        roles=(),
        billing=True,
        primary=False,
        position=0,
        archived_at=None,
    )
    async with database.tenant(tenant_id, CAUSE) as session:
        emit(session, ContactCreated(view, None, NOW))
    await stamp(database)
    return debtor_id


async def stamp(database: Database) -> None:
    """Number every committed event."""
    while True:
        async with database.queue() as session:
            if not await relay.stamp(session):
                return


def key_view(object_id: UUID) -> ApiKeyView:
    return ApiKeyView(
        id=ids.encode("key", object_id),
        version=1,
        name="A key of a test",
        last4="abcd",
        scopes=["invoices:read"],
        api_version="2026-11-01",
        expires_at=None,
        revoked_at=None,
    )


async def fan_out_all(database: Database) -> None:
    """Make every delivery that is to be made."""
    while await fan_out(database):
        pass


def key_of(made: WebhookEndpointWithSecret) -> UUID:
    """The endpoint's id as the tables have it."""
    return ids.decode("whe", made.webhook_endpoint.id)


async def rows(database: Database, statement: str, **values: object) -> Sequence[Any]:  # Any: rows of any query
    """Look at any table, as the platform's owner."""
    async with database.operator() as session:
        return (await session.execute(text(statement), values)).all()


async def change(database: Database, statement: str, **values: object) -> None:
    """Bring about what time or a crash would have, as the platform's owner."""
    async with database.operator() as session:
        await session.execute(text(statement), values)


async def states(database: Database, tenant_id: UUID) -> dict[str, int]:
    """How many deliveries of a tenant are in each state."""
    found = await rows(
        database, "select state, count(*) from app.delivery where tenant_id = :t group by state limit 10", t=tenant_id
    )
    return {cast("str", state): cast("int", count) for state, count in found}
