"""Which events an endpoint asks for: globs over the catalogue of event types. Pure."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from kernel.errors import Fault

MAX_GLOBS: Final = 50
MAX_GLOB: Final = 100
MAX_STARS: Final = 3  # of one glob: each multiplies what a match may cost
PINGED: Final = "webhook_endpoint.pinged"  # goes to the endpoint that it is about, and to no other

_GLOB: Final = re.compile(r"[a-z0-9_.*]+")


def glob_faults(globs: Sequence[str], catalogue: Iterable[str], *, pointer: str) -> list[Fault]:
    """What is wrong with an endpoint's globs: each must be readable and name at least one type that exists."""
    if not 1 <= len(globs) <= MAX_GLOBS:
        return [Fault(pointer=pointer, code="types_count", message=f"Give 1 to {MAX_GLOBS} event types or globs.")]
    known = list(catalogue)
    return [
        Fault(pointer=f"{pointer}/{place}", code="event_type_unknown", message="No event type is called so.")
        for place, glob in enumerate(globs)
        if not _is_readable(glob) or not any(wants(glob, kind) for kind in known)
    ]


def _is_readable(glob: str) -> bool:
    return len(glob) <= MAX_GLOB and _GLOB.fullmatch(glob) is not None and glob.count("*") <= MAX_STARS


@lru_cache(maxsize=20_000)  # some hundred event types, and few endpoints with globs of their own
def wants(globs: str, event_type: str) -> bool:
    """Whether one of these space-separated globs takes an event type; a star stands for any characters.

    >>> wants("hold.* invoice.created", "hold.released"), wants("hold.*", "handling.set")
    (True, False)
    """
    return any(_pattern(glob).fullmatch(event_type) for glob in globs.split())


@lru_cache(maxsize=2_000)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")))
