"""Tables of policies, courses, notices and decisions."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class VersionState(StrEnum):
    """A published version never changes; a course keeps the one that it began with."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class CourseState(StrEnum):
    """`review`: the debt was old at first sight and waits for a person."""

    ACTIVE = "active"
    REVIEW = "review"
    ENDED = "ended"


class NoticeState(StrEnum):
    """Only `issued`, set when the send is settled, counts as said."""

    PLANNED = "planned"
    ISSUED = "issued"
    WITHDRAWN = "withdrawn"


class Policy(TenantRow, Base):
    """A named set of rules; its versions carry the steps."""

    __tablename__ = "policy"
    __table_args__ = (
        Index("uq_policy_name", "tenant_id", "name", unique=True),
        Index("uq_policy_default", "tenant_id", unique=True, postgresql_where=text("is_default")),
    )

    name: Mapped[str] = mapped_column(Text)
    is_default: Mapped[bool] = mapped_column(Boolean, default=False)
    archived_at: Mapped[datetime | None]


class PolicyVersion(TenantRow, Base):
    """The steps of a policy at one time."""

    __tablename__ = "policy_version"
    __table_args__ = (
        belongs_to("policy"),
        one_of("state", VersionState),
        Index("uq_policy_version_number", "tenant_id", "policy_id", "number", unique=True),
        Index(
            "uq_policy_version_published", "tenant_id", "policy_id",
            unique=True, postgresql_where=text("state = 'published'"),
        ),
    )  # fmt: skip

    policy_id: Mapped[UUID]
    number: Mapped[int]
    state: Mapped[VersionState] = mapped_column(TextEnum(VersionState))
    body: Mapped[str] = mapped_column(Text)  # dunning.rules.PolicyBody as JSON
    published_at: Mapped[datetime | None]


class Course(TenantRow, Base):
    """A policy version applied to an instalment."""

    __tablename__ = "course"
    __table_args__ = (
        belongs_to("instalment"),
        belongs_to("invoice"),
        belongs_to("debtor"),
        belongs_to("policy_version"),
        one_of("state", CourseState),
        Index("uq_course_instalment", "tenant_id", "instalment_id", unique=True),
        Index("ix_course_debtor", "tenant_id", "debtor_id"),
    )

    instalment_id: Mapped[UUID]
    invoice_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    creditor_id: Mapped[UUID]
    policy_version_id: Mapped[UUID]
    state: Mapped[CourseState] = mapped_column(TextEnum(CourseState))
    cycle: Mapped[int] = mapped_column(default=1)
    from_step: Mapped[int] = mapped_column(default=0)  # index of the first step that may be taken
    first_seen_at: Mapped[datetime]
    trace: Mapped[str | None] = mapped_column(Text)  # the last stored verdict, to store only changes


class Notice(TenantRow, Base):
    """One step taken about one instalment: the legal trace."""

    __tablename__ = "notice"
    __table_args__ = (
        belongs_to("course"),
        belongs_to("instalment"),
        one_of("state", NoticeState),
        Index(
            "uq_notice_once", "tenant_id", "instalment_id", "cycle", "step", "occurrence",
            unique=True, postgresql_where=text("state <> 'withdrawn'"),
        ),
        Index("ix_notice_message", "tenant_id", "message_id"),
        Index("ix_notice_debtor", "tenant_id", "debtor_id", "id"),
    )  # fmt: skip

    course_id: Mapped[UUID]
    instalment_id: Mapped[UUID]
    invoice_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    cycle: Mapped[int]
    step: Mapped[str] = mapped_column(Text)
    occurrence: Mapped[int]
    level: Mapped[int]
    state: Mapped[NoticeState] = mapped_column(TextEnum(NoticeState))
    message_id: Mapped[UUID | None]
    code: Mapped[str | None] = mapped_column(Text)
    planned_at: Mapped[datetime]
    issued_at: Mapped[datetime | None]


class DecisionRow(Base):
    """A verdict as it was given: every `act`, and every change of verdict. Append-only."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_instalment", "tenant_id", "instalment_id", "id"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    instalment_id: Mapped[UUID]
    course_id: Mapped[UUID]
    made_by: Mapped[str] = mapped_column(Text)  # run or gate
    decided_at: Mapped[datetime]
    verdict: Mapped[str] = mapped_column(Text)
    step: Mapped[str | None] = mapped_column(Text)
    blockers: Mapped[str] = mapped_column(Text)  # space-separated codes
    facts: Mapped[str] = mapped_column(Text)  # JSON
    policy_version_id: Mapped[UUID]
    cycle: Mapped[int] = mapped_column(BigInteger)
