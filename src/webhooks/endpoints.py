"""Endpoints: made, changed, enabled, disabled, given a new secret, tested, removed."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, structs
from sqlalchemy import func, select, text

from kernel import ids
from kernel.clock import system_now
from kernel.errors import Fault
from kernel.text import clean
from runtime.egress import HttpSettings, url_fault
from storage.encryption import KeyRing
from storage.events import CATALOGUE, emit
from storage.session import TenantSession, tenant_of
from tenants import access as tenant_access
from tenants.keys import API_VERSION
from webhooks import access, recovery, sealing
from webhooks.errors import EndpointInvalid, EndpointNotDisabled, EndpointNotEnabled, TooManyEndpoints
from webhooks.events import (
    WebhookEndpointCreated,
    WebhookEndpointDisabled,
    WebhookEndpointEnabled,
    WebhookEndpointPinged,
    WebhookEndpointRemoved,
    WebhookEndpointSecretRotated,
    WebhookEndpointUpdated,
)
from webhooks.matching import glob_faults
from webhooks.models import Endpoint, EndpointState
from webhooks.sealing import Sealed
from webhooks.views import WebhookEndpointView, WebhookEndpointWithSecret

MAX_ENDPOINTS: Final = 50  # of one tenant
MAX_DESCRIPTION: Final = 500
MIN_TIMEOUT_S: Final = 5
MAX_TIMEOUT_S: Final = 30
DEFAULT_TIMEOUT_S: Final = 15
DEFAULT_GRACE: Final = timedelta(days=1)
MAX_GRACE: Final = timedelta(days=7)
API_VERSIONS: Final = (API_VERSION,)  # whose payloads can be written


class NewWebhookEndpoint(Struct, frozen=True, kw_only=True):
    """Where events are to be posted, and which."""

    url: str
    types: tuple[str, ...] = ("*",)  # event types or globs: invoice.created, hold.*, *
    description: str | None = None
    api_version: str = API_VERSION  # of the payloads, whatever the API does later
    include_backfill: bool = False  # bulk history too
    timeout_s: int = DEFAULT_TIMEOUT_S


class WebhookEndpointChange(Struct, frozen=True, kw_only=True):
    """What changes about an endpoint; `UNSET` leaves a field as it is."""

    url: str | UnsetType = UNSET
    types: tuple[str, ...] | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    api_version: str | UnsetType = UNSET
    include_backfill: bool | UnsetType = UNSET
    timeout_s: int | UnsetType = UNSET


async def create(
    session: TenantSession, new: NewWebhookEndpoint, now: datetime, *, ring: KeyRing, http: HttpSettings
) -> WebhookEndpointWithSecret:
    """Post events that happen from now on to a URL. Raises EndpointInvalid, TooManyEndpoints."""
    new = _checked(new, http)
    tenant_id, endpoint_id = tenant_of(session), ids.new_id()
    await _count(session)
    secrets = sealing.first()
    sealed = await sealing.seal(session, ring, endpoint_id, secrets)
    row = Endpoint(
        tenant_id=tenant_id,
        id=endpoint_id,
        version=1,
        state=EndpointState.ENABLED,
        key_version=sealed.key_version,
        secrets=sealed.secrets,
        position=await _log_head(session),
    )
    _write(row, new)
    session.add(row)
    after = WebhookEndpointView.of(row)
    emit(session, WebhookEndpointCreated(after, None, now))
    return WebhookEndpointWithSecret(webhook_endpoint=after, secret=secrets[0].text)


async def update(
    session: TenantSession,
    endpoint_id: UUID,
    change: WebhookEndpointChange,
    now: datetime,
    *,
    http: HttpSettings,
    expected_version: int | None = None,
) -> WebhookEndpointView:
    """Change what the change names; the same again changes nothing. Raises EndpointInvalid."""
    row = await access.endpoint(session, endpoint_id, lock=True, expected_version=expected_version)
    before = WebhookEndpointView.of(row)
    named = {name: value for name, value in structs.asdict(change).items() if value is not UNSET}
    _write(row, _checked(structs.replace(_draft(row), **named), http))
    after = WebhookEndpointView.of(row)
    if after == before:
        return before
    row.version += 1
    after = WebhookEndpointView.of(row)
    emit(session, WebhookEndpointUpdated(after, before, now))
    return after


async def enable(
    session: TenantSession,
    endpoint_id: UUID,
    now: datetime,
    *,
    catch_up: bool = True,
    expected_version: int | None = None,
) -> WebhookEndpointView:
    """Let a disabled endpoint get events again: with those of the meantime, or only those from now on."""
    row = await access.endpoint(session, endpoint_id, lock=True, expected_version=expected_version)
    if row.state is not EndpointState.DISABLED:
        raise EndpointNotDisabled
    before = WebhookEndpointView.of(row)
    row.state, row.disabled_code, row.disabled_at, row.failing_since_at = EndpointState.ENABLED, None, None, None
    row.version += 1
    if not catch_up:
        row.position = await _log_head(session)
    await recovery.unpark(session, endpoint_id, deliver=catch_up)
    after = WebhookEndpointView.of(row)
    emit(session, WebhookEndpointEnabled(after, before, now))
    return after


async def disable(
    session: TenantSession,
    endpoint_id: UUID,
    now: datetime,
    *,
    code: str = "requested",
    expected_version: int | None = None,
) -> WebhookEndpointView:
    """Send nothing more to an endpoint; what waits is parked until it is enabled. Raises EndpointNotEnabled."""
    row = await access.endpoint(session, endpoint_id, lock=True, expected_version=expected_version)
    if row.state is not EndpointState.ENABLED:
        raise EndpointNotEnabled
    before = WebhookEndpointView.of(row)
    row.state, row.disabled_code, row.disabled_at = EndpointState.DISABLED, code, now
    row.version += 1
    after = WebhookEndpointView.of(row)
    emit(session, WebhookEndpointDisabled(after, before, now))
    return after


async def rotate_secret(
    session: TenantSession,
    endpoint_id: UUID,
    now: datetime,
    *,
    ring: KeyRing,
    grace: timedelta = DEFAULT_GRACE,
    expected_version: int | None = None,
) -> WebhookEndpointWithSecret:
    """Sign with a new secret; during the grace the old one signs too, so that a receiver changes over in peace."""
    if not timedelta(0) <= grace <= MAX_GRACE:
        fault = Fault(pointer="/grace_s", code="out_of_range", message="between 0 and 7 days")
        raise EndpointInvalid(errors=[fault])
    row = await access.endpoint(session, endpoint_id, lock=True, expected_version=expected_version)
    before = WebhookEndpointView.of(row)
    at = system_now()  # receivers' clocks are real ones, a test clock ends no secret
    old = await sealing.read(session, ring, endpoint_id, Sealed(row.key_version, row.secrets))
    secrets = sealing.rotated(old, at + grace, at)
    sealed = await sealing.seal(session, ring, endpoint_id, secrets)
    row.key_version, row.secrets, row.version = sealed.key_version, sealed.secrets, row.version + 1
    after = WebhookEndpointView.of(row)
    emit(session, WebhookEndpointSecretRotated(after, before, now))
    return WebhookEndpointWithSecret(webhook_endpoint=after, secret=secrets[0].text)


async def ping(session: TenantSession, endpoint_id: UUID, now: datetime) -> WebhookEndpointView:
    """Send a test event to this endpoint alone, the way every event goes. Raises EndpointNotEnabled."""
    row = await access.endpoint(session, endpoint_id)
    if row.state is not EndpointState.ENABLED:
        raise EndpointNotEnabled
    view = WebhookEndpointView.of(row)
    emit(session, WebhookEndpointPinged(view, None, now))
    return view


async def remove(
    session: TenantSession, endpoint_id: UUID, now: datetime, *, expected_version: int | None = None
) -> None:
    """End an endpoint for good: its secret is destroyed, what waits for it is dropped, its deliveries stay readable."""
    row = await access.endpoint(session, endpoint_id, lock=True, expected_version=expected_version)
    before = WebhookEndpointView.of(row)
    row.state, row.secrets, row.version = EndpointState.REMOVED, b"", row.version + 1
    emit(session, WebhookEndpointRemoved(WebhookEndpointView.of(row), before, now))


def _checked(new: NewWebhookEndpoint, http: HttpSettings) -> NewWebhookEndpoint:
    """Refuse every fault at once."""
    faults = [fault] if (fault := url_fault(new.url, http)) is not None else []
    types = tuple(dict.fromkeys(new.types))
    faults += glob_faults(types, CATALOGUE, pointer="/types")
    if new.api_version not in API_VERSIONS:
        message = f"one of {', '.join(API_VERSIONS)}"
        faults.append(Fault(pointer="/api_version", code="version_unknown", message=message))
    if not MIN_TIMEOUT_S <= new.timeout_s <= MAX_TIMEOUT_S:
        message = f"between {MIN_TIMEOUT_S} and {MAX_TIMEOUT_S} seconds"
        faults.append(Fault(pointer="/timeout_s", code="out_of_range", message=message))
    description = clean(new.description or "", MAX_DESCRIPTION + 1) or None
    if len(description or "") > MAX_DESCRIPTION:
        faults.append(Fault(pointer="/description", code="too_long", message=f"at most {MAX_DESCRIPTION} characters"))
    if faults:
        raise EndpointInvalid(errors=faults)
    return structs.replace(new, types=types, description=description)


def _write(row: Endpoint, new: NewWebhookEndpoint) -> None:
    row.url, row.types, row.description = new.url, " ".join(new.types), new.description
    row.api_version, row.include_backfill, row.timeout_s = new.api_version, new.include_backfill, new.timeout_s


def _draft(row: Endpoint) -> NewWebhookEndpoint:
    return NewWebhookEndpoint(
        url=row.url,
        types=tuple(row.types.split()),
        description=row.description,
        api_version=row.api_version,
        include_backfill=row.include_backfill,
        timeout_s=row.timeout_s,
    )


async def _count(session: TenantSession) -> None:
    """Refuse one endpoint too many; under the tenant's lock, so that two at once are counted one by one."""
    await tenant_access.tenant(session, lock=True)
    others = select(func.count()).where(
        Endpoint.tenant_id == tenant_of(session), Endpoint.state != EndpointState.REMOVED
    )
    if (await session.execute(others)).scalar_one() >= MAX_ENDPOINTS:
        raise TooManyEndpoints


async def _log_head(session: TenantSession) -> int:
    """How far the tenant's log is numbered: what comes later is delivered."""
    return (await session.execute(_LOG_HEAD, {"tenant_id": tenant_of(session)})).scalar_one()


_LOG_HEAD: Final = text("select coalesce((select position from app.log_head where tenant_id = :tenant_id), 0)")
