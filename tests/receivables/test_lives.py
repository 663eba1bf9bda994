"""Random lives of a ledger beside a plain model of it: every balance is the model's after every step.

The model keeps documents, receipts and allocations that stand in lists, and adds them up; it knows nothing of caches,
locks or undoing rows.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kernel import ids
from kernel.errors import AppError
from receivables import access, allocations, corrections, credit_notes, receipts
from receivables.drafts import InvoiceChange, Line, NewReversal, Share
from receivables.errors import (
    AmountBelowAllocated,
    CreditNoteNotOpen,
    ExceedsBalance,
    InvoiceNotOpen,
    NotEnoughLeft,
    ReceiptNotProvisional,
    ReceiptReversed,
)
from receivables.models import CreditNote, Instalment, Invoice, Receipt, ReceiptState, VoidReason
from receivables.recompute import drift
from storage.database import Database
from storage.session import TenantSession
from support.events import told
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

CURRENCIES: Final = ("EUR", "JPY")
FIRST_DUE: Final = date(2026, 3, 1)


class Step(NamedTuple):
    """One command, with numbers that the interpreter reads as it needs them."""

    verb: str
    party: int
    which: int
    target: int
    amounts: list[int]
    auto: bool


VERBS: Final = (
    "open", "open", "receive", "receive", "credit", "allocate", "allocate", "unallocate", "reverse", "finalise",
    "void", "void_credit", "correct",
)  # fmt: skip
STEPS: Final = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(VERBS),
        party=st.sampled_from((0, 0, 0, 1, 2)),
        which=st.integers(0, 4),
        target=st.integers(0, 4),
        amounts=st.lists(st.integers(1, 99), min_size=1, max_size=3),
        auto=st.booleans(),
    ),
    min_size=6,
    max_size=20,
)
BEGINNING: Final = [
    Step(verb, party, which, 0, amounts, auto)
    for verb, party, which, amounts, auto in (
        ("open", 0, 1, [30, 40], False), ("open", 0, 0, [50], False), ("open", 1, 0, [60], False),
        ("open", 2, 0, [70, 5], False), ("receive", 0, 1, [20, 25], True), ("credit", 0, 0, [9], True),
        ("receive", 2, 0, [20], False),
    )
]  # fmt: skip


class Bill:
    """An invoice in the model: its parts with their days."""

    def __init__(self, party: int, parts: list[tuple[date, int]]) -> None:
        self.party, self.parts, self.is_open = party, parts, True
        self.number = ""
        self.id = UUID(int=0)
        self.line_ids: list[UUID] = []


class Fund:
    """A receipt or credit note in the model."""

    def __init__(self, party: int, amount: int, kind: str, state: str) -> None:
        self.party, self.amount, self.kind, self.state = party, amount, kind, state
        self.id = UUID(int=0)

    @property
    def usable(self) -> bool:
        return self.state not in {"reversed", "void"}


class Model:
    """What should be true."""

    def __init__(self) -> None:
        self.bills: list[Bill] = []
        self.funds: list[Fund] = []
        self.standing: list[tuple[Fund, Bill, int, int]] = []  # fund, bill, part, amount

    def left_of(self, fund: Fund) -> int:
        used = sum(amount for each, _, _, amount in self.standing if each is fund)
        return fund.amount - used if fund.usable else 0

    def due_of(self, bill: Bill, part: int) -> int:
        paid = sum(amount for _, each, place, amount in self.standing if each is bill and place == part)
        return bill.parts[part][1] - paid if bill.is_open else 0

    def balance_of(self, bill: Bill) -> int:
        return sum(self.due_of(bill, part) for part in range(len(bill.parts)))

    def oldest_first(self, fund: Fund, bills: Iterable[Bill], limit: int) -> None:
        """Use a fund for the parts of bills, the earliest due first."""
        waiting = [(day, bill, part) for bill in bills for part, (day, _) in enumerate(bill.parts)]
        for _, bill, part in sorted(waiting, key=lambda each: (each[0], each[1].number, each[2])):
            amount = min(limit, self.left_of(fund), self.due_of(bill, part))
            if amount > 0:
                self.standing.append((fund, bill, part, amount))
                limit -= amount

    def auto(self, fund: Fund) -> None:
        mine = [bill for bill in self.bills if bill.party == fund.party and bill.is_open]
        self.oldest_first(fund, mine, fund.amount)

    def share(self, fund: Fund, bill: Bill, amount: int) -> type[AppError] | None:
        if not bill.is_open:
            return InvoiceNotOpen
        if amount > self.left_of(fund):
            return NotEnoughLeft
        if amount > self.balance_of(bill):
            return ExceedsBalance
        by_day = sorted(range(len(bill.parts)), key=lambda part: (bill.parts[part][0], part))
        for part in by_day:
            given = min(amount, self.due_of(bill, part))
            if given > 0:
                self.standing.append((fund, bill, part, given))
                amount -= given
        return None

    def free(self, *, fund: Fund | None = None, bill: Bill | None = None) -> None:
        self.standing = [each for each in self.standing if each[0] is not fund and each[1] is not bill]


class Life:
    """Plays steps on the product and on the model."""

    def __init__(self, session: TenantSession, parties: list[tuple[Parties, str]]) -> None:
        self.session, self.parties, self.model = session, parties, Model()
        self.played: Counter[str] = Counter()

    async def play(self, step: Step) -> None:
        mine = [bill for bill in self.model.bills if bill.party == step.party]
        funds = [fund for fund in self.model.funds if fund.party == step.party]
        bill = mine[step.target % len(mine)] if mine else None
        fund = funds[step.which % len(funds)] if funds else None
        match step.verb:
            case "open":
                await self.open(step)
            case "receive" | "credit":
                await self.receive(step)
            case "allocate" if fund is not None and bill is not None:
                await self.allocate(step, fund, bill)
            case "unallocate" | "reverse" | "finalise" | "void_credit" if fund is not None:
                await self.change(step.verb, fund)
            case "void" | "correct" if bill is not None:
                await self.correct(step, bill)
            case _:
                return
        self.played[step.verb] += 1

    async def open(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        parts = [(FIRST_DUE + timedelta(days=(step.which * 7 + place * 30) % 50), amount)
                 for place, amount in enumerate(step.amounts)]  # fmt: skip
        split = tuple(Line(amount_minor=amount, due_on=day) for day, amount in parts)
        number = f"F-{len(self.model.bills)}"
        view = await make_invoice(
            self.session, parties, number, sum(step.amounts), due_on=None, instalments=split, currency=currency
        )
        bill = Bill(step.party, parts)
        bill.number = number
        bill.id, bill.line_ids = ids.decode("inv", view.id), [ids.decode("ins", line.id) for line in view.instalments]
        self.model.bills.append(bill)

    async def receive(self, step: Step) -> None:
        parties, currency = self.parties[step.party]
        amount, how = sum(step.amounts) * 2, "auto" if step.auto else ()
        if step.verb == "receive":
            state = ReceiptState.PROVISIONAL if step.which % 2 else ReceiptState.FINAL
            receipt = await make_receipt(self.session, parties, amount, state=state, allocations=how, currency=currency)
            fund = Fund(step.party, amount, "receipt", state.value)
            fund.id = ids.decode("rcp", receipt.id)
        else:
            number = f"A-{len(self.model.funds)}"
            note = await make_credit_note(self.session, parties, number, amount, allocations=how, currency=currency)
            fund = Fund(step.party, amount, "note", "open")
            fund.id = ids.decode("crn", note.id)
        self.model.funds.append(fund)
        if step.auto:
            self.model.auto(fund)

    async def allocate(self, step: Step, fund: Fund, bill: Bill) -> None:
        amount = step.amounts[0]
        gone = ReceiptReversed if fund.kind == "receipt" else CreditNoteNotOpen
        if not fund.usable:
            expected: type[AppError] | None = gone
        elif step.auto:
            expected = None
            self.model.auto(fund)
        else:
            expected = self.model.share(fund, bill, amount)
        how = "auto" if step.auto else [Share(invoice_id=bill.id, amount_minor=amount)]
        verb = allocations.allocate_receipt if fund.kind == "receipt" else allocations.allocate_credit_note
        await self.expect(expected, lambda: verb(self.session, fund.id, how, NOW))

    async def change(self, verb: str, fund: Fund) -> None:
        session, receipt = self.session, fund.kind == "receipt"
        gone: type[AppError] = ReceiptReversed if receipt else CreditNoteNotOpen
        expected = None if fund.usable else gone
        if verb == "unallocate":
            undo = allocations.unallocate_receipt if receipt else allocations.unallocate_credit_note
            await self.expect(expected, lambda: undo(session, fund.id, None, NOW))
            self.model.free(fund=fund)
        elif verb == "reverse" and receipt:
            await self.expect(expected, lambda: receipts.reverse(session, fund.id, NewReversal(reason="AM04"), NOW))
            self.model.free(fund=fund)
            fund.state = "reversed"
        elif verb == "finalise" and receipt:
            if fund.state == "final":
                expected = ReceiptNotProvisional
            await self.expect(expected, lambda: receipts.finalise(session, fund.id, NOW))
            fund.state = fund.state if expected else "final"
        elif verb == "void_credit" and not receipt:
            await self.expect(expected, lambda: credit_notes.void_credit_note(session, fund.id, VoidReason.ERROR, NOW))
            self.model.free(fund=fund)
            fund.state = "void"

    async def correct(self, step: Step, bill: Bill) -> None:
        expected: type[AppError] | None = None if bill.is_open else InvoiceNotOpen
        if step.verb == "void":
            await self.expect(expected, lambda: corrections.void_invoice(self.session, bill.id, VoidReason.ERROR, NOW))
            bill.is_open = False
            self.model.free(bill=bill)
            return
        parts = [(day, step.amounts[place % len(step.amounts)]) for place, (day, _) in enumerate(bill.parts)]
        paid = [amount - self.model.due_of(bill, place) for place, (_, amount) in enumerate(bill.parts)]
        if expected is None and any(amount < was for (_, amount), was in zip(parts, paid, strict=True)):
            expected = AmountBelowAllocated
        change = InvoiceChange(
            total_minor=sum(amount for _, amount in parts),
            instalments=tuple(Line(amount_minor=amount, due_on=day) for day, amount in parts),
        )
        await self.expect(expected, lambda: corrections.update_invoice(self.session, bill.id, change, NOW))
        if expected is None:
            bill.parts = parts

    async def expect(self, refusal: type[AppError] | None, command: Callable[[], Awaitable[object]]) -> None:
        if refusal is None:
            await command()
            return
        with pytest.raises(refusal):
            await command()

    async def check(self) -> None:
        """Every balance, on the product's side and on the model's."""
        cached = await self.cached()
        expected: dict[UUID, int] = {}
        for bill in self.model.bills:
            expected[bill.id] = self.model.balance_of(bill)
            expected |= {line_id: self.model.due_of(bill, part) for part, line_id in enumerate(bill.line_ids)}
        expected |= {fund.id: self.model.left_of(fund) for fund in self.model.funds}
        assert cached == expected
        assert await drift(self.session, {parties.debtor_id for parties, _ in self.parties}) == []

    async def cached(self) -> dict[UUID, int]:
        """Every balance as it stands in the database."""
        await self.session.flush()
        debtor_ids = {parties.debtor_id for parties, _ in self.parties}
        found: dict[UUID, int] = {}
        for key, balance, debtor in (
            (Invoice.id, Invoice.balance_minor, Invoice.debtor_id),
            (Instalment.id, Instalment.balance_minor, Instalment.debtor_id),
            (Receipt.id, Receipt.unapplied_minor, Receipt.debtor_id),
            (CreditNote.id, CreditNote.remaining_minor, CreditNote.debtor_id),
        ):
            rows = await self.session.execute(select(key, balance).where(debtor.in_(debtor_ids)))
            found |= {row[0]: row[1] for row in rows}
        return found

    async def undo_everything(self) -> None:
        for fund in self.model.funds:
            if fund.usable:
                await self.change("unallocate", fund)


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a life shrinks slowly: each step is some twenty statements
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
async def test_every_balance_is_the_models_after_every_step(
    database: Database, tenant_id: UUID, steps: list[Step]
) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session)
        one, two = Parties(creditor, await make_debtor(session)), Parties(creditor, await make_debtor(session))
        life = Life(session, [(one, "EUR"), (one, "JPY"), (two, "EUR")])
        for step in [*BEGINNING, *steps]:
            await life.play(step)
            await life.check()
        await life.undo_everything()
        await life.check()
        for bill in life.model.bills:
            view = await access.invoice_view(session, bill.id)
            assert view.balance_minor == (view.total_minor if bill.is_open else 0)
    versions = Counter(event.object_id for event in await told(database, tenant_id))
    last = {event.object_id: event.sequence for event in await told(database, tenant_id)}
    assert all(last[object_id] == count for object_id, count in versions.items())  # one event per version, no gap
