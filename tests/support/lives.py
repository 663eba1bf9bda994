"""A plain model of a ledger: lists of what happened, added up. It knows no caches, locks, rows or events.

Every change is a delta: what it changes, by how much, from which day on, and at which step it was known. A balance on
a day, as known at a step, is the sum of the deltas up to both.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from receivables.imputation import Debt, spread
from receivables.ledger import ChargeKind
from receivables.models import AllocationRule

OLDEST: Final = AllocationRule.OLDEST_DUE


class Owed:
    """An instalment or a charge."""

    def __init__(self, party: int, amount: int, first_on: date, due_on: date) -> None:
        self.party, self.amount, self.first_on, self.due_on = party, amount, first_on, due_on
        self.bill: Bill | None = None
        self.kind: ChargeKind | None = None
        self.place = 0
        self.discount: tuple[int, date] | None = None
        self.dues: list[tuple[int, date]] = []  # from which step on, which day
        self.id = UUID(int=0)


class Bill:
    """An invoice."""

    def __init__(self, party: int, number: str, issued_on: date) -> None:
        self.party, self.number, self.issued_on, self.state = party, number, issued_on, "open"
        self.lines: list[Owed] = []
        self.id = UUID(int=0)


class Fund:
    """A receipt, a credit note, or a write-off."""

    def __init__(self, party: int, kind: str, amount: int, day: date) -> None:
        self.party, self.kind, self.amount, self.day = party, kind, amount, day
        self.usable = True
        self.state = ""
        self.reversed = 0
        self.freed: date | None = None
        self.bill: Bill | None = None
        self.earned: tuple[Fund, Owed] | None = None  # a discount: by which receipt, on which instalment
        self.id = UUID(int=0)


class Use:
    """Some of a fund settles a debt."""

    def __init__(self, fund: Fund, owed: Owed, amount: int, day: date, rule: AllocationRule | None) -> None:
        self.fund, self.owed, self.amount, self.day, self.rule = fund, owed, amount, day, rule


class Delta:
    """One change of one balance."""

    def __init__(self, what: Owed | Fund, amount: int, day: date, step: int) -> None:
        self.what, self.amount, self.day, self.step = what, amount, day, step


class Model:
    """What should be true."""

    def __init__(self) -> None:
        self.bills: list[Bill] = []
        self.charges: list[Owed] = []
        self.funds: list[Fund] = []
        self.uses: list[Use] = []
        self.deltas: list[Delta] = []
        self.step = 0

    # balances

    def of(self, what: Owed | Fund, day: date = date.max, step: int = 1_000_000) -> int:
        return sum(each.amount for each in self.deltas if each.what is what and each.day <= day and each.step <= step)

    def of_bill(self, bill: Bill) -> int:
        return sum(self.of(line) for line in bill.lines)

    def account(self, party: int, day: date, step: int) -> dict[str, int]:
        """Money that paid a debt before the debt existed was unapplied until then."""
        lines = [(line, self.of(line, day, step)) for bill in self.bills if bill.party == party for line in bill.lines]
        cash = sum(self.of(fund, day, step) for fund in self.funds if (fund.party, fund.kind) == (party, "receipt"))
        return {
            "open": sum(max(left, 0) for _, left in lines),
            "overdue": sum(max(left, 0) for line, left in lines if self.due_on(line, step) < day),
            "charges": sum(self.of(each, day, step) for each in self.charges if each.party == party),
            "unapplied": cash + sum(max(-left, 0) for _, left in lines),
            "credit": sum(
                self.of(fund, day, step) for fund in self.funds if (fund.party, fund.kind) == (party, "note")
            ),
        }

    def due_on(self, line: Owed, step: int) -> date:
        return next((day for known, day in reversed(line.dues) if known <= step), date.max)

    # changes

    def change(self, what: Owed | Fund, amount: int, day: date) -> None:
        if amount:
            self.deltas.append(Delta(what, amount, day, self.step))

    def use(self, fund: Fund, owed: Owed, amount: int, day: date, rule: AllocationRule | None = None) -> None:
        day = max(day, owed.first_on)
        self.uses.append(Use(fund, owed, amount, day, rule))
        self.change(owed, -amount, day)
        self.change(fund, -amount, day)

    def unuse(self, use: Use, day: date | None) -> None:
        """From that day on, or (None) as if it had never been."""
        self.uses.remove(use)
        day = max(day or use.day, use.day)
        self.change(use.owed, use.amount, day)
        self.change(use.fund, use.amount, day)
        if day > use.day:
            use.fund.freed = max(use.fund.freed or day, day)
        bill = use.owed.bill
        if bill is not None and use.owed.kind is None and bill.state == "written_off":
            bill.state = "open"

    def unuse_all(self, uses: Sequence[Use], day: date | None) -> None:
        """A discount goes with the payment that had earned it."""
        for use in uses:
            self.unuse(use, day)
        for use in uses:
            for fund in self.funds:
                if fund.earned == (use.fund, use.owed) and fund.usable:
                    self.end(fund, day)

    def end(self, fund: Fund, day: date | None) -> None:
        """A write-off counts no longer."""
        fund.usable = False
        uses = [use for use in self.uses if use.fund is fund]
        for use in uses:
            self.unuse(use, day)
        self.change(fund, -fund.amount, max(day or fund.day, fund.day))

    def give_up(self, bill: Bill, parts: Iterable[tuple[Owed, int]], day: date) -> Fund:
        given = list(parts)
        fund = Fund(bill.party, "write_off", sum(amount for _, amount in given), max(day, bill.issued_on))
        fund.bill = bill
        self.funds.append(fund)
        self.change(fund, fund.amount, fund.day)
        for line, amount in given:
            self.use(fund, line, amount, fund.day)
        return fund

    def take_discounts(self, fund: Fund, touched: Iterable[Owed]) -> None:
        for line in dict.fromkeys(touched):
            left = self.of(line)
            if line.bill is None or line.discount is None or fund.kind != "receipt":
                continue
            if fund.day <= line.discount[1] and 0 < left <= line.discount[0]:
                self.give_up(line.bill, [(line, left)], fund.day).earned = fund, line

    # which debts

    def open_debts(self, party: int) -> list[Owed]:
        lines = [line for bill in self.bills if bill.party == party and bill.state == "open" for line in bill.lines]
        return [each for each in (*lines, *(each for each in self.charges if each.party == party)) if self.of(each) > 0]

    def parts(self, fund: Fund, amount: int, rule: AllocationRule) -> list[tuple[Owed, int]]:
        """What a rule makes of an amount: the oldest due first, or (tested by itself) the order of the civil code."""
        debts = self.open_debts(fund.party)
        return lay(debts, {id(each): self.of(each) for each in debts}, amount, rule, fund.day)


def age(each: Owed) -> tuple[object, ...]:
    bill = each.bill
    number = "" if bill is None else bill.number
    return each.kind is not None, each.due_on, each.first_on, number, each.place


def lay(
    debts: Sequence[Owed], left: dict[int, int], amount: int, rule: AllocationRule, on: date
) -> list[tuple[Owed, int]]:
    if rule is OLDEST and not any(each.kind is not None for each in debts):
        parts: list[tuple[Owed, int]] = []
        for each in sorted(debts, key=age):
            part = min(amount, left[id(each)])
            if part > 0:
                parts.append((each, part))
                amount -= part
        return parts
    by_id = {each.id: each for each in debts}
    known = [
        Debt(
            id=each.id, balance_minor=left[id(each)], due_on=each.due_on, issued_on=each.first_on,
            invoice_id=None if each.bill is None else each.bill.id, kind=each.kind,
            number="" if each.bill is None or each.kind is not None else each.bill.number, place=each.place,
        )
        for each in debts
    ]  # fmt: skip
    return [(by_id[target], part) for target, part in spread(rule, amount, known, on)]


def relay(model: Model, party: int, rule: AllocationRule) -> None:
    """Lay out again what a rule had allocated and what nobody has; what comes out the same stays."""
    earned = {fund.earned for fund in model.funds if fund.earned is not None and fund.usable}
    mine = [
        use
        for use in model.uses
        if use.rule is not None
        and use.fund.party == party
        and (use.fund, use.owed) not in earned
        and (use.owed.kind is not None or use.owed.bill is None or use.owed.bill.state == "open")
    ]
    funds = [fund for fund in model.funds if fund.party == party and fund.usable and fund.kind != "write_off"]
    free = {id(fund): model.of(fund) + sum(use.amount for use in mine if use.fund is fund) for fund in funds}
    lines = [line for bill in model.bills if bill.party == party and bill.state == "open" for line in bill.lines]
    debts = [*lines, *(each for each in model.charges if each.party == party)]
    left = {id(each): model.of(each) + sum(use.amount for use in mine if use.owed is each) for each in debts}
    plan: dict[tuple[Fund, Owed], int] = {}
    for fund in sorted(funds, key=lambda each: (each.day, -free[id(each)], each.id)):
        for owed, amount in lay([each for each in debts if left[id(each)] > 0], left, free[id(fund)], rule, fund.day):
            plan[fund, owed] = plan.get((fund, owed), 0) + amount
            left[id(owed)] -= amount
    present: dict[tuple[Fund, Owed], int] = {}
    for use in mine:
        present[use.fund, use.owed] = present.get((use.fund, use.owed), 0) + use.amount
    for use in mine:
        if plan.get((use.fund, use.owed)) != present[use.fund, use.owed]:
            model.unuse(use, None)
    for (fund, owed), amount in plan.items():
        if present.get((fund, owed)) != amount:
            model.use(fund, owed, amount, max(fund.day, fund.freed or fund.day), rule)
