"""The contract as text for files, which `relance openapi` and `relance events` write and check."""

from typing import Final

from api import event_schemas as schemas_of
from api import openapi
from api.app import create_app
from api.edge import Api
from api.resources import ApiSettings, Drain, Resources
from runtime.metrics import Metrics
from storage.database import Database, Urls
from storage.encryption import SealBroken
from storage.registry import Registry

PUBLIC_URL: Final = "https://api.example.com"  # the committed document names no machine


class _NoKeys:
    """Stands where a key provider would: writing a document seals nothing."""

    kek_id = "none"

    def wrap(self, key: bytes, context: bytes) -> bytes:
        raise SealBroken

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        raise SealBroken

    def derive(self, purpose: str) -> bytes:
        raise SealBroken


def openapi_text() -> str:
    """`openapi/openapi.json`, the same bytes for the same code."""
    database = Database(Urls(app="postgresql+asyncpg://nobody@localhost/nothing"), _NoKeys(), Registry())
    resources = Resources(database=database, signing_secret=b"", metrics=Metrics(), drain=Drain())
    app = create_app(resources, ApiSettings(public_url=PUBLIC_URL))
    assert isinstance(app, Api)  # noqa: S101 - narrows the type: create_app makes nothing else
    return openapi.written(openapi.document(app, PUBLIC_URL)).decode()


def event_schemas() -> dict[str, str]:
    """`openapi/events/<type>.json`, by type."""
    return {kind: openapi.written(schema).decode() for kind, schema in schemas_of.files().items()}
