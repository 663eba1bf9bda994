"""Webhook endpoints: where a tenant's events are posted, and which."""

from datetime import datetime, timedelta
from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from api.fields import ID, Instant, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from runtime.egress import MAX_URL
from storage.session import TenantSession
from tenants import access as tenant_access
from tenants.keys import API_VERSION
from tenants.views import JobView
from webhooks import access, endpoints, queries, recovery
from webhooks.endpoints import (
    DEFAULT_TIMEOUT_S,
    MAX_DESCRIPTION,
    MAX_GRACE,
    MAX_TIMEOUT_S,
    MIN_TIMEOUT_S,
    NewWebhookEndpoint,
    WebhookEndpointChange,
)
from webhooks.errors import (
    EndpointInvalid,
    EndpointNotDisabled,
    EndpointNotEnabled,
    EndpointNotFound,
    SpanInvalid,
    TooManyEndpoints,
)
from webhooks.matching import MAX_GLOB, MAX_GLOBS
from webhooks.views import STORED, DeliveryView, ShownState, WebhookEndpointView, WebhookEndpointWithSecret

Url = Annotated[str, Meta(min_length=1, max_length=MAX_URL, description="https, with a public host name.")]
Glob = Annotated[
    str, Meta(min_length=1, max_length=MAX_GLOB, description="An event type, or a glob: `invoice.*`, `*`.")
]
Globs = Annotated[list[Glob], Meta(min_length=1, max_length=MAX_GLOBS)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION)]
Version = Annotated[
    str, Meta(min_length=10, max_length=10, description="Of the payloads, whatever the API does later.")
]
TimeoutS = Annotated[int, Meta(ge=MIN_TIMEOUT_S, le=MAX_TIMEOUT_S)]
EventFilter = Annotated[str | None, QueryParameter(pattern=ID, description="Only that of this event.")]
StateFilter = Annotated[ShownState | None, QueryParameter(name="state")]


class WebhookEndpointIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An endpoint to be made."""

    url: Url
    types: Globs
    description: Description | None = None
    api_version: Version = API_VERSION
    include_backfill: bool = False  # bulk history too
    timeout_s: TimeoutS = DEFAULT_TIMEOUT_S


class WebhookEndpointPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of an endpoint can be changed."""

    url: Url | UnsetType = UNSET
    types: Globs | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    api_version: Version | UnsetType = UNSET
    include_backfill: bool | UnsetType = UNSET
    timeout_s: TimeoutS | UnsetType = UNSET


