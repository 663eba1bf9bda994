"""What happens in dunning."""

from typing import ClassVar

from dunning.views import CourseView, NoticeView, PolicyView
from storage.events import Event


class PolicyPublished(Event[PolicyView], frozen=True):
    """A version of a policy is in force for debts that enter from now on."""

    type: ClassVar[str] = "policy.published"


class CourseBegun(Event[CourseView], frozen=True):
    """A debt is now chased by a policy, or waits for a person's review."""

    type: ClassVar[str] = "course.begun"


class CourseReleased(Event[CourseView], frozen=True):
    """A person has looked at an old debt: it is chased from now on."""

    type: ClassVar[str] = "course.released"


class CourseWithheld(Event[CourseView], frozen=True):
    """A debt turns out to be old: it waits for a person's review."""

    type: ClassVar[str] = "course.withheld"


class CourseRestarted(Event[CourseView], frozen=True):
    """A settled debt has reopened: a new cycle begins."""

    type: ClassVar[str] = "course.restarted"


class CourseExhausted(Event[CourseView], frozen=True):
    """Every step has been taken and the debt is still open."""

    type: ClassVar[str] = "course.exhausted"


class NoticePlanned(Event[NoticeView], frozen=True):
    """A step will be taken unless a fact arrives that stops it."""

    type: ClassVar[str] = "notice.planned"


class NoticeIssued(Event[NoticeView], frozen=True):
    """A step was taken: the message that carries it was sent."""

    type: ClassVar[str] = "notice.issued"


class NoticeWithdrawn(Event[NoticeView], frozen=True):
    """A planned step was not taken."""

    type: ClassVar[str] = "notice.withdrawn"
