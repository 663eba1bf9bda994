"""Which facts of the ledger count: effective by a day, known at an instant; as parts of statements that say so alike.

A statement names a part where it needs it, <entry seen> for rows of `ledger_entry e` and <allocation seen> for rows of
`allocation a`, and `filled` puts it there: all parts are constants of the code, and every value is bound.
"""

# ruff: noqa: S608 - put together of constants

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct


class Scope(Struct, frozen=True, kw_only=True):
    """Which part of the ledger is looked at, as of which day and as known at which instant."""

    as_of: date
    known_at: datetime
    days: Mapping[UUID, date] = {}  # the day of creditors for whom it is another one
    creditor_id: UUID | None = None
    debtor_ids: tuple[UUID, ...] | None = None  # one debtor, with everybody merged into it
    currency: str | None = None


def bound(scope: Scope, tenant_id: UUID) -> dict[str, Any]:  # Any: parameters of every type
    """The parameters that `VISIBLE` parts of statements ask for."""
    values: dict[str, Any] = {"tenant_id": tenant_id, "as_of": scope.as_of, "known_at": scope.known_at}  # Any: as above
    if scope.days:
        values |= {"elsewhere": list(scope.days), "days": list(scope.days.values()), "last": max(scope.days.values())}
    if scope.creditor_id is not None:
        values["creditor_id"] = scope.creditor_id
    if scope.debtor_ids is not None:
        values["debtors"] = list(scope.debtor_ids)
    if scope.currency is not None:
        values["only_currency"] = scope.currency
    return values


def filled(statement: str, parts: Mapping[str, str]) -> str:
    """Put parts of a statement, constants of this module all of them, where their names stand."""
    for name, part in parts.items():
        statement = statement.replace(f"<{name}>", part)
    return statement


def narrowed(by_creditor: bool, by_debtor: bool, by_currency: bool) -> str:  # noqa: FBT001 - three parts of one text
    """The conditions on entries for a scope that has these filters."""
    return "".join((
        " and e.creditor_id = :creditor_id" if by_creditor else "",
        " and e.debtor_id = any(cast(:debtors as uuid[]))" if by_debtor else "",
        " and e.currency = :only_currency" if by_currency else "",
    ))  # fmt: skip


def seen(*, days: Literal["one", "several"]) -> dict[str, str]:
    """Which entries and allocations count: effective by the creditor's day and known by the instant."""
    return _SEEN[days]


_DAY: Final = "cast(:as_of as date)"
_CREDITORS_DAY: Final = """coalesce((cast(:days as date[]))[array_position(cast(:elsewhere as uuid[]), <of>)],
  cast(:as_of as date))"""
_SEEN: Final[Mapping[str, dict[str, str]]] = {
    "one": {
        "day": _DAY,
        "entry seen": "e.effective_on <= cast(:as_of as date) and e.known_at <= :known_at",
        "allocation seen": "a.effective_on <= cast(:as_of as date) and a.known_at <= :known_at",
    },
    "several": {
        "day": _CREDITORS_DAY.replace("<of>", "e.creditor_id"),
        "entry seen": f"e.effective_on <= {_CREDITORS_DAY.replace('<of>', 'e.creditor_id')}"
        " and e.known_at <= :known_at",
        # Whose day it is matters only for the few allocations of the days that are today somewhere and not elsewhere.
        "allocation seen": f"""a.effective_on <= cast(:last as date) and a.known_at <= :known_at
  and (a.effective_on < cast(:as_of as date) or a.effective_on <= (
    select {_CREDITORS_DAY.replace("<of>", "v.creditor_id")} from app.invoice v
    where v.tenant_id = :tenant_id and v.id = a.invoice_id))""",
    },
}
