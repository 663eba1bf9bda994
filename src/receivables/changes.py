"""Apply changes to rows: what a change names, and the unique keys that may refuse it."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from msgspec import UNSET, Struct, structs
from sqlalchemy.exc import IntegrityError

from kernel.errors import AppError, PreconditionFailed
from storage.base import Base
from storage.session import TenantSession

S = TypeVar("S", bound=Struct)


def expect(version: int, expected: int | None) -> None:
    """Refuse to change another version than the caller has read. Raises PreconditionFailed."""
    if expected is not None and version != expected:
        raise PreconditionFailed


def named(change: Struct) -> dict[str, Any]:  # Any: each field has its own type
    """The fields that a change names, with their new values."""
    return {name: value for name, value in structs.asdict(change).items() if value is not UNSET}


def draft_of(kind: type[S], row: Base, **others: Any) -> S:  # Any: each field has its own type
    """A row's present values in the form in which they were handed in; `others` are not its columns."""
    values = {name: getattr(row, name) for name in kind.__struct_fields__ if name not in others}
    return kind(**values, **others)


def copy_to(row: Base, draft: Struct, names: Iterable[str]) -> None:
    """Write these fields of a draft to its row."""
    for name in names:
        setattr(row, name, getattr(draft, name))


async def flush(session: TenantSession, refusals: Mapping[str, type[AppError]]) -> None:
    """Write what has changed; a unique key that refuses it is the failure that it stands for, by the index's name.

    The transaction is over then: the caller lets the failure end its unit of work.
    """
    try:
        await session.flush()
    except IntegrityError as error:
        raise refusal_of(error, refusals) from error


def refusal_of(error: IntegrityError, refusals: Mapping[str, type[AppError]]) -> Exception:
    """The failure that a unique key stands for, by the index's name; the error itself where it stands for none."""
    index: str | None = getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)
    refusal = refusals.get(index or "")
    return error if refusal is None else refusal()
