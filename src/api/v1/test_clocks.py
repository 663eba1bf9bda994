"""The test clock of a sandbox: a dunning path of months in a second."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from api.exchange import Exchange
from api.fields import Instant
from api.problems import problems
from api.routes import needs
from storage.session import TenantSession
from tenants import clocks
from tenants.errors import ClockAdvancing, ClockTargetInvalid, NoTestClock
from tenants.views import ClockView, JobView


class ClockAdvance(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the clock is to stand."""

    to: Instant


class Clocks(Controller):
    """A sandbox's business time stands still between advances."""

    path = "/v1/test_helpers/clock"
    tags = ["Test helpers"]

    @get(operation_id="getTestClock", opt=needs("test_helpers:read"), responses=problems(NoTestClock))
    async def read(self, session: NamedDependency[TenantSession]) -> ClockView:
        """Read the test clock."""
        return await clocks.clock(session)

    @post(
        "/advance",
        operation_id="advanceTestClock",
        status_code=202,
        opt=needs("test_helpers:write"),
        responses=problems(NoTestClock, ClockAdvancing, ClockTargetInvalid),
    )
    async def advance(
        self,
        session: NamedDependency[TenantSession],
        exchange: NamedDependency[Exchange],
        data: JSONBody[ClockAdvance],
    ) -> JobView:
        """Let business time go on. A job walks from one due instant to the next and lets each have its effect."""
        job = await clocks.advance(session, data.to)
        exchange.say("Location", f"/v1/jobs/{job.id}")
        return job
