"""Versions over HTTP: `ETag` is the object's version, `If-Match` and `If-None-Match` compare with it (RFC 9110)."""

import re
from typing import Final

from kernel.errors import PreconditionRequired

_TAG: Final = re.compile(r'(W/)?"([^"]*)"')
NOTHING: Final = -1  # no object has this version: the precondition cannot hold


def etag_of(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """The version that If-Match names: None when it is absent or `*`, NOTHING when it names none of ours.

    A weak tag never matches, and of several tags the first counts: an object has one version at a time.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.match(if_match.strip())
    if found is None or found[1] or not found[2].isascii() or not found[2].isdigit() or len(found[2]) > 18:  # noqa: PLR2004 - an int64
        return NOTHING
    return int(found[2])


def required_version(if_match: str | None) -> int | None:
    """As `expected_version`, where a change without If-Match is refused; raises PreconditionRequired."""
    if if_match is None:
        raise PreconditionRequired
    return expected_version(if_match)


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller holds this version already; here weak tags match too."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(f'"{found[2]}"' == etag for found in _TAG.finditer(if_none_match))