class Enabling(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a disabled endpoint goes on."""

    catch_up: bool = True  # also what happened and what was parked meanwhile; otherwise that is dropped


class SecretRotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a secret is to be replaced."""

    grace_s: Annotated[int, Meta(ge=0, le=int(MAX_GRACE.total_seconds()))] = 86_400  # how long the old one signs too


class RecoveryIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries are to be tried again: those made in this span that were given up."""

    since: Instant
    until: Instant


class WebhookEndpoints(Controller):
    """Every state change is posted, signed by Standard Webhooks, at least once: webhook-id tells repeats."""

    path = "/v1/webhook_endpoints"
    tags = ["Webhook endpoints"]

    @post(
        operation_id="createWebhookEndpoint",
        opt=needs("webhooks:write", one_time=("secret",)),
        responses=problems(EndpointInvalid, TooManyEndpoints),
    )
    async def create(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        resources: NamedDependency[Resources],
        data: JSONBody[WebhookEndpointIn],
    ) -> WebhookEndpointWithSecret:
        """Have events posted to a URL from now on. The signing secret is shown once, here."""
        new = NewWebhookEndpoint(
            url=data.url,
            types=tuple(data.types),
            description=data.description,
            api_version=data.api_version,
            include_backfill=data.include_backfill,
            timeout_s=data.timeout_s,
        )
        return await endpoints.create(session, new, now, ring=resources.database.keys, http=resources.egress.settings)

    @get(operation_id="listWebhookEndpoints", opt=needs("webhooks:read"), responses=problems(CursorInvalid))
    async def index(
        self, session: NamedDependency[TenantSession], page: NamedDependency[Page]
    ) -> PageOf[WebhookEndpointView]:
        """List endpoints, the newest first."""
        rows = await queries.endpoints(session, after=page.after_id(), limit=page.fetch)
        return page.of(rows, WebhookEndpointView.of, lambda row: [row.id.hex])

    @get(
        "/{endpoint_id:str}",
        operation_id="getWebhookEndpoint",
        opt=needs("webhooks:read"),
        responses=problems(EndpointNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], endpoint_id: FromPath[str]) -> WebhookEndpointView:
        """Read one endpoint, without its secret."""
        return WebhookEndpointView.of(await access.endpoint(session, ids.decode("whe", endpoint_id)))

    @patch(
        "/{endpoint_id:str}",
        operation_id="updateWebhookEndpoint",
        opt=needs("webhooks:write"),
        responses=problems(EndpointNotFound, EndpointInvalid, PreconditionFailed),
    )
    async def update(
        self,
        *,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        resources: NamedDependency[Resources],
        expected_version: NamedDependency[int | None],
        endpoint_id: FromPath[str],
        data: JSONBody[WebhookEndpointPatch],
    ) -> WebhookEndpointView:
        """Change an endpoint's address, its choice of events, or how they are sent."""
        change = WebhookEndpointChange(
            url=data.url,
            types=UNSET if data.types is UNSET else tuple(data.types),
            description=data.description,
            api_version=data.api_version,
            include_backfill=data.include_backfill,
            timeout_s=data.timeout_s,
        )
        return await endpoints.update(
            session,
            ids.decode("whe", endpoint_id),
            change,
            now,
            http=resources.egress.settings,
            expected_version=expected_version,
        )

    @delete(
        "/{endpoint_id:str}",
        operation_id="removeWebhookEndpoint",
        opt=needs("webhooks:write"),
        responses=problems(EndpointNotFound, PreconditionFailed),
    )
    async def remove(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        endpoint_id: FromPath[str],
    ) -> None:
        """End an endpoint: its secret is destroyed and what waits for it is dropped."""
        await endpoints.remove(session, ids.decode("whe", endpoint_id), now, expected_version=expected_version)

    @post(
        "/{endpoint_id:str}/enable",
        operation_id="enableWebhookEndpoint",
        status_code=200,
        opt=needs("webhooks:write"),
        responses=problems(EndpointNotFound, EndpointNotDisabled, PreconditionFailed),
    )
    async def enable(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        endpoint_id: FromPath[str],
        data: JSONBody[Enabling],
    ) -> WebhookEndpointView:
        """Let a disabled endpoint get events again."""
        return await endpoints.enable(
            session,
            ids.decode("whe", endpoint_id),
            now,
            catch_up=data.catch_up,
            expected_version=expected_version,
        )

    @post(
        "/{endpoint_id:str}/disable",
        operation_id="disableWebhookEndpoint",
        status_code=200,
        opt=needs("webhooks:write"),
        responses=problems(EndpointNotFound, EndpointNotEnabled, PreconditionFailed),
    )
    async def disable(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        endpoint_id: FromPath[str],
    ) -> WebhookEndpointView:
        """Send an endpoint nothing more; what waits is parked until it is enabled."""
        return await endpoints.disable(session, ids.decode("whe", endpoint_id), now, expected_version=expected_version)

    @post(
        "/{endpoint_id:str}/rotate_secret",
        operation_id="rotateWebhookEndpointSecret",
        status_code=200,
        opt=needs("webhooks:write", one_time=("secret",)),
        responses=problems(EndpointNotFound, EndpointInvalid, PreconditionFailed),
    )
    async def rotate_secret(
        self,
        *,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        resources: NamedDependency[Resources],
        expected_version: NamedDependency[int | None],
        endpoint_id: FromPath[str],
        data: JSONBody[SecretRotation],
    ) -> WebhookEndpointWithSecret:
        """Sign with a new secret; until the end of the grace the old one signs as well."""
        return await endpoints.rotate_secret(
            session,
            ids.decode("whe", endpoint_id),
            now,
            ring=resources.database.keys,
            grace=timedelta(seconds=data.grace_s),
            expected_version=expected_version,
        )

    @post(
        "/{endpoint_id:str}/ping",
        operation_id="pingWebhookEndpoint",
        status_code=200,
        opt=needs("webhooks:write"),
        responses=problems(EndpointNotFound, EndpointNotEnabled),
    )
    async def ping(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        endpoint_id: FromPath[str],
    ) -> WebhookEndpointView:
        """Send a test event `webhook_endpoint.pinged` to this endpoint alone; its deliveries tell what came of it."""
        return await endpoints.ping(session, ids.decode("whe", endpoint_id), now)

    @post(
        "/{endpoint_id:str}/recover",
        operation_id="recoverWebhookEndpoint",
        status_code=202,
        opt=needs("webhooks:write"),
        responses=problems(EndpointNotFound, EndpointNotEnabled, SpanInvalid),
    )
    async def recover(
        self, session: NamedDependency[TenantSession], endpoint_id: FromPath[str], data: JSONBody[RecoveryIn]
    ) -> JobView:
        """Try again what was given up of the deliveries made in a span of system time, at most 90 days."""
        job_id = await recovery.recover(session, ids.decode("whe", endpoint_id), since=data.since, until=data.until)
        await session.flush()
        return JobView.of(await tenant_access.job(session, job_id))

    @get(
        "/{endpoint_id:str}/deliveries",
        operation_id="listDeliveries",
        opt=needs("webhooks:read"),
        responses=problems(EndpointNotFound, CursorInvalid),
    )
    async def deliveries(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        endpoint_id: FromPath[str],
        in_state: StateFilter = None,
        event: EventFilter = None,
    ) -> PageOf[DeliveryView]:
        """List an endpoint's deliveries, the newest first."""
        endpoint = await access.endpoint(session, ids.decode("whe", endpoint_id))
        rows = await queries.deliveries(
            session,
            endpoint.id,
            state=None if in_state is None else STORED[in_state],
            event_id=id_filter(event, "event", "evt"),
            after=page.after_id(),
            limit=page.fetch,
        )
        return page.of(rows, DeliveryView.of, lambda row: [row.id.hex])
