"""Policies, courses and notices as the world sees them, in answers and in events."""

from datetime import datetime

import msgspec
from msgspec import Struct

from dunning.models import Course, Notice, Policy, PolicyVersion
from dunning.rules import PolicyBody
from kernel import ids


class PolicyView(Struct, frozen=True, kw_only=True):
    """A policy with its published rules."""

    id: str
    version: int
    name: str
    is_default: bool
    version_id: str
    number: int
    rules: PolicyBody
    published_at: datetime | None

    @classmethod
    def of(cls, row: Policy, published: PolicyVersion) -> "PolicyView":
        """The view of a policy and its published version."""
        return cls(
            id=ids.encode("pol", row.id),
            version=row.version,
            name=row.name,
            is_default=row.is_default,
            version_id=ids.encode("plv", published.id),
            number=published.number,
            rules=msgspec.json.decode(published.body, type=PolicyBody),
            published_at=published.published_at,
        )


class CourseView(Struct, frozen=True, kw_only=True):
    """A policy version applied to an instalment."""

    id: str
    version: int
    instalment_id: str
    invoice_id: str
    debtor_id: str
    creditor_id: str
    policy_version_id: str
    state: str
    cycle: int
    first_seen_at: datetime

    @classmethod
    def of(cls, row: Course) -> "CourseView":
        """The view of a row."""
        return cls(
            id=ids.encode("crs", row.id),
            version=row.version,
            instalment_id=ids.encode("ins", row.instalment_id),
            invoice_id=ids.encode("inv", row.invoice_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            creditor_id=ids.encode("crd", row.creditor_id),
            policy_version_id=ids.encode("plv", row.policy_version_id),
            state=str(row.state),
            cycle=row.cycle,
            first_seen_at=row.first_seen_at,
        )


class NoticeView(Struct, frozen=True, kw_only=True):
    """One step taken about one instalment. `level` 0 is preventive; only `issued` counts as said."""

    id: str
    version: int
    course_id: str
    instalment_id: str
    invoice_id: str
    debtor_id: str
    message_id: str | None
    cycle: int
    step: str
    occurrence: int
    level: int
    state: str
    code: str | None
    planned_at: datetime
    issued_at: datetime | None

    @classmethod
    def of(cls, row: Notice) -> "NoticeView":
        """The view of a row."""
        return cls(
            id=ids.encode("ntc", row.id),
            version=row.version,
            course_id=ids.encode("crs", row.course_id),
            instalment_id=ids.encode("ins", row.instalment_id),
            invoice_id=ids.encode("inv", row.invoice_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            message_id=None if row.message_id is None else ids.encode("msg", row.message_id),
            cycle=row.cycle,
            step=row.step,
            occurrence=row.occurrence,
            level=row.level,
            state=str(row.state),
            code=row.code,
            planned_at=row.planned_at,
            issued_at=row.issued_at,
        )
