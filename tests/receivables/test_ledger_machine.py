"""Random lives of the ledger beside a plain model: after every step each balance is the model's, on every past day too.

What is asked about the past is compared with what the model had found true when it was the present.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kernel import ids
from kernel.clock import day_of
from kernel.errors import AppError
from receivables import allocations, charges, corrections, credit_notes, receipts, write_offs
from receivables.balances import AccountBalance, debtor_balance, invoice_balance
from receivables.drafts import InvoiceChange, Line, NewCharge, NewReversal, NewWriteOff, Share
from receivables.errors import (
    AmountBelowAllocated,
    CreditNoteNotOpen,
    ExceedsBalance,
    ExceedsReceipt,
    InvoiceNotOpen,
    NotEnoughLeft,
    NothingOpen,
    ReceiptReversed,
    WriteOffNotStanding,
)
from receivables.ledger import Charge, ChargeKind, WriteOff, WriteOffReason
from receivables.models import AllocationRule, CreditNote, Instalment, Invoice, Receipt, ReversalKind, VoidReason
from receivables.reallocating import reallocate
from receivables.recompute import drift
from storage.database import Database
from storage.session import TenantSession
from support.events import told
from support.lives import OLDEST, Bill, Fund, Model, Owed, Use, relay
from support.receivables import (
    Parties,
    at_work,
    make_credit_note,
    make_creditor,
    make_debtor,
    make_invoice,
    make_receipt,
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


VERBS: Final = (
    "open", "open", "receive", "receive", "credit", "allocate", "allocate", "unallocate", "undo_one", "reverse",
    "reverse_part", "void", "void_credit", "correct", "redate", "write_off", "write_off_part", "write_off_back",
    "charge", "waive", "pay_charge", "reallocate",
)  # fmt: skip
STEPS: Final = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(VERBS),
        party=st.sampled_from((0, 0, 0, 1, 2)),
        which=st.integers(0, 5),
        target=st.integers(0, 5),
        amounts=st.lists(st.integers(1, 99), min_size=1, max_size=3),
        flag=st.booleans(),
    ),
    min_size=8,
    max_size=22,
)
BEGINNING: Final = [
    Step("open", 0, 1, 0, [30, 40], True), Step("open", 0, 0, 0, [50], True), Step("receive", 0, 1, 0, [20, 25], True),
    Step("charge", 0, 0, 0, [7], True), Step("credit", 0, 0, 0, [9], True), Step("open", 2, 0, 0, [70, 5], False),
    Step("receive", 2, 0, 0, [20], False),
]  # fmt: skip


class Life:
    """Plays steps on the product and on the model."""

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

    # money

    async def receive(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        amount, rule = sum(step.amounts) * 2, RULES[step.which % 2]
        day = self.today - timedelta(days=step.target)
        fund = Fund(step.party, "receipt", amount, day)
        touched: list[Owed] = []
        self.model.funds.append(fund)
        self.model.change(fund, amount, day)
        if step.flag:
            touched = self._use_rule(fund, rule)
        view = await make_receipt(
            self.session, parties, amount, now=self.now, effective_on=day, currency=currency,
            allocations=rule if step.flag else (),
        )  # fmt: skip
        fund.id = ids.decode("rcp", view.id)
        self.model.take_discounts(fund, touched)
        self.count("receive")

    async def credit(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        day = ISSUED + timedelta(days=step.which)
        fund = Fund(step.party, "note", sum(step.amounts), day)
        self.model.funds.append(fund)
        self.model.change(fund, fund.amount, day)
        if step.flag:
            self._use_rule(fund, OLDEST)
        view = await make_credit_note(
            self.session, parties, f"A-{self.model.step:03}", fund.amount, now=self.now, issued_on=day,
            currency=currency, allocations="auto" if step.flag else (),
        )  # fmt: skip
        fund.id = ids.decode("crn", view.id)
        self.count("credit")

    def _use_rule(self, fund: Fund, rule: AllocationRule) -> list[Owed]:
        parts = self.model.parts(fund, self.model.of(fund), rule)
        day = max(fund.day, fund.freed or fund.day)
        for owed, amount in parts:
            self.model.use(fund, owed, amount, day, rule)
        return [owed for owed, _ in parts]

    async def allocate(self, step: Step) -> None:
        fund, bill = self.fund(step, "receipt", "note"), self.bill(step)
        if fund is None or bill is None:
            return
        verb = allocations.allocate_receipt if fund.kind == "receipt" else allocations.allocate_credit_note
        gone = ReceiptReversed if fund.kind == "receipt" else CreditNoteNotOpen
        amount, rule = step.amounts[0], RULES[len(step.amounts) % 2]
        refusal: type[AppError] | None = None if fund.usable else gone
        if refusal is None and not step.flag:
            refusal = self._refusal(fund, bill, amount)
        how = rule if step.flag else [Share(invoice_id=bill.id, amount_minor=amount)]
        if not await self.expect(refusal, lambda: verb(self.session, fund.id, how, self.now)):
            return
        self.count("allocate")
        if step.flag:
            self.model.take_discounts(fund, self._use_rule(fund, rule))
            return
        day = max(fund.day, fund.freed or fund.day)
        touched: list[Owed] = []
        for line in sorted(bill.lines, key=lambda each: (each.due_on, each.place)):
            part = min(amount, self.model.of(line))
            if part > 0:
                self.model.use(fund, line, part, day)
                touched.append(line)
                amount -= part
        self.model.take_discounts(fund, touched)

    def _refusal(self, fund: Fund, bill: Bill, amount: int) -> type[AppError] | None:
        if bill.state != "open":
            return InvoiceNotOpen
        if amount > self.model.of(fund):
            return NotEnoughLeft
        return ExceedsBalance if amount > self.model.of_bill(bill) else None

    async def unallocate(self, step: Step) -> None:
        await self._unallocate(step, None)

    async def undo_one(self, step: Step) -> None:
        await self._unallocate(step, step.target)

    async def _unallocate(self, step: Step, place: int | None) -> None:
        fund = self.fund(step, "receipt", "note")
        if fund is None:
            return
        receipt = fund.kind == "receipt"
        gone: type[AppError] = ReceiptReversed if receipt else CreditNoteNotOpen
        uses = [use for use in self.model.uses if use.fund is fund]
        wanted: list[UUID] | None = None
        if place is not None:
            if not uses:
                return
            row = (
                await receipts.access.receipt(self.session, fund.id)
                if receipt
                else await credit_notes.access.credit_note(self.session, fund.id)
            )
            standing = await allocations.active_of_source(self.session, row)
            wanted, uses = [standing[place % len(standing)].id], [uses[place % len(uses)]]
        undo = allocations.unallocate_receipt if receipt else allocations.unallocate_credit_note
        if await self.expect(None if fund.usable else gone, lambda: undo(self.session, fund.id, wanted, self.now)):
            self.count("unallocate")
            self.model.unuse_all(uses, None)

    async def reverse(self, step: Step) -> None:
        await self._reverse(step, None)

    async def reverse_part(self, step: Step) -> None:
        await self._reverse(step, step.amounts[0])

    async def _reverse(self, step: Step, part: int | None) -> None:
        fund = self.fund(step, "receipt")
        if fund is None:
            return
        left = fund.amount - fund.reversed
        amount = left if part is None else part
        refusal: type[AppError] | None = None if fund.usable else ReceiptReversed
        if refusal is None and amount > left:
            refusal = ExceedsReceipt
        kind = ReversalKind.MISTAKE if step.flag else ReversalKind.REFUND
        why = NewReversal(reason="test", kind=kind, amount_minor=part)
        if not await self.expect(refusal, lambda: receipts.reverse(self.session, fund.id, why, self.now)):
            return
        self.count("reverse")
        day = max(fund.day if step.flag else self.today, fund.day)
        short = amount - self.model.of(fund)
        standing = [use for use in self.model.uses if use.fund is fund]
        taken: list[Use] = []
        while short > 0:
            taken.append(standing.pop())
            short -= taken[-1].amount
        self.model.unuse_all(taken, day)
        if taken and short < 0:
            self.model.use(fund, taken[-1].owed, -short, max(day, taken[-1].day), taken[-1].rule)
        self.model.change(fund, -amount, day)
        fund.reversed += amount
        fund.usable = fund.reversed < fund.amount

    async def void_credit(self, step: Step) -> None:
        fund = self.fund(step, "note")
        if fund is None:
            return
        reason = REASONS[step.flag]
        refusal = None if fund.usable else CreditNoteNotOpen
        command = lambda: credit_notes.void_credit_note(self.session, fund.id, reason, self.now)  # noqa: E731
        if await self.expect(refusal, command):
            self.count("void_credit")
            day = fund.day if step.flag else max(self.today, fund.day)
            self.model.unuse_all([use for use in self.model.uses if use.fund is fund], day)
            self.model.change(fund, -fund.amount, day)
            fund.usable = False

    # giving up, asking for more

    async def write_off(self, step: Step) -> None:
        await self._write_off(step, None)

    async def write_off_part(self, step: Step) -> None:
        await self._write_off(step, step.amounts[0])

    async def _write_off(self, step: Step, part: int | None) -> None:
        bill = self.bill(step)
        if bill is None:
            return
        left = self.model.of_bill(bill)
        refusal: type[AppError] | None = None if bill.state == "open" else InvoiceNotOpen
        if refusal is None and left == 0:
            refusal = NothingOpen
        if refusal is None and part is not None and part > left:
            refusal = ExceedsBalance
        new = NewWriteOff(invoice_id=bill.id, reason=WriteOffReason.BAD_DEBT, amount_minor=part)
        if not await self.expect(refusal, lambda: write_offs.write_off(self.session, new, self.now)):
            return
        self.count("write_off")
        amount = part or left
        parts: list[tuple[Owed, int]] = []
        for line in sorted(bill.lines, key=lambda each: (each.due_on, each.place)):
            given = min(amount, self.model.of(line))
            if given > 0:
                parts.append((line, given))
                amount -= given
        self.model.give_up(bill, parts, self.today)
        bill.state = "written_off" if part is None else bill.state

    async def write_off_back(self, step: Step) -> None:
        fund = self.fund(step, "write_off")
        if fund is None:
            return
        mine = WriteOff.debtor_id.in_({parties.debtor_id for parties, _ in self.parties})
        statement = select(WriteOff.id).where(mine).order_by(WriteOff.id)
        place = [each for each in self.model.funds if each.kind == "write_off"].index(fund)
        fund.id = (await self.session.scalars(statement)).all()[place]
        refusal = None if fund.usable else WriteOffNotStanding
        if await self.expect(refusal, lambda: write_offs.reverse_write_off(self.session, fund.id, self.now)):
            self.count("write_off_back")
            self.model.end(fund, self.today)

    async def charge(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        bill = self.bill(step) if step.flag else None
        kind = tuple(ChargeKind)[step.which % 4]
        owner: dict[str, object] = {"invoice_id": None if bill is None else bill.id}
        if bill is None:
            owner |= {"creditor_id": parties.creditor_id, "debtor_id": parties.debtor_id, "currency": currency}
        new = NewCharge(kind=kind, amount_minor=step.amounts[0], **owner)  # type: ignore[arg-type]
        void = bill is not None and bill.state == "void"
        booked: list[UUID] = []

        async def book() -> None:
            booked.append(ids.decode("chg", (await charges.book_charge(self.session, new, self.now)).id))

        if await self.expect(InvoiceNotOpen if void else None, book):
            self.count("charge")
            day = self.today if bill is None else max(self.today, bill.issued_on)
            owed = Owed(step.party, step.amounts[0], day, day)
            owed.bill, owed.kind, owed.id = bill, kind, booked[0]
            self.model.charges.append(owed)
            self.model.change(owed, owed.amount, day)

    def _charge(self, step: Step) -> Owed | None:
        mine = [each for each in self.model.charges if each.party == step.party]
        return mine[step.target % len(mine)] if mine else None

    async def waive(self, step: Step) -> None:
        owed = self._charge(step)
        if owed is None:
            return
        left = self.model.of(owed)
        refusal = None if left else NothingOpen
        if await self.expect(refusal, lambda: charges.waive_charge(self.session, owed.id, "goodwill", self.now)):
            self.count("waive")
            self.model.change(owed, -left, max(self.today, owed.first_on))

    async def pay_charge(self, step: Step) -> None:
        owed, fund = self._charge(step), self.fund(step, "receipt")
        if owed is None or fund is None:
            return
        amount = min(self.model.of(owed), self.model.of(fund), step.amounts[0])
        if amount > 0 and fund.usable:
            self.count("pay_charge")
            share = [Share(charge_id=owed.id, amount_minor=amount)]
            await allocations.allocate_receipt(self.session, fund.id, share, self.now)
            self.model.use(fund, owed, amount, max(fund.day, fund.freed or fund.day))

    async def reallocate(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        rule = RULES[step.flag]
        await reallocate(self.session, parties.debtor_id, parties.creditor_id, currency, self.now, rule=rule)
        relay(self.model, step.party, rule)
        again = await reallocate(self.session, parties.debtor_id, parties.creditor_id, currency, self.now, rule=rule)
        assert (again.undone, again.made) == (0, 0)
        self.count("reallocate")

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


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a life shrinks slowly: each step is some twenty statements
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, seed=st.integers(0, 2**32))
async def test_every_balance_is_the_models_today_and_on_every_past_day(
    database: Database, tenant_id: UUID, steps: list[Step], seed: int
) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session)
        one, two = Parties(creditor, await make_debtor(session)), Parties(creditor, await make_debtor(session))
        life = Life(session, [(one, "EUR"), (one, "JPY"), (two, "EUR")])
        for step in [*BEGINNING, *steps]:
            await life.play(step)
        await life.check_past(Random(seed))
        for fund in life.model.funds:
            if fund.kind != "write_off" and fund.usable:
                undo = allocations.unallocate_receipt if fund.kind == "receipt" else allocations.unallocate_credit_note
                await undo(session, fund.id, None, life.now)
                life.model.unuse_all([use for use in life.model.uses if use.fund is fund], None)
        await life.check()
        for bill in life.model.bills:  # undoing returns to the cent: what is not given up is open as it was billed
            if bill.state == "open":
                given_up = sum(use.amount for use in life.model.uses if use.owed in bill.lines)
                assert life.model.of_bill(bill) == sum(line.amount for line in bill.lines) - given_up
    versions = Counter(event.object_id for event in await told(database, tenant_id))
    last = {event.object_id: event.sequence for event in await told(database, tenant_id)}
    assert all(last[object_id] == count for object_id, count in versions.items())  # one event per version, no gap
