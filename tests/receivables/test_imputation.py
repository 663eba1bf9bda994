"""Which debts an amount settles: every rule keeps to its order and to the cent, whatever came in first."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receivables.imputation import CHARGE_ORDER, RULES, Debt, spread
from receivables.ledger import ChargeKind
from receivables.models import AllocationRule

ON = date(2026, 3, 1)
OLDEST, CIVIL = AllocationRule.OLDEST_DUE, AllocationRule.FR_CIVIL_CODE


def debt(
    number: int,
    balance: int,
    due: int | None,
    *,
    issued: int = -60,
    invoice: int | None = None,
    kind: ChargeKind | None = None,
) -> Debt:
    """A debt due so many days after the payment."""
    return Debt(
        id=UUID(int=number),
        balance_minor=balance,
        due_on=None if due is None else ON + timedelta(days=due),
        issued_on=ON + timedelta(days=issued),
        invoice_id=None if kind is not None and invoice is None else UUID(int=invoice or number),
        kind=kind,
        number=f"F-{number:03}",
    )


def laid(rule: AllocationRule, amount: int, debts: list[Debt], *named: int) -> list[tuple[int, int]]:
    return [(part.int, got) for part, got in spread(rule, amount, debts, ON, [UUID(int=each) for each in named])]


def test_the_oldest_due_comes_first_and_charges_last() -> None:
    debts = [debt(1, 50, 10), debt(2, 50, -10), debt(3, 50, None), debt(9, 20, -90, kind=ChargeKind.INTEREST)]
    assert laid(OLDEST, 130, debts) == [(2, 50), (1, 50), (3, 30)]
    assert laid(OLDEST, 1_000, debts)[-1] == (9, 20)


def test_the_civil_code_pays_what_is_due_before_what_is_to_come_and_interest_before_principal() -> None:
    """Art. 1342-10 and 1343-1; costs of recovery are accessories of the debt (Cass. 1re civ., 7 Feb 1995)."""
    debts = [
        debt(1, 100, 5), debt(2, 100, -30), debt(3, 100, -10),
        debt(20, 7, -1, invoice=3, kind=ChargeKind.INTEREST), debt(21, 40, -1, invoice=3, kind=ChargeKind.COMPENSATION),
        debt(22, 3, -1, invoice=2, kind=ChargeKind.INTEREST),
    ]  # fmt: skip
    assert laid(CIVIL, 300, debts) == [(22, 3), (2, 100), (21, 40), (20, 7), (3, 100), (1, 50)]


def test_a_payment_of_the_principal_alone_leaves_principal() -> None:
    """Vector FR-08 of the reference in small: interest is paid first, so as much principal stays open."""
    late = [debt(1, 10_000, -90), debt(2, 162, -1, invoice=1, kind=ChargeKind.INTEREST)]
    assert laid(CIVIL, 10_000, late) == [(2, 162), (1, 9_838)]
    assert laid(OLDEST, 10_000, late) == [(1, 10_000)]


@pytest.mark.parametrize("rule", AllocationRule)
def test_what_the_debtor_names_comes_first(rule: AllocationRule) -> None:
    debts = [debt(1, 100, -30), debt(2, 100, -20), debt(3, 100, 40)]
    assert laid(rule, 150, debts, 3, 2) == [(3, 100), (2, 50)]


def test_equal_debts_share_by_size_to_the_cent() -> None:
    debts = [debt(1, 100, -5), debt(2, 200, -5), debt(3, 300, -4)]
    assert laid(CIVIL, 100, debts) == [(1, 33), (2, 67)]
    assert laid(OLDEST, 150, debts) == [(1, 100), (2, 50)]


def test_a_charge_of_a_paid_invoice_is_a_debt_of_its_own() -> None:
    debts = [
        debt(1, 100, -5),
        debt(8, 40, -9, invoice=77, kind=ChargeKind.COMPENSATION),
        debt(9, 5, -1, kind=ChargeKind.FEE),
    ]
    assert laid(CIVIL, 143, debts) == [(8, 40), (1, 100), (9, 3)]


def test_every_rule_says_what_it_does_and_where_it_comes_from() -> None:
    assert set(RULES) == set(AllocationRule)
    assert all(text.order and text.source for text in RULES.values())
    assert set(CHARGE_ORDER) == set(ChargeKind)


DEBTS = st.lists(
    st.tuples(
        st.integers(0, 500),
        st.none() | st.integers(-20, 20),
        st.integers(-90, -60),
        st.none() | st.sampled_from(list(ChargeKind)),
        st.none() | st.integers(1, 6),
    ),
    max_size=12,
).map(
    lambda rows: [
        debt(place, balance, due, issued=issued, kind=kind, invoice=invoice if kind is not None else None)
        for place, (balance, due, issued, kind, invoice) in enumerate(rows, start=1)
    ]
)


@given(rule=st.sampled_from(AllocationRule), amount=st.integers(0, 3_000), debts=DEBTS, random=st.randoms())
def test_nothing_is_lost_nothing_is_paid_twice_and_the_order_of_arrival_does_not_matter(
    rule: AllocationRule, amount: int, debts: list[Debt], random: object
) -> None:
    parts = laid(rule, amount, debts)
    owed = {each.id.int: each.balance_minor for each in debts}
    assert sum(got for _, got in parts) == min(amount, sum(owed.values()))
    assert len({target for target, _ in parts}) == len(parts)
    assert all(0 < got <= owed[target] for target, got in parts)
    shuffled = list(debts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert laid(rule, amount, shuffled) == parts


@given(amount=st.integers(0, 3_000), split=st.integers(0, 3_000), debts=DEBTS)
def test_two_payments_settle_what_one_of_their_sum_does(amount: int, split: int, debts: list[Debt]) -> None:
    first = min(split, amount)
    rest = {each.id: each.balance_minor for each in debts}
    for part in (first, amount - first):
        now = [each for each in (_left(one, rest[one.id]) for one in debts) if each.balance_minor]
        for target, got in spread(OLDEST, part, now, ON):
            rest[target] -= got
    at_once = dict(laid(OLDEST, amount, debts))
    assert {
        each.id.int: each.balance_minor - rest[each.id] for each in debts if each.balance_minor != rest[each.id]
    } == (at_once)


def _left(one: Debt, balance: int) -> Debt:
    return Debt(
        id=one.id, balance_minor=balance, due_on=one.due_on, issued_on=one.issued_on, invoice_id=one.invoice_id,
        kind=one.kind, number=one.number, place=one.place,
    )  # fmt: skip
