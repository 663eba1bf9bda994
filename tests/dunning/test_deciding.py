from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dunning.deciding import BLOCKERS, CHECKS, Facts, Said, Verdict, decide
from dunning.rules import CatchUp, default_body

BODY = default_body()
DUE = date(2026, 3, 10)
OPEN = Facts(
    document="open",
    due_on=DUE,
    balance_minor=120_00,
    currency="EUR",
    reachable=True,
    opted_out=False,
    mode="automatic",
    creditor_zone="Europe/Paris",
    debtor_zone="Europe/Paris",
)


def on(days: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, 10, hour, tzinfo=UTC) + timedelta(days=days)


def test_nothing_is_said_before_its_hour_and_everything_at_it() -> None:
    assert decide(OPEN, BODY, on(3, 7)).codes == ("not_yet",)
    early = decide(replace(OPEN, said=(Said("before_due", 1, "issued", DUE),)), BODY, on(3, 7))
    assert (early.verdict, early.look_again_at) == (Verdict.DEFER, on(3, 8))
    due = decide(OPEN, BODY, on(3, 8))
    assert (due.verdict, due.step, due.level, due.blockers) == (Verdict.ACT, "first_reminder", 1, ())


def test_a_preventive_word_is_never_said_late() -> None:
    before, after = decide(OPEN, BODY, on(-1)), decide(OPEN, BODY, on(1))
    assert (before.verdict, before.step) == (Verdict.ACT, "before_due")
    assert (after.verdict, after.step) == (Verdict.DEFER, "first_reminder")


@pytest.mark.parametrize(
    ("change", "verdict", "code"),
    [
        ({"document": "void"}, Verdict.SKIP, "not_open"),
        ({"balance_minor": 0}, Verdict.SKIP, "settled"),
        ({"due_on": None}, Verdict.SKIP, "no_due_date"),
        ({"insolvent": True}, Verdict.SKIP, "insolvent"),
        ({"outsourced": True}, Verdict.HOLD, "placed"),
        ({"in_process_minor": 1}, Verdict.HOLD, "payment_in_process"),
        ({"direct_debit_on": date(2026, 3, 20)}, Verdict.HOLD, "payment_in_process"),
        ({"unapplied_minor": 120_00}, Verdict.HOLD, "unapplied_cash"),
        ({"holds": ("dispute",)}, Verdict.HOLD, "held"),
        ({"held_minor": 120_00}, Verdict.HOLD, "amount_held"),
        ({"in_review": True}, Verdict.HOLD, "course_in_review"),
        ({"reachable": False}, Verdict.HOLD, "no_contact"),
        ({"reachable": None}, Verdict.HOLD, "no_contact"),
        ({"opted_out": True}, Verdict.HOLD, "opted_out"),
        ({"opted_out": None}, Verdict.HOLD, "opted_out"),
        ({"mode": "off"}, Verdict.HOLD, "tenant_off"),
        ({"mode": "review"}, Verdict.HOLD, "review_mode"),
        ({"stopped": ("tenant",)}, Verdict.HOLD, "kill_switch"),
        ({"fresh": None}, Verdict.DEFER, "stale_data"),
        ({"contacted_on": date(2026, 3, 12)}, Verdict.DEFER, "contacted_lately"),
    ],
)
def test_each_fact_that_stands_in_the_way_is_named(change: dict[str, Any], verdict: Verdict, code: str) -> None:
    assert decide(OPEN, BODY, on(3)).verdict is Verdict.ACT
    blocked = decide(replace(OPEN, **change), BODY, on(3))
    assert (blocked.verdict, blocked.codes) == (verdict, (code,))


def test_every_blocker_is_named_and_the_first_gives_the_verdict() -> None:
    blocked = decide(replace(OPEN, outsourced=True, holds=("manual",), opted_out=True), BODY, on(3))
    assert (blocked.verdict, blocked.codes) == (Verdict.HOLD, ("placed", "held", "opted_out"))


def test_part_of_the_balance_may_be_held_or_covered() -> None:
    assert decide(replace(OPEN, held_minor=100_00), BODY, on(3)).verdict is Verdict.ACT
    assert decide(replace(OPEN, unapplied_minor=119_99), BODY, on(3)).verdict is Verdict.ACT


