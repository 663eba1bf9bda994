"""The API in tests: the application on the test's own loop, and clients of two tenants.

A folder whose tests speak to the API has a conftest.py that says `from support.api import *`.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, cast
from uuid import UUID

import httpx
import pytest
import structlog
from httpx import AsyncClient
from litestar import Controller, Litestar

from api.app import create_app
from api.resources import ApiSettings, Drain, Resources
from api.v1.registered import RESOURCES
from kernel.clock import system_now
from runtime.metrics import Metrics
from storage.blobs import PostgresBlobs
from storage.database import Database
from storage.relay import stamp
from support.tenants import CAUSE
from tenants import keys

BASE_URL: Final = "http://relance.test"
SETTINGS: Final = ApiSettings(public_url=BASE_URL, metrics_token="metrics-token")

_HELD: Final[list[Resources]] = []
_BUILT: Final[dict[tuple[ApiSettings, tuple[type[Controller], ...]], Litestar]] = {}

__all__ = [
    "alice",
    "app",
    "app_of",
    "bob",
    "client_of",
    "make_key",
    "number_events",
    "plain_logs",
    "resources",
    "settings",
]


async def make_key(database: Database, tenant_id: UUID, *scopes: str) -> str:
    """The secret of a new key with these scopes, or with all."""
    async with database.tenant(tenant_id, CAUSE) as session:
        made = await keys.create(session, name="test", scopes=scopes or ("*",), now=system_now())
    assert made.secret is not None
    return made.secret


def client_of(app: Litestar, secret: str | None, **headers: str) -> AsyncClient:
    """A client of the application with a key, or with none."""
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=True)
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    return AsyncClient(transport=transport, base_url=BASE_URL, headers=headers)


async def number_events(database: Database) -> None:
    """Do the relay's work once: give every committed event its place in the log."""
    async with database.queue() as session:
        await stamp(session)


@pytest.fixture(autouse=True, scope="session")
def plain_logs() -> None:
    """Until a process configures its logs, structlog draws tracebacks with every variable: seconds for each."""
    processors = [structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    structlog.configure(processors=processors, wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@pytest.fixture
def resources(database: Database) -> Resources:
    """What the application stands on, made anew for each test; applications are built once and find it there."""
    fresh = Resources(
        database=database,
        signing_secret=b"a secret of tests",
        metrics=Metrics(),
        blobs=PostgresBlobs(database.keys),
        drain=Drain(),
    )
    if not _HELD:
        _HELD.append(fresh)
    for name in fresh.__struct_fields__:
        setattr(_HELD[0], name, getattr(fresh, name))
    return _HELD[0]


@pytest.fixture
def settings() -> ApiSettings:
    return SETTINGS


def app_of(
    resources: Resources, settings: ApiSettings = SETTINGS, controllers: Sequence[type[Controller]] = tuple(RESOURCES)
) -> Litestar:
    """The application of these controllers; building it takes longer than most tests, so it is built once."""
    if not _HELD or resources is not _HELD[0]:  # a test's own
        return create_app(resources, settings, controllers=controllers)
    wanted = (settings, tuple(controllers))
    if wanted not in _BUILT:
        _BUILT[wanted] = create_app(resources, settings, controllers=controllers)
    return _BUILT[wanted]


@pytest.fixture
async def app(resources: Resources, settings: ApiSettings) -> AsyncGenerator[Litestar]:
    app = app_of(resources, settings)
    async with app.lifespan():
        yield app


@pytest.fixture
async def alice(app: Litestar, database: Database, tenant_id: UUID) -> AsyncGenerator[AsyncClient]:
    """A client with every scope in `tenant_id`."""
    async with client_of(app, await make_key(database, tenant_id)) as client:
        yield client


@pytest.fixture
async def bob(app: Litestar, database: Database, other_tenant_id: UUID) -> AsyncGenerator[AsyncClient]:
    """A client with every scope in another tenant."""
    async with client_of(app, await make_key(database, other_tenant_id)) as client:
        yield client
