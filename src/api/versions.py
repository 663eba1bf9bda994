"""Dated versions of the API: handlers speak the newest; an answer is rewritten, step by step, for an older one.

A key is pinned to the version of the day it was made; `Relance-Version` overrides it for one request.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from api.errors import VersionUnknown
from kernel.errors import Fault

VERSIONS: Final = ("2026-11-01",)  # oldest first
NEWEST: Final = VERSIONS[-1]
HEADER: Final = b"relance-version"

Body = dict[str, object]


class Change(Struct, frozen=True):
    """What a version changed: how an answer of it is written for the version before."""

    version: str  # the first version that has the change
    operations: frozenset[str]  # operation ids whose answers it concerns
    rewrite: Callable[[Body], Body]


CHANGES: Final[tuple[Change, ...]] = ()


def version_of(asked: str | None, pinned: str, known: tuple[str, ...] = VERSIONS) -> str:
    """The version of a request: what it asks for, else what its key is pinned to; raises VersionUnknown."""
    if asked is None:
        return pinned if pinned in known else known[-1]
    if asked not in known:
        message = f"one of {', '.join(known)}"
        raise VersionUnknown(errors=[Fault(pointer="/header/Relance-Version", code="version_unknown", message=message)])
    return asked


def rewritten(body: bytes, operation_id: str, version: str, changes: tuple[Change, ...] = CHANGES) -> bytes:
    """An answer as a version has it: every later change is taken back, the newest first."""
    due = [change for change in reversed(changes) if change.version > version and operation_id in change.operations]
    if not due or not body:
        return body
    content: Body = msgspec.json.decode(body)
    for change in due:
        content = change.rewrite(content)
    return msgspec.json.encode(content)
