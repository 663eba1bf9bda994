"""The contract as text for files: `relance openapi` and `relance events` write and check them."""

import msgspec

from api import event_schemas, openapi
from api.app import create_app
from api.resources import ApiSettings, Resources

PUBLIC_URL = "https://api.example.com"  # the committed document names no machine


def openapi_text(resources: Resources) -> str:
    """`openapi/openapi.json`, the same bytes for the same code. Nothing is connected to."""
    app = create_app(resources, ApiSettings(public_url=PUBLIC_URL))
    return openapi.written(openapi.document(app, PUBLIC_URL)).decode()


def event_texts() -> dict[str, str]:
    """`openapi/events/<type>.json`, by type."""
    return {
        kind: msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2).decode() + "\n"
        for kind, schema in event_schemas.files().items()
    }
