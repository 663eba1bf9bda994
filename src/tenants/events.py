"""What happens to tenants, keys and clocks."""

from typing import ClassVar

from storage.events import Event
from tenants.views import ApiKeyView, ClockView, TenantView


class TenantCreated(Event[TenantView], frozen=True):
    """A tenant exists: a company's live data, or a sandbox of it."""

    type: ClassVar[str] = "tenant.created"


class TenantModeChanged(Event[TenantView], frozen=True):
    """What the dunning engine may do by itself has changed."""

    type: ClassVar[str] = "tenant.mode_changed"


class TenantStopped(Event[TenantView], frozen=True):
    """A kill switch was thrown: nothing leaves by that way until it is resumed."""

    type: ClassVar[str] = "tenant.stopped"


class TenantResumed(Event[TenantView], frozen=True):
    """A kill switch was set back."""

    type: ClassVar[str] = "tenant.resumed"


class ApiKeyCreated(Event[ApiKeyView], frozen=True):
    """A key was made; the event does not carry its secret."""

    type: ClassVar[str] = "api_key.created"


class ApiKeyRotated(Event[ApiKeyView], frozen=True):
    """A key was replaced and works until its new expiry."""

    type: ClassVar[str] = "api_key.rotated"


class ApiKeyRevoked(Event[ApiKeyView], frozen=True):
    """A key was ended."""

    type: ClassVar[str] = "api_key.revoked"


class ClockAdvanced(Event[ClockView], frozen=True):
    """A sandbox's test clock has reached the instant that was asked for."""

    type: ClassVar[str] = "clock.advanced"
