"""The HTTP application, over what the process has opened."""

from typing import Any

from api.app import create_app
from api.limiting import Quota, RateSettings, ValkeyLimiter
from api.resources import ApiSettings, Drain, Egress, Resources
from cli.settings import Settings
from cli.world import Servers
from runtime.metrics import Metrics
from storage.blobs import PostgresBlobs
from storage.database import Database
from workers.doorbell import client_of


def build_app(settings: Settings, where: Servers, database: Database) -> Any:  # Any: an ASGI application
    """The API over an open database."""
    rate = settings.requests_per_minute
    resources = Resources(
        database=database,
        signing_secret=database.keys.provider.derive("cursors"),
        metrics=Metrics(),
        egress=Egress(settings.http),
        limiter=ValkeyLimiter(client_of(where.redis), RateSettings(key=Quota(rate, 60), tenant=Quota(5 * rate, 60))),
        blobs=PostgresBlobs(database.keys),
        drain=Drain(),
    )
    return create_app(resources, ApiSettings(public_url=settings.public_url, metrics_token=settings.metrics_token))
