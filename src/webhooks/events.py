"""What happens to endpoints. The signing secret is in none of them."""

from typing import ClassVar

from storage.events import Event
from webhooks.matching import PINGED
from webhooks.views import WebhookEndpointView


class WebhookEndpointCreated(Event[WebhookEndpointView], frozen=True):
    """Events are posted to a new endpoint from now on."""

    type: ClassVar[str] = "webhook_endpoint.created"


class WebhookEndpointUpdated(Event[WebhookEndpointView], frozen=True):
    """An endpoint's address or choice of events has changed."""

    type: ClassVar[str] = "webhook_endpoint.updated"


class WebhookEndpointEnabled(Event[WebhookEndpointView], frozen=True):
    """A disabled endpoint gets events again."""

    type: ClassVar[str] = "webhook_endpoint.enabled"


class WebhookEndpointDisabled(Event[WebhookEndpointView], frozen=True):
    """An endpoint gets nothing more until it is enabled: by request, by its own answer, or after failing too long."""

    type: ClassVar[str] = "webhook_endpoint.disabled"


class WebhookEndpointSecretRotated(Event[WebhookEndpointView], frozen=True):
    """An endpoint signs with a new secret; the old one signs beside it until the end of its grace."""

    type: ClassVar[str] = "webhook_endpoint.secret_rotated"


class WebhookEndpointPinged(Event[WebhookEndpointView], frozen=True):
    """A test, asked for by hand; only the endpoint that it is about gets it, whatever its event types."""

    type: ClassVar[str] = PINGED


class WebhookEndpointRemoved(Event[WebhookEndpointView], frozen=True):
    """An endpoint is gone; what was still to be delivered to it is dropped."""

    type: ClassVar[str] = "webhook_endpoint.removed"
