"""The retry schedule and what an answer means, as rules."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.http import FailureKind
from webhooks.schedule import (
    DAY_S,
    HOUR_S,
    JITTER,
    SCHEDULE_S,
    THROTTLED_MIN_S,
    Outcome,
    Verdict,
    judge,
    judge_failure,
    next_try,
    read_retry_after,
)

NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
AGAIN: Final = (Outcome.FAILED, Outcome.THROTTLED, Outcome.OURS)

attempts = st.integers(1, len(SCHEDULE_S) - 1)
jitters = st.floats(-1, 1)
waits = st.floats(0, 1e12)


def test_schedule_is_that_of_the_specification() -> None:
    assert len(SCHEDULE_S) == 10
    assert SCHEDULE_S[0] == 0
    assert list(SCHEDULE_S) == sorted(SCHEDULE_S)
    assert 75 * HOUR_S <= sum(SCHEDULE_S) <= 76 * HOUR_S
    assert [next_try(done, Outcome.FAILED, jitter=0) for done in range(1, 10)] == [
        5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
    ]  # fmt: skip


@pytest.mark.parametrize("outcome", AGAIN)
def test_ten_tries_and_no_more(outcome: Outcome) -> None:
    assert next_try(9, outcome, jitter=0) is not None
    assert next_try(10, outcome, jitter=0) is None
    assert next_try(1000, outcome, jitter=0, retry_after_s=5) is None


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.ABORTED])
def test_nothing_is_tried_again_after_the_end(outcome: Outcome) -> None:
    assert next_try(1, outcome, jitter=0, retry_after_s=5) is None


@settings(deadline=None)  # the machine may be busy
@given(attempts, jitters)
def test_jitter_stays_within_a_fifth(done: int, jitter: float) -> None:
    delay_s = next_try(done, Outcome.FAILED, jitter=jitter)
    assert delay_s is not None
    assert SCHEDULE_S[done] * (1 - JITTER) - 1e-6 <= delay_s <= SCHEDULE_S[done] * (1 + JITTER) + 1e-6


@settings(deadline=None)  # the machine may be busy
@given(attempts, jitters, waits)
def test_retry_after_is_never_undercut_and_bounded_by_a_day(done: int, jitter: float, asked_s: float) -> None:
    plain_s = next_try(done, Outcome.FAILED, jitter=jitter)
    delay_s = next_try(done, Outcome.FAILED, jitter=jitter, retry_after_s=asked_s)
    assert plain_s is not None
    assert delay_s is not None
    assert delay_s >= min(asked_s, DAY_S) - 1e-6
    assert plain_s <= delay_s <= max(plain_s, DAY_S * (1 + JITTER) + 1e-6)


@settings(deadline=None)  # the machine may be busy
@given(attempts, jitters, waits, waits)
def test_asking_for_more_never_gives_less(done: int, jitter: float, one: float, other: float) -> None:
    sooner, later = (next_try(done, Outcome.THROTTLED, jitter=jitter, retry_after_s=s) for s in sorted((one, other)))
    assert sooner is not None
    assert later is not None
    assert sooner <= later


@settings(deadline=None)  # the machine may be busy
@given(attempts, jitters)
def test_throttled_waits_a_minute_at_least(done: int, jitter: float) -> None:
    throttled, failed = (next_try(done, outcome, jitter=jitter) for outcome in (Outcome.THROTTLED, Outcome.FAILED))
    assert throttled is not None
    assert failed is not None
    assert throttled >= max(failed, THROTTLED_MIN_S * (1 - JITTER) - 1e-6)


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(AGAIN), jitters)
def test_base_never_decreases(outcome: Outcome, jitter: float) -> None:
    delays = [next_try(done, outcome, jitter=jitter) for done in range(1, 10)]
    assert delays == sorted(delay for delay in delays if delay is not None)


def test_negative_wait_moves_nothing() -> None:
    assert next_try(1, Outcome.FAILED, jitter=0, retry_after_s=-5) == 5


def test_other_schedule() -> None:
    assert next_try(1, Outcome.FAILED, jitter=0, schedule_s=(0, 0.5)) == 0.5
    assert next_try(2, Outcome.FAILED, jitter=0, schedule_s=(0, 0.5)) is None


@pytest.mark.parametrize(("done", "jitter"), [(0, 0.0), (1, 1.1), (1, -1.1), (1, float("nan"))])
def test_what_cannot_be_asked(done: int, jitter: float) -> None:
    with pytest.raises(ValueError, match=r"jitter|tried"):
        next_try(done, Outcome.FAILED, jitter=jitter)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([200, 201, 202, 204, 299], Outcome.SUCCEEDED),
        ([100, 101, 199, 300, 301, 302, 304, 307, 308], Outcome.FAILED),
        ([400, 401, 403, 404, 408, 409, 410, 418, 422, 498], Outcome.FAILED),
        ([500, 501, 503, 505, 599, 999], Outcome.FAILED),
        ([429, 502, 504], Outcome.THROTTLED),
    ],
)
def test_status_is_judged(statuses: list[int], outcome: Outcome) -> None:
    assert {judge(status, {}).outcome for status in statuses} == {outcome}


def test_gone_disables_the_endpoint() -> None:
    assert judge(410, {}) == Verdict(Outcome.FAILED, "gone")
    assert judge(404, {}).disable is None


@pytest.mark.parametrize("wish", ["disable", "Disable", " disable "])
def test_receiver_disables_itself(wish: str) -> None:
    assert judge(500, {"webhook-delivery": wish}) == Verdict(Outcome.FAILED, "asked")
    assert judge(204, {"webhook-delivery": wish}) == Verdict(Outcome.SUCCEEDED, "asked")


def test_receiver_aborts_one_message() -> None:
    assert judge(500, {"webhook-delivery": "abort-message"}) == Verdict(Outcome.ABORTED)
    assert judge(200, {"webhook-delivery": "abort-message"}) == Verdict(Outcome.SUCCEEDED)


@pytest.mark.parametrize("wish", ["", "enable", "disable please", "disabled"])
def test_other_wishes_change_nothing(wish: str) -> None:
    assert judge(500, {"webhook-delivery": wish}) == Verdict(Outcome.FAILED)


def test_each_failure_is_judged_and_disables_nothing() -> None:
    verdicts = {kind: judge_failure(kind) for kind in (*get_args(FailureKind), "internal_error")}
    assert {kind for kind, verdict in verdicts.items() if verdict.outcome is Outcome.THROTTLED} == {"timeout"}
    assert {kind for kind, verdict in verdicts.items() if verdict.outcome is Outcome.OURS} == {
        "local_error",
        "internal_error",
    }
    assert {verdict.disable for verdict in verdicts.values()} == {None}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("9999999999", 9_999_999_999.0),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300.0),
        (format_datetime((NOW + timedelta(minutes=5)).astimezone(timezone(timedelta(hours=2)))), 300.0),
        ("Sat, 21 Nov 2026 12:05:00 -0000", 300.0),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0.0),
    ],
)
def test_retry_after_is_read(value: str, seconds: float) -> None:
    assert read_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "-1", "1.5", "1e9", "12345678901", "١٢", "inf", "nan", "Sat, 99 Foo 2026 25:61:61 GMT", "0x10"],
)
def test_retry_after_that_says_nothing(value: str | None) -> None:
    assert read_retry_after(value, NOW) is None


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=50) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} [\d:]{1,9} [-+]?\w{1,6}"))
def test_no_header_breaks_the_reader(value: str) -> None:
    seconds = read_retry_after(value, NOW)
    assert seconds is None or seconds >= 0
