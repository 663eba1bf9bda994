"""Build the application: `create_app(resources, settings)`. Nothing is built when this module is imported."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from litestar import Controller, Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from api import documents, routes
from api.answers import Answer
from api.bodies import StrictRequest
from api.dependencies import dependencies
from api.edge import Api
from api.gateway import Gateway
from api.health import HealthController, metrics
from api.problems import Answering
from api.resources import MAX_BODY_BYTES, ApiSettings, Resources
from api.v1.registered import RESOURCES
from kernel.errors import AppError


def create_app(
    resources: Resources, settings: ApiSettings, *, controllers: Sequence[type[Controller]] = tuple(RESOURCES)
) -> Litestar:
    """The HTTP application over resources that its caller owns and closes."""
    gateway = Gateway(resources, settings)
    answering = Answering(settings.public_url)
    handlers: list[ControllerRouterHandler] = [*controllers, HealthController, metrics, *documents.HANDLERS]
    app = Api(
        route_handlers=handlers,
        middleware=[gateway],
        dependencies=dependencies(resources)
        | {
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "documents": Provide(lambda: written, sync_to_thread=False),
        },
        exception_handlers={
            AppError: answering.app_error,
            HTTPException: answering.http_error,
            Exception: answering.unexpected,
        },
        request_class=StrictRequest,
        response_class=Answer,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,  # api.openapi writes the document
        lifespan=[_until_drained],
        debug=False,
    )
    app.stand(resources, settings)
    gateway.plans = {handler: plan for _, handler, plan in routes.handlers(app)}
    written = documents.Documents(app, settings)
    return app


@asynccontextmanager
async def _until_drained(app: Litestar) -> AsyncGenerator[None]:
    """On the way out, readiness says so; the server lets the requests end that it has."""
    try:
        yield
    finally:
        assert isinstance(app, Api)  # noqa: S101 - narrows the type: create_app makes nothing else
        app.resources.drain.start()
