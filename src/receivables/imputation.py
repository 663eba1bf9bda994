"""Which debts an amount settles where nobody says ("imputation des paiements"): pure rules, each with its source.

A rule lays one amount over open debts of one creditor, debtor and currency. What the debtor has named comes first in
every rule (French civil code, art. 1342-10: a debtor of several debts may say which one it pays; that a named debt is
paid only in part is for the creditor to accept, which it does by recording the receipt).
"""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Final
from uuid import UUID

from msgspec import Struct

from kernel.money import split_minor
from receivables.ledger import ChargeKind
from receivables.models import AllocationRule

Parts = list[tuple[UUID, int]]  # instalment or charge, and amount

# Costs of recovery are accessories of the debt and come before interest, interest before principal.
CHARGE_ORDER: Final = (ChargeKind.COST, ChargeKind.FEE, ChargeKind.COMPENSATION, ChargeKind.INTEREST)


class RuleText(Struct, frozen=True):
    """What a rule does, in words, and where it comes from."""

    order: str
    source: str


RULES: Final = {
    AllocationRule.OLDEST_DUE: RuleText(
        "named debts, then principal by due day, issue day, number and place; charges last, by due day",
        "custom of bookkeeping; it claims the least interest",
    ),
    AllocationRule.FR_CIVIL_CODE: RuleText(
        "named debts, then those due on the day of the payment, then those to come, each by due day and issue day,"
        " pro rata where these are equal; of each debt costs, fees and compensation, then interest, then principal",
        "code civil, art. 1342-10 (which debt) and 1343-1 (interest before principal)",
    ),
}


class Debt(Struct, frozen=True, kw_only=True):
    """An open instalment, or an open charge (`kind` is set)."""

    id: UUID
    balance_minor: int
    due_on: date | None
    issued_on: date
    invoice_id: UUID | None = None
    kind: ChargeKind | None = None
    number: str = ""
    place: int = 0


def spread(
    rule: AllocationRule, amount_minor: int, debts: Iterable[Debt], on: date, named: Sequence[UUID] = ()
) -> Parts:
    """Lay an amount over debts by a rule, until either is used up; `on` is the day of the payment.

    The order in which debts are handed in does not matter: documents are told apart by their own days and numbers.

    >>> two = [Debt(id=UUID(int=each), balance_minor=100, due_on=date(2026, each, 1), issued_on=date(2026, 1, 1))
    ...        for each in (2, 1)]
    >>> [(part.int, amount) for part, amount in spread(AllocationRule.OLDEST_DUE, 150, two, date(2026, 3, 1))]
    [(1, 100), (2, 50)]
    """
    places = {invoice_id: place for place, invoice_id in enumerate(named)}
    known = [debt for debt in debts if debt.balance_minor > 0]
    steps = _oldest_due(known, places) if rule is AllocationRule.OLDEST_DUE else _civil_code(known, places, on)
    parts: Parts = []
    left = amount_minor
    for step in steps:
        if left <= 0:
            break
        for debt, part in zip(step, _shares(left, step), strict=True):
            if part > 0:
                parts.append((debt.id, part))
                left -= part
    return parts


def _shares(left: int, step: Sequence[Debt]) -> list[int]:
    """What each debt of one step gets: all of it, or its share by size, to the cent."""
    owed = [debt.balance_minor for debt in step]
    return owed if sum(owed) <= left else split_minor(left, owed)


def _oldest_due(debts: Sequence[Debt], named: dict[UUID, int]) -> list[list[Debt]]:
    ordered = sorted(debts, key=lambda debt: (_place(debt, named), debt.kind is not None, *_age(debt), *_own(debt)))
    return [[debt] for debt in ordered]


def _civil_code(debts: Sequence[Debt], named: dict[UUID, int], on: date) -> list[list[Debt]]:
    """Steps of the civil code: a debt's charges before it, equal debts side by side."""

    def rank(debt: Debt) -> tuple[int, bool, bool, date, date]:
        later = debt.due_on is None or debt.due_on > on
        return _place(debt, named), later, *_age(debt)

    principal = sorted((debt for debt in debts if debt.kind is None), key=lambda debt: (rank(debt), *_own(debt)))
    charges = [debt for debt in debts if debt.kind is not None]
    owed = {debt.invoice_id for debt in principal}
    groups = [(key, list(group)) for key, group in groupby(principal, key=rank)]
    # A charge whose invoice is paid, or that belongs to none, is a debt of its own.
    alone = sorted(
        (each for each in charges if each.invoice_id not in owed), key=lambda debt: (rank(debt), *_own(debt))
    )
    groups += [(key, list(group)) for key, group in groupby(alone, key=rank)]
    steps: list[list[Debt]] = []
    spent: set[UUID] = set()
    for _, group in sorted(groups, key=lambda each: each[0]):
        invoices = {debt.invoice_id for debt in group if debt.kind is None}
        mine = [each for each in charges if each.invoice_id in invoices and each.id not in spent]
        mine += [debt for debt in group if debt.kind is not None]
        spent |= {each.id for each in mine}
        steps.append(sorted((each for each in mine if each.kind is not ChargeKind.INTEREST), key=_own))
        steps.append(sorted((each for each in mine if each.kind is ChargeKind.INTEREST), key=_own))
        steps.append([debt for debt in group if debt.kind is None])
    return [step for step in steps if step]


def _place(debt: Debt, named: dict[UUID, int]) -> int:
    return len(named) if debt.invoice_id is None else named.get(debt.invoice_id, len(named))


def _age(debt: Debt) -> tuple[bool, date, date]:
    return debt.due_on is None, debt.due_on or date.max, debt.issued_on


def _own(debt: Debt) -> tuple[int, str, int, int, UUID]:
    """What tells debts of one day apart by what they are, whatever came first; the id only where nothing else does."""
    kind = -1 if debt.kind is None else CHARGE_ORDER.index(debt.kind)
    return kind, debt.number, debt.place, -debt.balance_minor, debt.id
