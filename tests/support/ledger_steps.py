"""Steps of a random life of the ledger: documents, played on the product and on the model, and what must be true."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import select

from kernel import ids
from kernel.clock import day_of
from kernel.errors import AppError
from receivables import corrections
from receivables.balances import AccountBalance, debtor_balance, invoice_balance
from receivables.drafts import InvoiceChange, Line
from receivables.errors import (
    AmountBelowAllocated,
    InvoiceNotOpen,
)
from receivables.ledger import Charge
from receivables.models import AllocationRule, CreditNote, Instalment, Invoice, Receipt, VoidReason
from receivables.recompute import drift
from storage.session import TenantSession
from support.lives import OLDEST, Bill, Fund, Model, Owed
from support.receivables import (
    Parties,
    make_invoice,
)
from support.tenants import NOW

ISSUED: Final = date(2026, 2, 1)
FIRST_DUE: Final = date(2026, 2, 25)
RULES: Final = (OLDEST, AllocationRule.FR_CIVIL_CODE)
REASONS: Final = (VoidReason.CANCELLED, VoidReason.ERROR)


class Step(NamedTuple):
    """One command, with numbers that the interpreter reads as it needs them."""

    verb: str
    party: int
    which: int
    target: int
    amounts: list[int]
    flag: bool


class Documents:
    """Plays steps about documents, and compares the product with the model."""

    def __init__(self, session: TenantSession, parties: list[tuple[Parties, str]]) -> None:
        self.session, self.parties, self.model = session, parties, Model()
        self.played: Counter[str] = Counter()
        self.was: list[tuple[datetime, dict[UUID, int]]] = []  # each present, as it was when it was

    @property
    def now(self) -> datetime:
        return NOW + timedelta(days=self.model.step)

    @property
    def today(self) -> date:
        return day_of(self.now, "Europe/Paris")

    async def play(self, step: Step) -> None:
        self.model.step += 1
        await getattr(self, step.verb)(step)
        await self.check()

    def count(self, verb: str) -> None:
        self.played[verb] += 1

    def bill(self, step: Step) -> Bill | None:
        mine = [bill for bill in self.model.bills if bill.party == step.party]
        return mine[step.target % len(mine)] if mine else None

    def fund(self, step: Step, *kinds: str) -> Fund | None:
        mine = [fund for fund in self.model.funds if fund.party == step.party and fund.kind in kinds]
        return mine[step.which % len(mine)] if mine else None

    async def expect(self, refusal: type[AppError] | None, command: Callable[[], Awaitable[object]]) -> bool:
        if refusal is None:
            await command()
            return True
        with pytest.raises(refusal):
            await command()
        return False

    # documents

    async def open(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        day = ISSUED + timedelta(days=step.which)
        bill = Bill(step.party, f"F-{len(self.model.bills):03}", day)
        lines: list[Line] = []
        for place, amount in enumerate(step.amounts):
            line = Owed(step.party, amount, day, FIRST_DUE + timedelta(days=(step.which * 7 + place * 3) % 20))
            line.bill, line.place = bill, place
            line.dues.append((self.model.step, line.due_on))
            discount = amount // 2 if step.flag and amount > 1 else None
            until = self.today + timedelta(days=3) if discount else None
            if discount is not None and until is not None:
                line.discount = discount, until
            bill.lines.append(line)
            lines.append(Line(amount_minor=amount, due_on=line.due_on, discount_minor=discount, discount_until=until))
        view = await make_invoice(
            self.session, parties, bill.number, sum(step.amounts), now=self.now, issued_on=day, due_on=None,
            instalments=tuple(lines), currency=currency,
        )  # fmt: skip
        bill.id = ids.decode("inv", view.id)
        for line, shown in zip(bill.lines, view.instalments, strict=True):
            line.id = ids.decode("ins", shown.id)
            self.model.change(line, line.amount, day)
        self.model.bills.append(bill)
        self.count("open")

    async def correct(self, step: Step) -> None:
        bill = self.bill(step)
        if bill is None:
            return
        amounts = [step.amounts[place % len(step.amounts)] for place in range(len(bill.lines))]
        dues = [line.due_on + timedelta(days=step.which) for line in bill.lines]
        await self._correct(bill, amounts, dues, bill.issued_on)

    async def redate(self, step: Step) -> None:
        bill = self.bill(step)
        if bill is not None:
            day = ISSUED + timedelta(days=step.which)
            await self._correct(bill, [line.amount for line in bill.lines], [each.due_on for each in bill.lines], day)

    async def _correct(self, bill: Bill, amounts: list[int], dues: list[date], day: date) -> None:
        paid = [line.amount - self.model.of(line) for line in bill.lines]
        refusal: type[AppError] | None = None if bill.state == "open" else InvoiceNotOpen
        if refusal is None and any(amount < was for amount, was in zip(amounts, paid, strict=True)):
            refusal = AmountBelowAllocated
        split = tuple(Line(amount_minor=amount, due_on=due) for amount, due in zip(amounts, dues, strict=True))
        change = InvoiceChange(total_minor=sum(amounts), instalments=split, issued_on=day)
        if not await self.expect(refusal, lambda: corrections.update_invoice(self.session, bill.id, change, self.now)):
            return
        self.count("correct")
        for line, amount, due in zip(bill.lines, amounts, dues, strict=True):
            if day != bill.issued_on:
                self.model.change(line, -line.amount, bill.issued_on)
                self.model.change(line, amount, day)
            else:
                self.model.change(line, amount - line.amount, day)
            line.amount, line.due_on, line.first_on, line.discount = amount, due, day, None
            line.dues.append((self.model.step, due))
        bill.issued_on = day

    async def void(self, step: Step) -> None:
        bill = self.bill(step)
        if bill is None:
            return
        reason = REASONS[step.flag]
        refusal: type[AppError] | None = None if bill.state == "open" else InvoiceNotOpen
        command = lambda: corrections.void_invoice(self.session, bill.id, reason, self.now)  # noqa: E731
        if not await self.expect(refusal, command):
            return
        self.count("void")
        day = bill.issued_on if step.flag else max(self.today, bill.issued_on)
        uses = [use for use in self.model.uses if use.owed in bill.lines]
        for fund in dict.fromkeys(use.fund for use in uses):
            if fund.kind == "write_off" and fund.usable:
                self.model.end(fund, day)
            else:
                self.model.unuse_all([use for use in self.model.uses if use in uses and use.fund is fund], day)
        for line in bill.lines:
            self.model.change(line, -line.amount, day)
        bill.state = "void"

    # what must be true

    async def check(self) -> None:
        """Every balance now, on the product's side and on the model's, and what the two say of the past."""
        cached = await self.cached()
        assert cached == self.present()
        debtor_ids = {parties.debtor_id for parties, _ in self.parties}
        assert await drift(self.session, debtor_ids) == []
        self.was.append((self.now, cached))

    def present(self) -> dict[UUID, int]:
        model = self.model
        found = {bill.id: model.of_bill(bill) for bill in model.bills}
        found |= {line.id: model.of(line) for bill in model.bills for line in bill.lines}
        found |= {each.id: model.of(each) for each in model.charges}
        found |= {fund.id: model.of(fund) for fund in model.funds if fund.kind != "write_off"}
        assert min(found.values(), default=0) >= 0
        assert all(model.of(fund) == 0 for fund in model.funds if fund.kind == "write_off")
        return found

    async def cached(self) -> dict[UUID, int]:
        await self.session.flush()
        debtor_ids = {parties.debtor_id for parties, _ in self.parties}
        found: dict[UUID, int] = {}
        for key, balance, debtor in (
            (Invoice.id, Invoice.balance_minor, Invoice.debtor_id),
            (Instalment.id, Instalment.balance_minor, Instalment.debtor_id),
            (Receipt.id, Receipt.unapplied_minor, Receipt.debtor_id),
            (CreditNote.id, CreditNote.remaining_minor, CreditNote.debtor_id),
            (Charge.id, Charge.balance_minor, Charge.debtor_id),
        ):
            rows = await self.session.execute(select(key, balance).where(debtor.in_(debtor_ids)))
            found |= {row[0]: row[1] for row in rows}
        return found

    async def check_past(self, random: Random) -> None:
        """Each present as it was then; and days between, as known then, as the model adds them up."""
        for known_at, cached in self.was:
            for bill in random.sample(self.model.bills, min(2, len(self.model.bills))):
                if bill.id in cached:
                    seen = await invoice_balance(
                        self.session, bill.id, self.now, as_of=date(2199, 1, 1), as_known_at=known_at
                    )
                    assert seen.balance_minor == cached[bill.id]
                    shown = {ids.decode("ins", each.instalment_id): each.balance_minor for each in seen.instalments}
                    assert shown == {line.id: cached[line.id] for line in bill.lines}
        for _ in range(6):
            step = random.randint(1, self.model.step)
            day = ISSUED + timedelta(days=random.randint(0, 60))
            for debtor_id in {parties.debtor_id for parties, _ in self.parties}:
                await self.check_account(debtor_id, day, step)

    async def check_account(self, debtor_id: UUID, day: date, step: int) -> None:
        known_at = NOW + timedelta(days=step)
        seen = await debtor_balance(self.session, debtor_id, self.now, as_of=day, as_known_at=known_at)
        for party, (parties, currency) in enumerate(self.parties):
            if parties.debtor_id == debtor_id:
                found = [each for each in seen.accounts if each.currency == currency]
                expected = self.model.account(party, day, step)
                assert parts_of(found) == expected, (party, day, step)


def parts_of(found: list[AccountBalance]) -> dict[str, int]:
    if not found:
        return dict.fromkeys(("open", "overdue", "charges", "unapplied", "credit"), 0)
    (account,) = found
    parts = {
        "open": account.open_minor, "overdue": account.overdue_minor, "charges": account.charges_minor,
        "unapplied": account.unapplied_minor, "credit": account.credit_minor,
    }  # fmt: skip
    owed = parts["open"] + parts["charges"] - parts["unapplied"] - parts["credit"]
    assert account.balance_minor == owed
    return parts
