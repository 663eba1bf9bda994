"""The decision: one pure function for the run, the gate, the preview and the explanation alike.

It looks at one instalment at one instant and says `act` with a step, or `skip`, `hold` or `defer` with every blocker
that stands in the way, each with the facts it used. What is not known is not allowed.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from dunning.rules import CatchUp, PolicyBody, step_at, step_day
from kernel.clock import at, day_of

STALE_WAIT: Final = timedelta(hours=1)  # until the source of stale data is asked again


class Verdict(StrEnum):
    """`skip`: not this, for good; `hold`: until something changes; `defer`: until an instant; `act`: now."""

    ACT = "act"
    SKIP = "skip"
    HOLD = "hold"
    DEFER = "defer"


class Said(Struct, frozen=True):
    """A notice of this debt that stands: planned or issued."""

    step: str
    cycle: int
    state: str
    said_on: date  # in the debtor's zone


class Facts(Struct, frozen=True, kw_only=True):
    """Everything that a decision about one instalment rests on. None means unknown, and unknown is not allowed."""

    # the debt
    document: str
    due_on: date | None
    balance_minor: int
    currency: str
    held_minor: int = 0  # parts of the balance that a hold covers
    unapplied_minor: int = 0  # money and credit notes of the debtor that nobody has allocated yet
    in_process_minor: int = 0  # provisional money on its way
    direct_debit_on: date | None = None
    # the debtor
    insolvent: bool = False
    reachable: bool | None = None  # somebody can be written to
    opted_out: bool | None = None  # and has not closed the channel
    # who may chase
    holds: tuple[str, ...] = ()
    outsourced: bool = False
    mode: str = "off"
    stopped: tuple[str, ...] = ()  # kill switches that are thrown
    in_review: bool = False  # the course waits for a person
    # the calendar
    creditor_zone: str = "UTC"
    debtor_zone: str = "UTC"
    fresh: bool | None = True  # read from its source lately enough
    # what has been said
    cycle: int = 1
    from_step: int = 0
    seen_on: date | None = None  # the creditor's day on which the debt was first seen
    said: tuple[Said, ...] = ()
    contacted_on: date | None = None  # the last day this debtor was written to, by any debt of the creditor


class Blocker(Struct, frozen=True):
    """One thing in the way: a stable code and the facts behind it."""

    code: str
    facts: dict[str, str | int | None]


class Decision(Struct, frozen=True, kw_only=True):
    """A verdict with its reasons."""

    verdict: Verdict
    step: str | None  # the step in question
    step_index: int | None
    level: int
    blockers: tuple[Blocker, ...]
    look_again_at: datetime | None  # when this verdict may change by time alone

    @property
    def codes(self) -> tuple[str, ...]:
        """The blockers' codes."""
        return tuple(blocker.code for blocker in self.blockers)


class Context(Struct, frozen=True):
    """A decision's surroundings: the facts, the policy, the step in question, the instant."""

    facts: Facts
    policy: PolicyBody
    index: int
    now: datetime

    @property
    def today(self) -> date:
        """The creditor's day."""
        return day_of(self.now, self.facts.creditor_zone)

    @property
    def contact_day(self) -> date:
        """The debtor's day."""
        return day_of(self.now, self.facts.debtor_zone)


Shown = dict[str, str | int | None]


class Check(Struct, frozen=True):
    """One condition: its verdict and code when it fails. `passes` answers None when it cannot know."""

    verdict: Verdict
    code: str
    passes: Callable[[Context], bool | None]
    shows: Callable[[Context], Shown] = lambda _: {}


def _chaseable(facts: Facts) -> int:
    return max(facts.balance_minor - facts.held_minor, 0)


def _covered(context: Context) -> bool:
    facts = context.facts
    return facts.unapplied_minor >= facts.balance_minor > 0


def _enough(context: Context) -> bool:
    step = context.policy.steps[context.index]
    return _chaseable(context.facts) >= step.minimum_minor.get(context.facts.currency, 0)


def _debit_over(context: Context) -> bool:
    facts = context.facts
    announced = facts.direct_debit_on is not None and context.today <= facts.direct_debit_on
    return not announced and facts.in_process_minor == 0


