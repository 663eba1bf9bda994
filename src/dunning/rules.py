"""What a policy says: its steps, how debts enter it, how it catches up. Pure data with its checks."""

import re
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from kernel.clock import at
from kernel.errors import Fault, Invalid
from kernel.money import MAX_MINOR
from messaging.wording import BUILTIN

MAX_STEPS: Final = 20
MAX_DAYS: Final = 3_650
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


class Tone(StrEnum):
    """How a reminder speaks."""

    COURTEOUS = "courteous"
    FIRM = "firm"
    FORMAL = "formal"


class OnEntry(StrEnum):
    """What happens to a debt that is already old when it is first seen."""

    HOLD_FOR_REVIEW = "hold_for_review"
    FIRST_STEP = "first_step"
    MATCHING_STEP = "matching_step"


class CatchUp(StrEnum):
    """Whether steps that an outage left behind go one after the other, or only the highest of them."""

    HIGHEST = "highest"
    SEQUENCE = "sequence"


CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]
Minimum = Annotated[int, Meta(ge=0, le=MAX_MINOR)]


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to say: so many days before (negative) or after the due date, above a minimum, in a tone."""

    key: Annotated[str, Meta(min_length=1, max_length=40, pattern="^[a-z][a-z0-9_]*$")]
    days: Annotated[int, Meta(ge=-MAX_DAYS, le=MAX_DAYS)]
    tone: Tone
    template: Annotated[str, Meta(min_length=1, max_length=60, pattern="^[a-z][a-z0-9_]*$")]
    minimum_minor: dict[CurrencyCode, Minimum] = {}

    @property
    def preventive(self) -> bool:
        """Before the due date: it reminds of nothing late, and its notice has level 0."""
        return self.days < 0


class PolicyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one policy version."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=MAX_STEPS)]
    on_entry: OnEntry = OnEntry.HOLD_FOR_REVIEW
    max_age_days: Annotated[int, Meta(ge=0, le=MAX_DAYS)] = 365  # older at first sight: always reviewed
    catch_up: CatchUp = CatchUp.HIGHEST
    minimum_days_between: Annotated[int, Meta(ge=1, le=365)] = 3
    send_at: Annotated[str, Meta(min_length=5, max_length=5, pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "09:00"

    def level_of(self, index: int) -> int:
        """How serious a step is: preventive ones are 0, then 1, 2, 3 and so on."""
        if self.steps[index].preventive:
            return 0
        return sum(1 for step in self.steps[: index + 1] if not step.preventive)

    def local_time(self) -> time:
        """When of the day steps go out, in the creditor's zone."""
        return time.fromisoformat(self.send_at)


class PolicyInvalid(Invalid):
    """The policy's rules do not hold together."""

    code = "policy_invalid"
    remedy = "Correct what 'errors' names; steps go in the order of their days, each with a key of its own."


def check(body: PolicyBody) -> None:
    """Refuse a policy that could not be carried out; names every fault. Raises PolicyInvalid."""
    faults: list[Fault] = []
    seen: set[str] = set()
    for place, step in enumerate(body.steps):
        pointer = f"/steps/{place}"
        if not _KEY.fullmatch(step.key):
            faults.append(Fault(pointer=f"{pointer}/key", code="form", message="use lower case letters, digits, _"))
        if step.key in seen:
            faults.append(Fault(pointer=f"{pointer}/key", code="duplicate", message="two steps share this key"))
        seen.add(step.key)
        if step.template not in BUILTIN:
            faults.append(Fault(pointer=f"{pointer}/template", code="unknown", message=f"one of {', '.join(BUILTIN)}"))
        if place and step.days <= body.steps[place - 1].days:
            faults.append(Fault(pointer=f"{pointer}/days", code="order", message="each step lies after the one before"))
    if faults:
        raise PolicyInvalid(errors=faults)


def step_day(body: PolicyBody, index: int, due_on: date) -> date:
    """The day of a step, counted from the due date: an anchor, never from what happened before."""
    return due_on + timedelta(days=body.steps[index].days)


def step_at(body: PolicyBody, index: int, due_on: date, zone: str) -> datetime:
    """The instant from which a step may be taken."""
    return at(step_day(body, index, due_on), body.local_time(), zone)


class Entry(Struct, frozen=True):
    """How a debt enters its policy: the first step that may be taken, and whether a person must look first."""

    from_step: int
    review: bool


def enter(body: PolicyBody, due_on: date, today: date) -> Entry:
    """Where a debt begins that is first seen today.

    A debt is old when the day of some step after its due date has passed. Steps whose day has passed before the debt
    was known are not said, except as `on_entry` tells; a debt older than `max_age_days` always waits for a person.
    """
    ahead = next((i for i in range(len(body.steps)) if step_day(body, i, due_on) >= today), len(body.steps))
    passed = [i for i in range(ahead) if not body.steps[i].preventive]
    too_old = (today - due_on).days > body.max_age_days
    if not passed:
        return Entry(ahead, review=too_old)
    first = next(i for i, step in enumerate(body.steps) if not step.preventive)
    if too_old or body.on_entry is OnEntry.HOLD_FOR_REVIEW:
        return Entry(passed[-1], review=True)
    return Entry(first if body.on_entry is OnEntry.FIRST_STEP else passed[-1], review=False)


def default_body() -> PolicyBody:
    """The policy that every tenant begins with: one word before the due date, three after."""
    return PolicyBody(
        steps=(
            Step(key="before_due", days=-3, tone=Tone.COURTEOUS, template="before_due"),
            Step(key="first_reminder", days=3, tone=Tone.COURTEOUS, template="reminder"),
            Step(key="second_reminder", days=10, tone=Tone.FIRM, template="reminder"),
            Step(key="last_reminder", days=25, tone=Tone.FORMAL, template="reminder"),
        )
    )
