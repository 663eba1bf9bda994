"""The tenant of the key: its mode and its kill switches."""

from datetime import datetime

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType

from api.fields import Name, Reason
from api.problems import problems
from api.routes import needs
from kernel.errors import PreconditionFailed, PreconditionRequired
from storage.session import TenantSession
from tenants import access, modes, switches
from tenants.errors import SwitchUnknown
from tenants.models import Mode
from tenants.views import TenantView


class TenantPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a tenant can be changed."""

    mode: Mode | UnsetType = UNSET


class Stop(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which switch is thrown, and why."""

    scope: Name = "tenant"
    reason: Reason


class Resume(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which switch is set back."""

    scope: Name = "tenant"


class TenantController(Controller):
    """The one tenant that a key belongs to."""

    path = "/v1/tenant"
    tags = ["Tenant"]

    @get(operation_id="getTenant", opt=needs("tenant:read"), responses=problems())
    async def read(self, session: NamedDependency[TenantSession]) -> TenantView:
        """Read the tenant: live or sandbox, its mode, its kill switches."""
        return await access.view(session)

    @patch(
        operation_id="updateTenant",
        opt=needs("tenant:write"),
        responses=problems(PreconditionFailed, PreconditionRequired),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        required_version: NamedDependency[int | None],
        data: JSONBody[TenantPatch],
    ) -> TenantView:
        """Change what the dunning engine may do by itself: `off`, `review` or `automatic`."""
        if data.mode is UNSET:
            return await access.view(session)
        return await modes.set_mode(session, data.mode, now, expected_version=required_version)

    @post(
        "/stop",
        operation_id="stopTenant",
        status_code=200,
        opt=needs("tenant:write"),
        responses=problems(SwitchUnknown),
    )
    async def stop(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[Stop]
    ) -> TenantView:
        """Throw a kill switch: from now on nothing leaves by that way. What a provider has already is gone."""
        return await switches.stop(session, data.scope, data.reason, now)

    @post(
        "/resume",
        operation_id="resumeTenant",
        status_code=200,
        opt=needs("tenant:write"),
        responses=problems(SwitchUnknown),
    )
    async def resume(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[Resume]
    ) -> TenantView:
        """Set a kill switch back: what is due is decided anew and may leave."""
        return await switches.resume(session, data.scope, now)