def _spaced(context: Context) -> bool:
    last = context.facts.contacted_on
    if last is None or last == context.contact_day:
        return True  # of the same day: joins that day's message or waits, which the outbox decides
    return (context.contact_day - last).days >= context.policy.minimum_days_between


CHECKS: Final = (  # the first that fails gives the verdict, and every one that fails is named
    Check(Verdict.SKIP, "not_open", lambda c: c.facts.document == "open", lambda c: {"document": c.facts.document}),
    Check(Verdict.SKIP, "settled", lambda c: c.facts.balance_minor > 0),
    Check(Verdict.SKIP, "no_due_date", lambda c: c.facts.due_on is not None),
    Check(Verdict.SKIP, "insolvent", lambda c: not c.facts.insolvent),
    Check(Verdict.HOLD, "placed", lambda c: not c.facts.outsourced),
    Check(
        Verdict.HOLD, "payment_in_process", _debit_over,
        lambda c: {"in_process_minor": c.facts.in_process_minor, "direct_debit_on": _iso(c.facts.direct_debit_on)},
    ),
    Check(
        Verdict.HOLD, "unapplied_cash", lambda c: not _covered(c),
        lambda c: {"unapplied_minor": c.facts.unapplied_minor, "balance_minor": c.facts.balance_minor},
    ),
    Check(Verdict.HOLD, "held", lambda c: not c.facts.holds, lambda c: {"reasons": " ".join(c.facts.holds)}),
    Check(
        Verdict.HOLD, "amount_held", lambda c: c.facts.held_minor == 0 or _chaseable(c.facts) > 0,
        lambda c: {"held_minor": c.facts.held_minor},
    ),
    Check(Verdict.HOLD, "course_in_review", lambda c: not c.facts.in_review),
    Check(Verdict.HOLD, "no_contact", lambda c: c.facts.reachable),
    Check(Verdict.HOLD, "opted_out", lambda c: None if c.facts.opted_out is None else not c.facts.opted_out),
    Check(Verdict.HOLD, "tenant_off", lambda c: c.facts.mode != "off"),
    Check(Verdict.HOLD, "review_mode", lambda c: c.facts.mode in {"automatic", "off"}),
    Check(Verdict.HOLD, "kill_switch", lambda c: not c.facts.stopped, lambda c: {"scopes": " ".join(c.facts.stopped)}),
    Check(Verdict.DEFER, "stale_data", lambda c: c.facts.fresh),
    Check(
        Verdict.DEFER, "contacted_lately", _spaced,
        lambda c: {"contacted_on": _iso(c.facts.contacted_on), "days_between": c.policy.minimum_days_between},
    ),
)  # fmt: skip

BLOCKERS: Final = (
    *(check.code for check in CHECKS),
    "not_yet", "below_minimum", "contacted_today", "finished",
    # what only the gate says, of a notice that was planned before
    "cap_reached", "day_passed", "superseded", "contact_changed", "debtor_changed", "gone",
)  # fmt: skip


def decide(facts: Facts, policy: PolicyBody, now: datetime) -> Decision:
    """Decide about one instalment: what would be said now, or why nothing, and when to look again."""
    index = _step_in_question(facts, policy, now)
    if index is None or facts.due_on is None:
        return _without_step(facts, policy, now)
    context = Context(facts, policy, index, now)
    failed = [check for check in CHECKS if check.passes(context) is not True]
    blockers = [Blocker(check.code, check.shows(context)) for check in failed]
    opens_at = step_at(policy, index, facts.due_on, facts.creditor_zone)
    step = policy.steps[index]
    if opens_at > now:
        blockers.append(Blocker("not_yet", {"opens_at": opens_at.isoformat()}))
    elif not _enough(context):
        blockers.append(Blocker("below_minimum", {"minimum_minor": step.minimum_minor.get(facts.currency, 0)}))
    verdict = failed[0].verdict if failed else _own_verdict(blockers)
    return Decision(
        verdict=verdict,
        step=step.key,
        step_index=index,
        level=policy.level_of(index),
        blockers=tuple(blockers),
        look_again_at=_look_again(context, verdict, opens_at),
    )


