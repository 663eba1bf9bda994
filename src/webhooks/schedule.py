"""When to try again, and what an answer means: pure rules of the Standard Webhooks specification."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Literal

from msgspec import Struct

from runtime.http import FailureKind

MINUTE_S: Final = 60.0
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S

ErrorKind = FailureKind | Literal["internal_error"]  # the latter a fault of this code, see the log

# the wait before each try; ten tries over 75 hours
SCHEDULE_S: Final = (
    0.0,
    5.0,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
)
JITTER: Final = 0.2
THROTTLED_MIN_S: Final = MINUTE_S
MAX_RETRY_AFTER_S: Final = DAY_S

CONTROL_HEADER: Final = "webhook-delivery"  # by which a receiver steers us
RETRY_AFTER_HEADER: Final = "retry-after"

_SUCCESS: Final = range(200, 300)
_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_THROTTLING: Final = frozenset({
    HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT,
})  # fmt: skip


class Outcome(StrEnum):
    """What one attempt came to."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    THROTTLED = "throttled"  # failed, and the endpoint wants fewer requests
    ABORTED = "aborted"  # the receiver does not want this message, now or later
    OURS = "ours"  # failed on our side: it does not speak against the endpoint


class Verdict(Struct, frozen=True):
    """What an answer means for the delivery, and for the endpoint."""

    outcome: Outcome
    disable: Literal["gone", "asked"] | None = None  # 410, or the receiver's own wish


def judge(status: int, headers: Mapping[str, str]) -> Verdict:
    """Judge an answer: success is 2xx and nothing else, 410 means that the endpoint is gone."""
    wish = headers.get(CONTROL_HEADER, "").strip().lower()
    disable = "gone" if status == HTTPStatus.GONE else "asked" if wish == "disable" else None
    if status in _SUCCESS:
        return Verdict(Outcome.SUCCEEDED, disable)
    if wish == "abort-message":
        return Verdict(Outcome.ABORTED, disable)
    return Verdict(Outcome.THROTTLED if status in _THROTTLING else Outcome.FAILED, disable)


def judge_failure(kind: ErrorKind) -> Verdict:
    """Judge a call that got no answer; who lets us wait until the time limit is asked less often."""
    if kind in {"local_error", "internal_error"}:
        return Verdict(Outcome.OURS)
    return Verdict(Outcome.THROTTLED if kind == "timeout" else Outcome.FAILED)


def next_try(
    attempts: int,
    outcome: Outcome,
    *,
    jitter: float,
    retry_after_s: float | None = None,
    schedule_s: Sequence[float] = SCHEDULE_S,
) -> float | None:
    """Seconds until the next try, after so many attempts (1 after the first); None when there is none.

    `jitter` is drawn by the caller from [-1, 1]. Retry-After only ever moves a try later, up to a day: an endpoint that
    asks for a short wait each time would otherwise use up ten tries in minutes.
    """
    if not -1 <= jitter <= 1:
        raise ValueError("jitter is drawn from [-1, 1]")
    if attempts < 1:
        raise ValueError("nothing has been tried")
    if outcome in {Outcome.SUCCEEDED, Outcome.ABORTED} or attempts >= len(schedule_s):
        return None
    base_s = schedule_s[attempts]
    if outcome is Outcome.THROTTLED:
        base_s = max(base_s, THROTTLED_MIN_S)
    planned_s = base_s * (1 + JITTER * jitter)
    if retry_after_s is None:
        return planned_s
    asked_s = min(max(retry_after_s, 0.0), MAX_RETRY_AFTER_S)
    return max(planned_s, asked_s * (1 + JITTER * (1 + jitter) / 2))  # never earlier than asked


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or as a date; None for anything else."""
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())
