"""Failures of dunning that a caller can act on."""

from kernel.errors import Conflict, NotFound


class PolicyNotFound(NotFound):
    """There is no such policy."""


class CourseNotFound(NotFound):
    """There is no such course."""


class NoticeNotFound(NotFound):
    """There is no such notice."""


class PolicyNameTaken(Conflict):
    """Another policy has this name."""

    code = "policy_name_taken"
    remedy = "Choose another name, or publish a new version of the policy that has it."


class CourseNotInReview(Conflict):
    """The course does not wait for a review."""

    code = "course_not_in_review"
    remedy = "Only a course in the state review can be released."
