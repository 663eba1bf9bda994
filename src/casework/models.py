"""Tables of holds, handling and tasks."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, belongs_to, one_of


class HoldReason(StrEnum):
    """Why a target is not chased."""

    MANUAL = "manual"
    DISPUTE = "dispute"
    PROMISE = "promise"
    PLAN = "plan"
    PAYMENT_IN_PROCESS = "payment_in_process"
    INSOLVENCY = "insolvency"
    NO_CONTACT = "no_contact"
    DATA_ERROR = "data_error"


class HoldSource(StrEnum):
    """What set a hold."""

    USER = "user"
    DISPUTE = "dispute"
    PROMISE = "promise"
    PLAN = "plan"
    PAYMENT = "payment"
    IMPORT = "import"


class OnEnd(StrEnum):
    """What happens when a hold ends by itself."""

    RESUME = "resume"
    TASK = "task"


class HandlingKind(StrEnum):
    """Who chases: we, or a partner; never both."""

    INTERNAL = "internal"
    OUTSOURCED = "outsourced"


class TaskState(StrEnum):
    """A task is open until somebody closes it."""

    OPEN = "open"
    DONE = "done"
    DISMISSED = "dismissed"


class Hold(TenantRow, Base):
    """A dated reason not to chase a debtor, an invoice or an instalment."""

    __tablename__ = "hold"
    __table_args__ = (
        belongs_to("debtor"),
        belongs_to("invoice"),
        belongs_to("instalment"),
        one_of("reason", HoldReason),
        one_of("source", HoldSource),
        one_of("on_end", OnEnd),
        CheckConstraint("instalment_id is null or invoice_id is not null", name="target"),
        CheckConstraint("amount_minor is null or (amount_minor > 0 and invoice_id is not null)", name="amount"),
        CheckConstraint("ends_at is null or ends_at >= starts_at", name="span"),
        Index("uq_hold_source", "tenant_id", "source", "source_id", unique=True),
        Index("ix_hold_debtor", "tenant_id", "debtor_id", "id"),
    )

    debtor_id: Mapped[UUID]  # always: who is locked
    invoice_id: Mapped[UUID | None]
    instalment_id: Mapped[UUID | None]  # the narrowest of the three is the target
    amount_minor: Mapped[int | None]  # in the invoice's currency; null holds the whole
    reason: Mapped[HoldReason] = mapped_column(TextEnum(HoldReason))
    source: Mapped[HoldSource] = mapped_column(TextEnum(HoldSource))
    source_id: Mapped[UUID | None]  # the dispute, promise or plan that owns it
    note: Mapped[str | None] = mapped_column(Text)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    on_end: Mapped[OnEnd] = mapped_column(TextEnum(OnEnd))
    ended_at: Mapped[datetime | None]  # its end has been told, by release or by time: told once
    known_at: Mapped[datetime]


class Handling(TenantRow, Base):
    """Who chases a debtor's debts to a creditor, or one invoice; the narrowest row wins, no row means internal."""

    __tablename__ = "handling"
    __table_args__ = (
        belongs_to("creditor"),
        belongs_to("debtor"),
        belongs_to("invoice"),
        one_of("kind", HandlingKind),
        Index(
            "uq_handling_pair", "tenant_id", "creditor_id", "debtor_id",
            unique=True, postgresql_where=text("invoice_id is null"),
        ),
        Index(
            "uq_handling_invoice", "tenant_id", "invoice_id",
            unique=True, postgresql_where=text("invoice_id is not null"),
        ),
    )  # fmt: skip

    creditor_id: Mapped[UUID]
    debtor_id: Mapped[UUID]
    invoice_id: Mapped[UUID | None]
    kind: Mapped[HandlingKind] = mapped_column(TextEnum(HandlingKind))
    known_at: Mapped[datetime]


class Task(TenantRow, Base):
    """Something that a person has to do; opened once per cause."""

    __tablename__ = "task"
    __table_args__ = (
        one_of("state", TaskState),
        Index("uq_task_cause", "tenant_id", "kind", "subject_id", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_task_state", "tenant_id", "state", "id"),
    )

    kind: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID]  # the object it is about
    debtor_id: Mapped[UUID | None]
    invoice_id: Mapped[UUID | None]
    title: Mapped[str] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)
    assignee: Mapped[str | None] = mapped_column(Text)
    state: Mapped[TaskState] = mapped_column(TextEnum(TaskState))
    closed_at: Mapped[datetime | None]
    known_at: Mapped[datetime]
