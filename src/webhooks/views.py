"""Endpoints, deliveries and attempts as the world sees them, in answers and in events."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from kernel import ids
from webhooks.models import Delivery, DeliveryAttempt, DeliveryState, Endpoint, EndpointState

MAX_RESPONSE: Final = 16 * 1024  # characters, of what a receiver answered


class ShownState(StrEnum):
    """A delivery's states as the world sees them."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    PARKED = "parked"
    DROPPED = "dropped"


_STATES: Final = {
    DeliveryState.PENDING: ShownState.PENDING,
    DeliveryState.LEASED: ShownState.SENDING,
    DeliveryState.DELIVERED: ShownState.DELIVERED,
    DeliveryState.EXHAUSTED: ShownState.EXHAUSTED,
    DeliveryState.PARKED: ShownState.PARKED,
    DeliveryState.DROPPED: ShownState.DROPPED,
}
STORED: Final = {shown: state for state, shown in _STATES.items()}


class WebhookEndpointView(Struct, frozen=True, kw_only=True):
    """Where a tenant wants its events posted. Its signing secret is shown once, when it is made."""

    id: str
    version: int
    url: str
    description: str | None
    types: list[str]
    api_version: str
    include_backfill: bool
    timeout_s: int
    state: EndpointState
    disabled_code: str | None  # requested | gone | asked | failing
    disabled_at: datetime | None

    @classmethod
    def of(cls, row: Endpoint) -> "WebhookEndpointView":
        """Show an endpoint."""
        return cls(
            id=ids.encode("whe", row.id),
            version=row.version,
            url=row.url,
            description=row.description,
            types=row.types.split(),
            api_version=row.api_version,
            include_backfill=row.include_backfill,
            timeout_s=row.timeout_s,
            state=row.state,
            disabled_code=row.disabled_code,
            disabled_at=row.disabled_at,
        )


class WebhookEndpointWithSecret(Struct, frozen=True, kw_only=True):
    """An endpoint with its new secret, which is never shown again: a repeated request answers null."""

    webhook_endpoint: WebhookEndpointView
    secret: str | None


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One event for one endpoint, and how far it has come."""

    id: str
    webhook_endpoint_id: str
    event_id: str
    state: ShownState
    attempts: int  # since it was last made pending by hand
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    recorded_at: datetime

    @classmethod
    def of(cls, row: Delivery) -> "DeliveryView":
        """Show a delivery."""
        state = DeliveryState(row.state)
        return cls(
            id=ids.encode("dlv", row.id),
            webhook_endpoint_id=ids.encode("whe", row.endpoint_id),
            event_id=ids.encode("evt", row.event_id),
            state=_STATES[state],
            attempts=row.attempts,
            next_attempt_at=row.run_at if state is DeliveryState.PENDING else None,
            delivered_at=row.delivered_at,
            last_status=row.last_status,
            recorded_at=row.recorded_at,
        )


class DeliveryAttemptView(Struct, frozen=True, kw_only=True):
    """One try: what was answered, or why nothing was."""

    id: str
    status: int | None
    error: str | None  # the class of the failure, where there was no answer
    detail: str | None
    duration_ms: int
    response: str | None  # the head of the answer's body; what is no text is shown as �
    recorded_at: datetime

    @classmethod
    def of(cls, row: DeliveryAttempt) -> "DeliveryAttemptView":
        """Show an attempt."""
        return cls(
            id=ids.encode("dla", row.id),
            status=row.status,
            error=row.error,
            detail=row.detail,
            duration_ms=row.duration_ms,
            response=None if row.response is None else row.response.decode("utf-8", "replace")[:MAX_RESPONSE],
            recorded_at=row.recorded_at,
        )


class DeliveryWithAttempts(Struct, frozen=True, kw_only=True):
    """A delivery and its attempts, the newest first."""

    delivery: DeliveryView
    attempts: list[DeliveryAttemptView]