def _own_verdict(blockers: list[Blocker]) -> Verdict:
    if not blockers:
        return Verdict.ACT
    return Verdict.DEFER if blockers[0].code == "not_yet" else Verdict.SKIP


def _step_in_question(facts: Facts, policy: PolicyBody, now: datetime) -> int | None:
    """The step to take next; None when every step has been taken.

    By `highest`, of several steps whose day has come only the last is in question; by `sequence` the first. Steps whose
    day had passed when the debt was first seen are no arrears of ours: where the debt entered at one of them, as by
    `first_step`, they go one after the other.
    """
    taken = [_place(policy, said.step) for said in facts.said if said.cycle == facts.cycle]
    first = max([facts.from_step, *(place + 1 for place in taken)])
    if first >= len(policy.steps):
        return None
    if facts.due_on is None:
        return first
    last, today = first, day_of(now, facts.creditor_zone)
    while last + 1 < len(policy.steps):
        reached = step_at(policy, last + 1, facts.due_on, facts.creditor_zone) <= now
        lapsed = policy.steps[last].preventive and today > facts.due_on  # a word before the due date comes too late
        small = _chaseable(facts) < policy.steps[last].minimum_minor.get(facts.currency, 0)
        ours = facts.seen_on is None or step_day(policy, last + 1, facts.due_on) >= facts.seen_on
        if not lapsed and not (reached and ((ours and policy.catch_up is CatchUp.HIGHEST) or small)):
            break
        last += 1
    return None if policy.steps[last].preventive and today > facts.due_on else last


def _place(policy: PolicyBody, key: str) -> int:
    return next((place for place, step in enumerate(policy.steps) if step.key == key), -1)


def _without_step(facts: Facts, policy: PolicyBody, now: datetime) -> Decision:
    """Nothing to take: all is said, or there is no date to count from. What else stands in the way is still named."""
    last = len(policy.steps) - 1
    context = Context(facts, policy, last, now)
    standing = [check for check in CHECKS if check.verdict is not Verdict.DEFER and check.passes(context) is not True]
    blockers = [Blocker(check.code, check.shows(context)) for check in standing]
    if facts.due_on is not None:
        blockers.append(Blocker("finished", {"steps": len(policy.steps)}))
    return Decision(
        verdict=standing[0].verdict if standing else Verdict.SKIP,
        step=None, step_index=None, level=0, blockers=tuple(blockers), look_again_at=None,
    )  # fmt: skip


def _look_again(  # noqa: PLR0911 - a line a case
    context: Context, verdict: Verdict, opens_at: datetime
) -> datetime | None:
    """When time alone may change the verdict; what waits for a fact is woken by that fact's event."""
    if verdict is Verdict.ACT:
        return None  # planning sets the next step's instant
    if opens_at > context.now:
        return opens_at  # also when held: then the hold is looked at again on the day
    facts = context.facts
    if facts.direct_debit_on is not None and context.today <= facts.direct_debit_on:
        return at(facts.direct_debit_on + timedelta(days=1), context.policy.local_time(), facts.creditor_zone)
    if verdict is Verdict.DEFER:
        return next_contact_at(context) if not _spaced(context) else context.now + STALE_WAIT
    if facts.stopped and facts.stopped != ("tenant",):  # the platform may go on without a word to the tenant
        return at(context.today + timedelta(days=1), context.policy.local_time(), facts.creditor_zone)
    if verdict is Verdict.SKIP and context.index + 1 < len(context.policy.steps) and facts.due_on is not None:
        return step_at(context.policy, context.index + 1, facts.due_on, facts.creditor_zone)
    return None


def next_contact_at(context: Context) -> datetime:
    """The first instant at which the debtor may be written to again."""
    facts, policy = context.facts, context.policy
    gap = policy.minimum_days_between if facts.contacted_on is not None else 1
    day = max(
        (facts.contacted_on or context.contact_day) + timedelta(days=gap), context.contact_day + timedelta(days=1)
    )
    return at(day, max(policy.local_time(), time(0)), facts.debtor_zone)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
