from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dunning.rules import OnEntry, PolicyBody, PolicyInvalid, Step, Tone, check, default_body, enter, step_at, step_day
from kernel.clock import day_of
from kernel.clock import zone as zone_of

DUE = date(2026, 3, 10)
BODY = default_body()  # J-3, J+3, J+10, J+25


def step(key: str, days: int) -> Step:
    return Step(key=key, days=days, tone=Tone.FIRM, template="reminder")


def test_the_default_policy_holds_together() -> None:
    check(BODY)
    assert [BODY.level_of(place) for place in range(4)] == [0, 1, 2, 3]


def test_a_policy_names_every_fault() -> None:
    body = PolicyBody(steps=(step("a", 3), step("b", 3), step("a", 5)))
    with pytest.raises(PolicyInvalid) as refusal:
        check(body)
    assert [(fault.pointer, fault.code) for fault in refusal.value.errors] == [
        ("/steps/1/days", "order"),
        ("/steps/2/key", "duplicate"),
    ]


@pytest.mark.parametrize(
    ("today", "from_step", "review"),
    [
        (date(2026, 2, 1), 0, False),  # long before
        (date(2026, 3, 7), 0, False),  # on the preventive day
        (date(2026, 3, 8), 1, False),  # a word before the due date that nobody said is not said late
        (date(2026, 3, 13), 1, False),  # on the day of the first reminder: not yet passed
        (date(2026, 3, 14), 1, True),  # the day after: the debt is old
        (date(2026, 3, 21), 2, True),
        (date(2036, 3, 10), 3, True),
    ],
)
def test_old_debts_wait_for_a_person(today: date, from_step: int, *, review: bool) -> None:
    entry = enter(BODY, DUE, today)
    assert (entry.from_step, entry.review) == (from_step, review)


def test_on_entry_chooses_where_an_old_debt_begins() -> None:
    today = DUE + timedelta(days=12)
    assert enter(replace(BODY, on_entry=OnEntry.FIRST_STEP), DUE, today).from_step == 1
    assert enter(replace(BODY, on_entry=OnEntry.MATCHING_STEP), DUE, today).from_step == 2
    too_old = enter(replace(BODY, on_entry=OnEntry.MATCHING_STEP, max_age_days=11), DUE, today)
    assert too_old.review


def test_a_debt_too_old_waits_for_a_person_before_its_first_step_too() -> None:
    body = PolicyBody(steps=(step("late", 30),), on_entry=OnEntry.FIRST_STEP, max_age_days=5)
    assert enter(body, DUE, DUE + timedelta(days=5)).review is False
    assert enter(body, DUE, DUE + timedelta(days=19)).review is True


@given(
    st.dates(date(2020, 1, 1), date(2030, 12, 31)),
    st.sampled_from(["Europe/Paris", "America/New_York", "Pacific/Apia"]),
)
def test_a_step_falls_on_its_local_day_at_its_local_time(due_on: date, zone: str) -> None:
    for place in range(len(BODY.steps)):
        instant = step_at(BODY, place, due_on, zone)
        local = instant.astimezone(zone_of(zone))
        assert day_of(instant, zone) == step_day(BODY, place, due_on)
        assert (local.hour, local.minute) == (9, 0)


def test_a_time_that_spring_skips_becomes_the_instant_after_the_gap() -> None:
    night = replace(BODY, send_at="02:30", steps=(step("night", 0),))
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    assert step_at(night, 0, spring, "Europe/Paris") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert step_at(night, 0, autumn, "Europe/Paris") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
