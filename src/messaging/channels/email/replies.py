"""What a step's failure means: certainly nothing happened, never will, or nobody knows. Pure.

RFC 5321 section 4.2: 4yz says not now, 5yz says not like this. A server that refuses has not taken the mail, at
whatever step. Only between the first byte of the content and the answer to it does silence mean doubt: the content's
end travels in the same write.
"""

import re
from typing import Final, Literal

from msgspec import Struct

from messaging.channels.port import Copy, Outcome, State

Step = Literal["connect", "tls", "login", "sender", "recipient", "data", "content"]

SLOW_RETRY_S: Final = 300  # a refusal for now, as greylisting does: sooner is wasted
ADMIN_RETRY_S: Final = 900  # somebody has to change a setting first
MAX_DETAIL: Final = 300
_ENHANCED: Final = re.compile(r"\s*[245]\.(\d{1,3})\.(\d{1,3})\b")
_LOGIN_NEEDED: Final = frozenset({530, 534, 535, 538})
_TOO_LARGE: Final = frozenset({552})
_OK: Final = 250
_CLOSING: Final = 421
_NOT_NOW: Final = 4  # the first digit of a reply
_NEVER: Final = 5


class Failure(Struct, frozen=True, kw_only=True):
    """Why a copy, or a connection, got no further."""

    state: State
    code: str
    detail: str
    retry_after_s: int | None = None
    broken: bool = False  # the connection cannot be used again

    def outcome(self, copy: Copy) -> Outcome:
        """The same, said of one copy."""
        return Outcome(
            message_id=copy.message_id,
            fence=copy.fence,
            state=self.state,
            code=self.code,
            detail=self.detail,
            retry_after_s=self.retry_after_s,
        )


def accepted(copy: Copy, text: str) -> Outcome:
    """The server has taken the mail; its words often name its own queue id."""
    return Outcome(
        message_id=copy.message_id,
        fence=copy.fence,
        state="sent",
        code="accepted",
        provider_ref=bounded(text) or None,
        detail=f"{_OK} {bounded(text)}".strip(),
    )


def refused(step: Step, code: int, text: str) -> Failure:
    """The server answered, and the answer is no."""
    detail = bounded(f"{code} {text}")
    if code // 100 not in {
        _NOT_NOW,
        _NEVER,
    }:  # no answer that SMTP knows: the two sides no longer understand each other
        state: State = "unknown" if step == "content" else "retry"
        return Failure(state=state, code="protocol_error", detail=detail, broken=True)
    if code == _CLOSING:  # closing the channel, whatever it was asked
        return Failure(state="retry", code="server_closing", detail=detail, broken=True)
    if step in {"connect", "tls", "login"} or code in _LOGIN_NEEDED:
        slow = ADMIN_RETRY_S if code // 100 == _NEVER else None
        name = "login_refused" if step == "login" or code in _LOGIN_NEEDED else f"{step}_refused"
        return Failure(state="retry", code=name, detail=detail, retry_after_s=slow, broken=True)
    if code // 100 == _NOT_NOW:
        return Failure(state="retry", code=f"{step}_deferred", detail=detail, retry_after_s=SLOW_RETRY_S)
    return Failure(state="failed", code=_permanent(step, code, text), detail=detail)


def lost(step: Step, error: Exception) -> Failure:
    """The connection ended, or nothing came in time."""
    timed_out = isinstance(error, TimeoutError)
    detail = bounded(f"{step}: {type(error).__name__}: {error}")
    if step == "content":
        code = "answer_timed_out" if timed_out else "connection_lost"
        return Failure(state="unknown", code=code, detail=detail, broken=True)
    setting_up = {"connect": "connect_failed", "tls": "tls_failed", "login": "login_failed"}
    code = setting_up.get(step, "timed_out" if timed_out else "connection_lost")
    return Failure(state="retry", code=code, detail=detail, broken=True)


def bounded(text: str) -> str:
    """A server's words on one short line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_DETAIL]


def _permanent(step: Step, code: int, text: str) -> str:
    if code in _TOO_LARGE and step in {"sender", "content"}:
        return "too_large"
    if step != "recipient":
        return f"{step}_refused"
    enhanced = _ENHANCED.match(text)
    # X.7.z is about policy and X.2.2 about a full mailbox; the address itself may well be right.
    policy = enhanced is not None and (enhanced[1] == "7" or (enhanced[1], enhanced[2]) == ("2", "2"))
    return "recipient_refused" if policy else "bad_address"
