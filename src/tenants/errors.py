"""What a caller can do wrong with accounts, tenants, keys and clocks."""

from datetime import datetime
from uuid import UUID

from kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated


class AccountNotFound(NotFound):
    """There is no such account."""

    code = "account_not_found"
    remedy = "Create the account first: relance account create SLUG."


class AccountSlugTaken(Conflict):
    """Another account has this slug."""

    code = "account_slug_taken"
    remedy = "Choose another slug."


class TenantNotFound(NotFound):
    """There is no such tenant."""

    code = "tenant_not_found"


class TenantSlugTaken(Conflict):
    """Another tenant has this slug."""

    code = "tenant_slug_taken"
    remedy = "Choose another slug."


class LiveTenantExists(Conflict):
    """The account has its live tenant already."""

    code = "live_tenant_exists"
    remedy = "Use the live tenant, or create a sandbox."


class SlugInvalid(Invalid):
    """A slug is 2 to 63 lower-case letters, digits and dashes, and begins and ends with a letter or a digit."""

    code = "slug_invalid"
    remedy = "Use letters a to z, digits and single dashes: 'atelier-nord'."


class KeyRefused(Unauthenticated):
    """No valid credential came with the request."""

    def __init__(self, tenant_id: UUID, key_id: UUID, why: str) -> None:
        super().__init__()
        self.tenant_id, self.key_id, self.why = tenant_id, key_id, why  # for the access row, never for the answer


class ScopeUnknown(Invalid):
    """There is no such scope."""

    code = "scope_unknown"
    remedy = "Use scopes of the form resource:read, resource:write or resource:approve that the documentation lists."


class ScopeNotHeld(Forbidden):
    """A credential can only pass on scopes that it has itself."""

    code = "scope_not_held"
    remedy = "Ask for scopes that your own key carries, or use a key that carries more."


class ApiKeyNotFound(NotFound):
    """There is no such object."""


class ApiKeyNotActive(Conflict):
    """The key is revoked or has expired."""

    code = "api_key_not_active"
    remedy = "Create a new key."


class NoTestClock(Conflict):
    """The tenant lives in real time: only a sandbox that was created with a test clock has one."""

    code = "no_test_clock"
    remedy = "Create a sandbox with a test clock and use its key."


class ClockAdvancing(Conflict):
    """The test clock is still on its way to an earlier target."""

    code = "clock_advancing"
    remedy = "Wait until the job that GET /v1/test_helpers/clock names is done."


class ClockTargetInvalid(Invalid):
    """A test clock goes forward only, and at most two years at a time."""

    code = "clock_target_invalid"
    remedy = "Choose an instant after the clock's now, at most two years ahead."

    def __init__(self, now: datetime) -> None:
        super().__init__(f"The clock stands at {now.isoformat()}.")


class SwitchUnknown(NotFound):
    """There is no such kill switch."""

    code = "switch_unknown"
    remedy = "Use the scope 'tenant' or one of the channels that GET /v1/tenant lists."


class JobNotFound(NotFound):
    """There is no such object."""