def test_after_an_outage_only_the_highest_or_each_in_turn() -> None:
    assert decide(OPEN, BODY, on(40)).step == "last_reminder"
    assert decide(replace(OPEN), replace(BODY, catch_up=CatchUp.SEQUENCE), on(40)).step == "first_reminder"


def test_a_debit_announced_is_waited_for() -> None:
    held = decide(replace(OPEN, direct_debit_on=date(2026, 3, 20)), BODY, on(5))
    assert held.look_again_at == datetime(2026, 3, 21, 8, tzinfo=UTC)


def test_when_all_is_said_nothing_is_left() -> None:
    said = tuple(Said(step.key, 1, "issued", DUE) for step in BODY.steps)
    finished = decide(replace(OPEN, said=said), BODY, on(60))
    assert (finished.verdict, finished.codes, finished.look_again_at) == (Verdict.SKIP, ("finished",), None)
    assert decide(replace(OPEN, said=said, cycle=2), BODY, on(60)).verdict is Verdict.ACT


def test_below_the_minimum_the_next_step_has_its_turn() -> None:
    first = replace(BODY.steps[1], minimum_minor={"EUR": 200_00})
    body = replace(BODY, steps=(BODY.steps[0], first, *BODY.steps[2:]))
    small = decide(OPEN, body, on(5))
    assert (small.verdict, small.codes) == (Verdict.SKIP, ("below_minimum",))
    assert small.look_again_at == on(10, 8)
    assert decide(OPEN, body, on(10)).step == "second_reminder"


FACTS = st.builds(
    Facts,
    document=st.sampled_from(["open", "draft", "void", "written_off"]),
    due_on=st.none() | st.dates(date(2026, 1, 1), date(2026, 6, 1)),
    balance_minor=st.integers(0, 10**9),
    currency=st.sampled_from(["EUR", "JPY"]),
    held_minor=st.integers(0, 10**9),
    unapplied_minor=st.integers(0, 10**9),
    in_process_minor=st.sampled_from([0, 0, 5]),
    direct_debit_on=st.none() | st.dates(date(2026, 1, 1), date(2026, 6, 1)),
    insolvent=st.booleans(),
    reachable=st.sampled_from([True, True, False, None]),
    opted_out=st.sampled_from([False, False, True, None]),
    holds=st.sampled_from([(), (), ("manual",)]),
    outsourced=st.booleans(),
    mode=st.sampled_from(["off", "review", "automatic", "automatic", "something new"]),
    stopped=st.sampled_from([(), (), ("platform",)]),
    in_review=st.booleans(),
    from_step=st.integers(0, 4),
    contacted_on=st.none() | st.dates(date(2026, 1, 1), date(2026, 6, 1)),
)


@given(FACTS, st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 1)).map(lambda naive: naive.replace(tzinfo=UTC)))  # noqa: DTZ001 - made aware at once
def test_the_hard_limits_hold_whatever_the_facts(facts: Facts, now: datetime) -> None:
    decision = decide(facts, BODY, now)
    assert set(decision.codes) <= set(BLOCKERS)
    assert (decision.verdict is Verdict.ACT) == (not decision.blockers)
    if decision.look_again_at is not None:
        assert decision.look_again_at > now
    if decision.verdict is Verdict.ACT:
        assert facts.due_on is not None
        assert facts.unapplied_minor < facts.balance_minor
        assert facts.document == "open"
        assert facts.mode == "automatic"
        assert facts.reachable is True
        assert facts.opted_out is False
        assert not any((facts.outsourced, facts.insolvent, facts.in_review, facts.holds, facts.stopped))
        assert facts.in_process_minor == 0


def test_an_unknown_answer_is_not_allowed() -> None:
    nothing_known = Facts(document="open", due_on=DUE, balance_minor=1, currency="EUR", mode="automatic")
    assert {"no_contact", "opted_out"} <= set(decide(nothing_known, BODY, on(3)).codes)
    assert len({check.code for check in CHECKS}) == len(CHECKS)
