"""Whether the process lives, has started, and can serve; and what it counts about itself."""

import asyncio
import hmac
from typing import Annotated, Final

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from msgspec import Struct
from sqlalchemy import text

from api.errors import Unavailable
from api.problems import is_passing, problems
from api.resources import ApiSettings, Resources
from api.routes import PUBLIC
from kernel.errors import NotFound
from runtime.metrics import CONTENT_TYPE

PROBE_S: Final = 1.0


class Health(Struct, frozen=True):
    """The state of this process."""

    status: str


class HealthController(Controller):
    """Probes, for whoever runs the process."""

    path = "/health"
    tags = ["Health"]
    opt = PUBLIC

    @get("/live", operation_id="isAlive", sync_to_thread=False, responses=problems())
    def live(self) -> Health:
        """The process runs."""
        return Health("ok")

    @get("/startup", operation_id="hasStarted", responses=problems())
    async def startup(self, resources: NamedDependency[Resources]) -> Health:
        """The process has reached its database."""
        await _probe(resources)
        return Health("ok")

    @get("/ready", operation_id="isReady", responses=problems())
    async def ready(self, resources: NamedDependency[Resources]) -> Health:
        """The process can serve: it reaches its database and is not on its way out."""
        if resources.drain.begun:
            raise Unavailable
        await _probe(resources)
        return Health("ok")


@get("/metrics", operation_id="readMetrics", include_in_schema=False, opt=PUBLIC, sync_to_thread=False)
def metrics(
    resources: NamedDependency[Resources],
    settings: NamedDependency[ApiSettings],
    authorization: Annotated[str | None, HeaderParameter(name="Authorization")] = None,
) -> Response[bytes]:
    """What the process counts, in Prometheus form, for the holder of the token of the settings."""
    wanted = settings.metrics_token
    if not wanted or not hmac.compare_digest((authorization or "").encode(), f"Bearer {wanted}".encode()):
        raise NotFound
    return Response(resources.metrics.render(), media_type=CONTENT_TYPE)


async def _probe(resources: Resources) -> None:
    try:
        async with asyncio.timeout(PROBE_S), resources.database.directory() as session:
            await session.execute(text("select 1"))
    except Exception as error:
        if is_passing(error):
            raise Unavailable from None
        raise
