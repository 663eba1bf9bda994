"""JSON Schemas of the structs, as msgspec checks them, with what is refused for every text: a NUL."""

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from litestar.params import ParameterKwarg
from msgspec import Struct, structs

from api.fields import ID, pattern_of

Json = dict[str, Any]  # Any: JSON
NO_NUL: Final = "^[^\\u0000]*$"
REF: Final = "#/components/schemas/{name}"
_CONSTRAINTS: Final = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum", "min_length": "minLength",
    "max_length": "maxLength", "pattern": "pattern", "min_items": "minItems", "max_items": "maxItems",
}  # fmt: skip
_CLOSED_TEXT: Final = ("pattern", "format", "enum", "const", "contentEncoding")


class Reader:
    """Schemas of many types with their shared components."""

    def __init__(self, kinds: Sequence[Any]) -> None:  # Any: types of every kind
        distinct = list({repr(kind): kind for kind in kinds}.values())
        found, components = msgspec.json.schema_components(distinct, ref_template=REF, schema_hook=_hook)
        self._schemas = {repr(kind): schema for kind, schema in zip(distinct, found, strict=True)}
        self._components: Json = {name: tidy(schema) for name, schema in sorted(components.items())}

    def schema(self, kind: Any) -> Json:  # Any: a type of any kind
        """The schema of a type: a reference where it is a struct."""
        return tidy(self._schemas[repr(kind)])

    def components(self) -> Json:
        """Every struct by name."""
        return self._components

    def fields(self, kind: Any) -> tuple[str, ...]:  # Any: a type of any kind
        """The fields of an answer, where it is a struct."""
        plain = getattr(kind, "__origin__", kind)
        if isinstance(plain, type) and issubclass(plain, Struct):
            return tuple(field.encode_name for field in structs.fields(plain))
        return ()

    def holder_of_id(self, kind: Any) -> str:  # Any: a type of any kind
        """The field of an answer that holds the object, where the answer is more than the object."""
        if not self.fields(kind):
            return ""
        return next((field.encode_name for field in structs.fields(kind) if "id" in self.fields(field.type)), "")

    def parameter(self, kind: Any, definition: ParameterKwarg) -> Json:  # Any: the type of a parameter
        """The schema of a query or header parameter, which cannot be null."""
        schema = msgspec.json.schema(kind)
        arms = [arm for arm in cast("list[Json]", schema.get("anyOf", [])) if arm != {"type": "null"}]
        if len(arms) == 1:
            schema = arms[0]
        if "$ref" in schema:  # an enumeration, written in place
            schema = cast("Json", schema.get("$defs") or msgspec.json.schema(kind)["$defs"])[
                schema["$ref"].split("/")[-1]
            ]
        for name, keyword in _CONSTRAINTS.items():
            value: object = getattr(definition, name)
            if value is not None:
                schema[keyword] = value
        return tidy({name: value for name, value in schema.items() if name not in {"$defs", "title", "description"}})


def _name_ids(name: str, schema: Json) -> None:
    """Say of which kind the ids of a field are; an input that takes any is as strict as one that says it."""
    if schema.get("pattern") == ID:
        schema["pattern"] = pattern_of(name)
    for part in (*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])):
        _name_ids(name, part)


def _hook(kind: type) -> Json:
    if kind is object:  # facts of a decision: any JSON
        return {"description": "Any JSON value."}
    raise NotImplementedError


def tidy(schema: Any) -> Any:  # Any: a part of a JSON Schema
    """Refuse NUL in every open text, and let no default stand that the type does not admit."""
    if isinstance(schema, list):
        return [tidy(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found: Json = {name: tidy(value) for name, value in cast("Json", schema).items()}
    for name, kind in cast("Json", found.get("properties", {})).items():
        _name_ids(name, kind)
    if found.get("type") == "string" and not any(name in found for name in _CLOSED_TEXT):
        found["pattern"] = NO_NUL
    return found
