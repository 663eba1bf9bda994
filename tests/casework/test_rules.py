"""How an amount held on an invoice lies over its instalments."""

from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from casework.rules import OpenLine, spread

LINES = st.lists(
    st.builds(
        OpenLine,
        instalment_id=st.uuids(),
        due_on=st.none() | st.dates(date(2026, 1, 1), date(2026, 12, 31)),
        place=st.integers(1, 9),
        balance_minor=st.integers(0, 1_000),
    ),
    max_size=8,
    unique_by=lambda line: line.instalment_id,
)


def test_the_earliest_due_is_held_first() -> None:
    late = OpenLine(UUID(int=1), date(2026, 5, 1), 1, 100)
    early = OpenLine(UUID(int=2), date(2026, 4, 1), 2, 100)
    undated = OpenLine(UUID(int=3), None, 3, 100)
    assert spread(150, [undated, late, early]) == {early.instalment_id: 100, late.instalment_id: 50}


@given(amount=st.integers(1, 5_000), lines=LINES)
def test_all_of_it_is_held_as_far_as_something_is_owed(amount: int, lines: list[OpenLine]) -> None:
    held = spread(amount, lines)
    balances = {line.instalment_id: line.balance_minor for line in lines}
    assert sum(held.values()) == min(amount, sum(balances.values()))
    assert all(0 < part <= balances[line] for line, part in held.items())
