"""Steps of a random life of the ledger: money, write-offs and charges."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from kernel import ids
from kernel.errors import AppError
from receivables import allocations, charges, credit_notes, receipts, write_offs
from receivables.drafts import NewCharge, NewReversal, NewWriteOff, Share
from receivables.errors import (
    CreditNoteNotOpen,
    ExceedsBalance,
    ExceedsReceipt,
    InvoiceNotOpen,
    NotEnoughLeft,
    NothingOpen,
    ReceiptReversed,
    WriteOffNotStanding,
)
from receivables.ledger import ChargeKind, WriteOff, WriteOffReason
from receivables.models import AllocationRule, ReversalKind
from receivables.reallocating import reallocate
from support.ledger_steps import ISSUED, REASONS, RULES, Documents, Step
from support.lives import OLDEST, Bill, Fund, Owed, Use, relay
from support.receivables import (
    make_credit_note,
    make_receipt,
)


class Life(Documents):
    """Plays every step on the product and on the model."""

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
