"""Random lives of a ledger: on every day, as known at every instant, ageing is what plain Python makes of its rows."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from insights.ageing import Question, report
from insights.views import AgedFigures, AgedRow, Credits, GroupBy
from kernel import ids
from kernel.errors import AppError
from receivables import allocations, corrections, credit_notes, receipts
from receivables.charges import book_charge, waive_charge
from receivables.drafts import InvoiceChange, Line, NewCharge, NewReversal, NewWriteOff
from receivables.ledger import Charge, ChargeKind, WriteOff, WriteOffReason
from receivables.models import CreditNote, Debtor, Invoice, Receipt, VoidReason
from receivables.periods import Basis, explicit, regular
from receivables.statements.reading import StatementOf, statement
from receivables.statements.views import StatementAccount
from receivables.write_offs import reverse_write_off, write_off
from storage.database import Database
from storage.session import TenantSession
from support.ageing import Account, Plain
from support.receivables import (
    Parties,
    at_work,
    make_credit_note,
    make_creditor,
    make_debtor,
    make_invoice,
    make_receipt,
)
from support.tenants import NOW, make_tenant

WAIVE: Final = "goodwill"
BEGINNING: Final = date(2026, 1, 1)


class Step(NamedTuple):
    """One command, with numbers that the interpreter reads as it needs them."""

    verb: str
    party: int
    which: int
    amounts: list[int]
    day: int
    due: int | None
    auto: bool


VERBS: Final = (
    "open", "open", "open", "receive", "receive", "credit", "allocate", "unallocate", "reverse", "void", "void_credit",
    "correct", "merge", "charge", "charge", "waive", "write_off", "restore",
)  # fmt: skip
STEPS: Final = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(VERBS),
        party=st.integers(0, 4),
        which=st.integers(0, 5),
        amounts=st.lists(st.integers(1, 99), min_size=1, max_size=3),
        day=st.integers(0, 120),
        due=st.one_of(st.none(), st.integers(-5, 90)),
        auto=st.booleans(),
    ),
    min_size=5,
    max_size=18,
)
WAYS: Final = st.lists(
    st.tuples(
        st.integers(-5, 200),  # the day
        st.integers(0, 20),  # the instant, in steps
        st.sampled_from(Basis),
        st.sampled_from(Credits),
        st.sampled_from(GroupBy),
        st.sampled_from([(30, 3), (7, 1), (15, 8)]),
    ),
    min_size=4,
    max_size=8,
)


class Life:
    """Plays commands; one that the product refuses changes nothing."""

    def __init__(self, session: TenantSession, parties: list[tuple[Parties, str]]) -> None:
        self.session, self.parties, self.step = session, parties, 0

    @property
    def now(self) -> datetime:
        return NOW + timedelta(hours=self.step)

    async def play(self, step: Step) -> None:
        self.step += 1
        try:
            async with self.session.begin_nested():  # allow: commit, a step that is refused leaves nothing behind
                await getattr(self, step.verb)(step, *self.parties[step.party % len(self.parties)])
        except AppError:
            self.session.expire_all()

    async def pick(self, model: type[Any], step: Step) -> Any:  # Any: a row of that model
        await self.session.flush()
        rows = (await self.session.scalars(select(model).order_by(model.id))).all()
        return rows[step.which % len(rows)].id if rows else ids.new_id()

    async def open(self, step: Step, parties: Parties, currency: str) -> None:
        day = BEGINNING + timedelta(days=step.day)
        dues = [None if step.due is None else day + timedelta(days=step.due + 20 * n) for n in range(3)]
        await make_invoice(
            self.session,
            parties,
            f"F-{self.step}",
            sum(step.amounts),
            now=self.now,
            currency=currency,
            issued_on=day,
            due_on=None,
            instalments=tuple(Line(amount_minor=a, due_on=d) for a, d in zip(step.amounts, dues, strict=False)),
        )

    async def receive(self, step: Step, parties: Parties, currency: str) -> None:
        await make_receipt(
            self.session,
            parties,
            sum(step.amounts),
            now=self.now,
            currency=currency,
            effective_on=BEGINNING + timedelta(days=step.day),
            **({"allocations": "auto"} if step.auto else {}),
        )

    async def credit(self, step: Step, parties: Parties, currency: str) -> None:
        day = BEGINNING + timedelta(days=step.day)
        await make_credit_note(
            self.session, parties, f"A-{self.step}", sum(step.amounts), now=self.now, currency=currency, issued_on=day
        )

    async def allocate(self, step: Step, parties: Parties, currency: str) -> None:
        if step.auto:
            await allocations.allocate_receipt(self.session, await self.pick(Receipt, step), "auto", self.now)
        else:
            await allocations.allocate_credit_note(self.session, await self.pick(CreditNote, step), "auto", self.now)

    async def unallocate(self, step: Step, parties: Parties, currency: str) -> None:
        await allocations.unallocate_receipt(self.session, await self.pick(Receipt, step), None, self.now)

    async def reverse(self, step: Step, parties: Parties, currency: str) -> None:
        why = NewReversal(reason="bounced", effective_on=BEGINNING + timedelta(days=step.day))
        await receipts.reverse(self.session, await self.pick(Receipt, step), why, self.now)

    async def void(self, step: Step, parties: Parties, currency: str) -> None:
        reason = VoidReason.DUPLICATE if step.auto else VoidReason.CANCELLED
        await corrections.void_invoice(self.session, await self.pick(Invoice, step), reason, self.now)

    async def void_credit(self, step: Step, parties: Parties, currency: str) -> None:
        reason = VoidReason.ERROR if step.auto else VoidReason.CANCELLED
        await credit_notes.void_credit_note(self.session, await self.pick(CreditNote, step), reason, self.now)

    async def correct(self, step: Step, parties: Parties, currency: str) -> None:
        due = None if step.due is None else BEGINNING + timedelta(days=step.day + step.due)
        lines = tuple(Line(amount_minor=amount, due_on=due) for amount in step.amounts)
        change = InvoiceChange(total_minor=sum(step.amounts), instalments=lines)
        await corrections.update_invoice(self.session, await self.pick(Invoice, step), change, self.now)

    async def charge(self, step: Step, parties: Parties, currency: str) -> None:
        new = NewCharge(
            creditor_id=parties.creditor_id, debtor_id=parties.debtor_id, currency=currency, kind=ChargeKind.FEE,
            amount_minor=step.amounts[0], effective_on=BEGINNING + timedelta(days=step.day),
        )  # fmt: skip
        await book_charge(self.session, new, self.now)

    async def waive(self, step: Step, parties: Parties, currency: str) -> None:
        await waive_charge(self.session, await self.pick(Charge, step), WAIVE, self.now)

    async def write_off(self, step: Step, parties: Parties, currency: str) -> None:
        new = NewWriteOff(
            invoice_id=await self.pick(Invoice, step), reason=WriteOffReason.BAD_DEBT,
            amount_minor=None if step.auto else step.amounts[0],
        )  # fmt: skip
        await write_off(self.session, new, self.now)

    async def restore(self, step: Step, parties: Parties, currency: str) -> None:
        await reverse_write_off(self.session, await self.pick(WriteOff, step), self.now)

    async def merge(self, step: Step, parties: Parties, currency: str) -> None:
        """The second debtor into the first; whoever is merged already stays where it is."""
        second, first = self.parties[1][0].debtor_id, self.parties[0][0].debtor_id
        await self.session.flush()
        await self.session.execute(update(Debtor).where(Debtor.id == second).values(merged_into_id=first))


def key_of(group_by: GroupBy) -> Callable[[Account], object]:
    def key(account: Account) -> object:
        return getattr(account, "currency" if group_by is GroupBy.CURRENCY else f"{group_by.value}_id")

    return key


def everything(_account: Account) -> object:
    return "all"


def plain(row: AgedFigures) -> dict[str, object]:
    return {
        name: getattr(row, name)
        for name in (
            "periods_minor", "undated_minor", "open_minor", "overdue_minor", "charges_minor", "unapplied_minor",
            "credit_minor", "balance_minor",
        )
    }  # fmt: skip


def by_currency(view: AgedRow) -> dict[str, dict[str, object]]:
    return {row.currency: plain(row) for row in view.currencies}


async def all_rows(session: TenantSession, asked: Question) -> dict[object, AgedRow]:
    """All rows, two a page."""
    found: dict[object, AgedRow] = {}
    after: UUID | str | None = None
    while True:
        page = (await report(session, asked, after=after, limit=2)).rows
        if not page:
            return found
        found |= {row.key: row.view for row in page}
        after = page[-1].key


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a life shrinks slowly: each step is some twenty statements
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, ways=WAYS)
async def test_every_figure_is_what_plain_python_makes_of_the_ledger(
    database: Database, steps: list[Step], ways: list[tuple[Any, ...]]
) -> None:
    async with at_work(database, await make_tenant(database)) as session:
        one, two = await make_creditor(session), await make_creditor(session, zone="Pacific/Auckland")
        first, second, third = [await make_debtor(session) for _ in range(3)]
        life = Life(
            session,
            [
                (Parties(one, first), "EUR"), (Parties(one, second), "EUR"), (Parties(two, first), "EUR"),
                (Parties(one, first), "JPY"), (Parties(two, third), "EUR"),
            ],
        )  # fmt: skip
        for step in steps:
            await life.play(step)
        model = await Plain.of(session)
        await check_statements(session, model, [ids.decode("dbt", each.id) for each in (first, third)])
        for day, instant, basis, netting, group_by, (length_days, count) in ways:
            as_of, known_at = BEGINNING + timedelta(days=day), NOW + timedelta(hours=instant)
            periods = regular(basis, length_days=length_days, count=count)
            asked = Question(
                now=NOW + timedelta(days=9), as_of=as_of, as_known_at=known_at, basis=basis, periods=periods,
                credits=netting, group_by=group_by,
            )  # fmt: skip
            expected = model.aged(as_of, known_at, basis=basis, periods=periods, netting=netting, key=key_of(group_by))
            rows = await all_rows(session, asked)
            assert {key: by_currency(view) for key, view in rows.items()} == expected
            whole = model.aged(as_of, known_at, basis=basis, periods=periods, netting=netting, key=everything).get(
                "all", {}
            )
            totals = (await report(session, asked, after=None, limit=0)).summary.totals
            assert {row.currency: plain(row) for row in totals} == whole
            for row in totals:
                netted = sum(row.periods_minor) + row.undated_minor
                assert netted + row.charges_minor - row.unapplied_minor - row.credit_minor == row.balance_minor
                assert row.not_due_minor + row.overdue_minor == row.open_minor


async def check_statements(session: TenantSession, model: Plain, debtors: Iterable[UUID]) -> None:
    """Each period opens with what the one before it closed; the last balance is the ledger's and what is open."""
    now = NOW + timedelta(days=9)
    cuts = [BEGINNING + timedelta(days=days) for days in (0, 40, 80, 140)]
    for debtor_id in debtors:
        closings: dict[tuple[str, str], int] = {}
        for first, last in pairwise(cuts):
            asked = StatementOf(debtor_id=debtor_id, now=now, from_on=first, to_on=last - timedelta(days=1))
            accounts = (await statement(session, asked)).view.accounts
            balances = model.balances(last - timedelta(days=1), now)
            for account in accounts:
                key = (account.creditor_id, account.currency)
                whose = Account(model.roots[debtor_id], ids.decode("crd", account.creditor_id), account.currency)
                assert account.opening_minor == closings.get(key, 0)
                assert account.opening_minor + account.debit_minor - account.credit_minor == account.closing_minor
                assert account.closing_minor == balances[whose]
                assert sum(account.periods_minor) + account.undated_minor == account.open_minor
            assert all(closing == 0 for key, closing in closings.items() if key not in keys_of(accounts))
            closings = {(each.creditor_id, each.currency): each.closing_minor for each in accounts}


def keys_of(accounts: Iterable[StatementAccount]) -> set[tuple[str, str]]:
    return {(each.creditor_id, each.currency) for each in accounts}


def test_explicit_bounds_are_periods() -> None:
    assert [each.code for each in explicit(Basis.DUE_DATE, (15, 45)).described()] == [
        "current", "1-15", "16-45", "over_45",
    ]  # fmt: skip
    assert [each.code for each in regular(Basis.INVOICE_DATE, length_days=30, count=2).described()] == [
        "up_to_30", "31-60", "over_60",
    ]  # fmt: skip
