"""Schemas of the events, from the catalogue that the packages declare: for OpenAPI and for files."""

from typing import Any, Final

import casework.events
import dunning.events
import messaging.events
import receivables.events
import tenants.events
import webhooks.events
from api import schemas
from storage.events import CATALOGUE, personal_fields, view_type
from webhooks.bodies import WebhookBody

Json = dict[str, Any]  # Any: JSON
# Importing them fills the catalogue: a package with events stands here, or the document misses it.
DECLARED: Final = (
    casework.events, dunning.events, messaging.events, receivables.events, tenants.events, webhooks.events,
)  # fmt: skip
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def types() -> list[str]:
    """Every type of event, in the order of the alphabet."""
    return sorted(CATALOGUE)


def views() -> list[Any]:  # Any: the views of every package
    """What the schemas of events are made of: what is posted, and the views that events carry."""
    return [WebhookBody, *(view_type(CATALOGUE[kind]) for kind in types())]


def summary(kind: str) -> str:
    """What has happened, in one sentence."""
    return (CATALOGUE[kind].__doc__ or kind).strip().splitlines()[0]


def envelope(kind: str, reader: schemas.Reader) -> Json:
    """What is posted: the type, when it happened, and the object as it was then."""
    view = view_type(CATALOGUE[kind])
    data = reader.schema(view)
    personal = sorted(personal_fields(view))
    if personal:
        data = {"allOf": [data], "description": f"Null once the debtor is erased: {', '.join(personal)}."}
    properties = {"type": {"const": kind}, "data": data, "previous": {"type": "object"}}
    closer = {"type": "object", "properties": properties, "required": ["data", "type"]}
    return {"description": summary(kind), "allOf": [reader.schema(WebhookBody), closer]}


def files() -> dict[str, Json]:
    """A self-contained schema of each event's object, by type."""
    found: dict[str, Json] = {}
    for kind in types():
        reader = schemas.Reader([WebhookBody, view_type(CATALOGUE[kind])])
        schema = envelope(kind, reader)
        found[kind] = {"$schema": DRAFT, "title": kind, **schema, "components": {"schemas": reader.components()}}
    return found
