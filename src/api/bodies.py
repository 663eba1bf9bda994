"""Read a JSON body strictly, and say everything that is wrong with it at once.

The framework would coerce ("12" for a number) and stop at the first error; here nothing is coerced, NUL is refused,
text is brought to NFC, and a second pass over a refused body names every fault.
"""

import types
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

import msgspec
from litestar import Request
from litestar.datastructures import State
from msgspec import Struct, structs

from api.exchange import Exchange, exchange_of
from kernel.errors import Fault, Invalid, Malformed

MAX_FAULTS: Final = 20
MAX_DEPTH: Final = 32
MAX_EXACT: Final = 2.0**53  # beyond it a float skips integers
_EMPTY: Final[tuple[object, ...]] = ({}, None)


class StrictRequest(Request[Any, Any, State]):  # Any: there is no user and no auth of the framework's
    """A request whose JSON is read by `read`, from the body that the gateway has taken in."""

    async def json(self) -> Any:  # Any: the framework's own signature
        field = self.route_handler.parsed_data_field
        if field is None:
            return None
        exchange = exchange_of(self.scope)
        if not exchange.body:  # an open operation: the gateway has read nothing for it
            decode(exchange, await self.body())
        return read(field.annotation, exchange.content)


def decode(exchange: Exchange, body: bytes) -> None:
    """Read the bytes of a body as JSON; raises Malformed, and Invalid for a NUL."""
    exchange.body = body
    if not body:
        exchange.content = None
        return
    try:
        content: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("The body is not JSON.") from None
    if b"\\u" in body or not body.isascii():  # plain ASCII without escapes is NFC and holds no NUL
        content = _tidy(content, "/body", 0)
    exchange.content = content


def read(kind: Any, content: object) -> Any:  # Any: the type of an input, and a value of it
    """Make a handler's input of a decoded body; raises Invalid with every fault."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError:
        content = _whole(content)  # JSON has one kind of number: 1.0 is the integer 1
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        found = list(islice(faults(kind, content, "/body"), MAX_FAULTS))
        raise Invalid(errors=found or [_fault(str(error), "/body")]) from None


def faults(kind: Any, value: object, pointer: str) -> Iterator[Fault]:  # Any: any type that an input may have
    """Everything that is wrong with a value, field by field."""
    struct, items = _arms(kind)
    if struct is not None and isinstance(value, Mapping):
        yield from _faults_of_fields(struct, cast("Mapping[str, object]", value), pointer)
    elif items is not None and isinstance(value, list):
        for place, item in enumerate(cast("list[object]", value)):
            yield from faults(items, item, f"{pointer}/{place}")
        yield from _own(kind, cast("list[object]", value), pointer, inner=True)
    else:
        yield from _own(kind, value, pointer)


def _faults_of_fields(struct: type[Struct], value: Mapping[str, object], pointer: str) -> Iterator[Fault]:
    hints = {field.encode_name: field for field in structs.fields(struct)}
    found = False
    if struct.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in hints:
                found = True
                yield Fault(pointer=f"{pointer}/{_escaped(name)}", code="unknown_field", message="no such field")
    for name, field in hints.items():
        if name in value:
            for fault in faults(field.type, value[name], f"{pointer}/{_escaped(name)}"):
                found = True
                yield fault
        elif field.required:
            found = True
            yield Fault(pointer=f"{pointer}/{_escaped(name)}", code="required", message="this field is required")
    if not found:  # a rule over several fields
        yield from _own(struct, value, pointer)


def _own(kind: Any, value: object, pointer: str, *, inner: bool = False) -> Iterator[Fault]:  # Any: as in faults
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if not inner or " - at " not in str(error):  # what is wrong inside was told already
            yield _fault(str(error), pointer)


def _arms(kind: Any) -> tuple[type[Struct] | None, Any]:  # Any: as in faults
    """The struct that a type holds, or the type of its items."""
    if get_origin(kind) is Annotated:
        return _arms(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        arms = [arm for arm in get_args(kind) if arm not in (type(None), msgspec.UnsetType)]
        return _arms(arms[0]) if len(arms) == 1 else (None, None)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind, None
    if get_origin(kind) in (list, Sequence):
        return None, get_args(kind)[0]
    return None, None


def _fault(message: str, pointer: str) -> Fault:
    said, _, place = message.partition(" - at ")
    inside = place.strip("`").removeprefix("$").replace("[", "/").replace("]", "").replace(".", "/")
    return Fault(pointer=pointer + inside, code="invalid_value", message=said)


def _escaped(name: str) -> str:
    return shown(name).replace("~", "~0").replace("/", "~1")


def shown(name: str) -> str:
    """A name that came from outside, fit to be said in an answer."""
    return "".join(character if character.isprintable() else "?" for character in name[:100])


def _whole(value: object) -> object:
    """Floats without a fraction as integers."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= MAX_EXACT else value
    if isinstance(value, list):
        return [_whole(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in cast("dict[str, object]", value).items()}
    return value


def _tidy(value: object, pointer: str, depth: int) -> object:
    """Text in NFC and without NUL, keys included."""
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid(errors=[Fault(pointer=pointer, code="nul", message="text holds no NUL character")])
        return unicodedata.normalize("NFC", value)
    if depth > MAX_DEPTH:
        raise Invalid(errors=[Fault(pointer=pointer[:200], code="too_deep", message="nested too deeply")])
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [_tidy(item, f"{pointer}/{place}", depth + 1) for place, item in enumerate(items)]
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        return {
            cast("str", _tidy(name, pointer, depth)): _tidy(item, f"{pointer}/{_escaped(name)}", depth + 1)
            for name, item in pairs.items()
        }
    return value


def is_empty(content: object) -> bool:
    """Whether a body says nothing: absent, null or an empty object."""
    return content in _EMPTY
