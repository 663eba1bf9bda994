"""Schemas of the events, from the catalogue that the packages declare: for OpenAPI and for files."""

from typing import Any, Final

from api import schemas
from storage.events import CATALOGUE, personal_fields, view_type

Json = dict[str, Any]  # Any: JSON
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def types() -> list[str]:
    """Every type of event, in the order of the alphabet."""
    return sorted(CATALOGUE)


def views() -> list[Any]:  # Any: the views of every package
    """The views that events carry."""
    return [view_type(CATALOGUE[kind]) for kind in types()]


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
    return {
        "type": "object",
        "description": summary(kind),
        "properties": {
            "id": {"type": "string", "pattern": "^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$"},
            "type": {"const": kind},
            "timestamp": {"type": "string", "format": "date-time"},
            "sequence": {"type": "integer", "minimum": 1, "description": "The version of the object."},
            "data": data,
            "previous": {"type": "object", "description": "What the changed fields held before."},
        },
        "required": ["data", "type"],
    }


def files() -> dict[str, Json]:
    """A self-contained schema of each event's object, by type."""
    found: dict[str, Json] = {}
    for kind in types():
        reader = schemas.Reader([view_type(CATALOGUE[kind])])
        schema = envelope(kind, reader)
        found[kind] = {"$schema": DRAFT, "title": kind, **schema, "components": {"schemas": reader.components()}}
    return found
