"""The pure rule of part holds: which instalments an amount held on their invoice covers."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from msgspec import Struct


class OpenLine(Struct, frozen=True):
    """An instalment with what is left to pay of it."""

    instalment_id: UUID
    due_on: date | None
    place: int
    balance_minor: int


def spread(amount_minor: int, lines: Sequence[OpenLine]) -> dict[UUID, int]:
    """Lay an amount that is held on an invoice over its instalments, the earliest due first.

    These are the first to be chased, and nothing of what is held may be asked for early.
    """
    held: dict[UUID, int] = {}
    left = amount_minor
    for line in sorted(lines, key=lambda line: (line.due_on is None, line.due_on or date.max, line.place)):
        part = min(left, line.balance_minor)
        if part > 0:
            held[line.instalment_id] = part
            left -= part
    return held
