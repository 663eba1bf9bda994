"""Holds, handling and tasks as the world sees them, in answers and in events."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Struct

from casework.models import Handling, HandlingKind, Hold, HoldReason, HoldSource, OnEnd, Task, TaskState
from kernel import ids
from receivables.views import encoded
from storage.events import PERSONAL

# A kind of task begins with the noun of its subject, which tells how the subject's id is written.
_SUBJECTS: Final = {
    "contact": "ctc", "course": "crs", "credit_note": "crn", "creditor": "crd", "debtor": "dbt", "document": "doc",
    "hold": "hld", "instalment": "ins", "invoice": "inv", "job": "job", "message": "msg",
    "notice": "ntc", "opt_out": "opt", "receipt": "rcp",
}  # fmt: skip


class HoldView(Struct, frozen=True, kw_only=True):
    """A dated reason not to chase a debtor, an invoice or an instalment; the narrowest of the three is its target."""

    id: str
    version: int
    debtor_id: str
    invoice_id: str | None
    instalment_id: str | None
    amount_minor: int | None  # in the invoice's currency; null holds the whole
    reason: HoldReason
    source: HoldSource
    note: Annotated[str | None, PERSONAL]
    starts_at: datetime
    ends_at: datetime | None
    on_end: OnEnd
    ended_at: datetime | None
    known_at: datetime

    @classmethod
    def of(cls, row: Hold) -> "HoldView":
        """Show a hold."""
        return cls(
            id=ids.encode("hld", row.id),
            version=row.version,
            debtor_id=ids.encode("dbt", row.debtor_id),
            invoice_id=encoded("inv", row.invoice_id),
            instalment_id=encoded("ins", row.instalment_id),
            amount_minor=row.amount_minor,
            reason=row.reason,
            source=row.source,
            note=row.note,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            on_end=row.on_end,
            ended_at=row.ended_at,
            known_at=row.known_at,
        )


class HandlingView(Struct, frozen=True, kw_only=True):
    """Who chases a debtor's debts to a creditor, or one invoice: the tenant itself, or a partner."""

    id: str
    version: int
    creditor_id: str
    debtor_id: str
    invoice_id: str | None
    kind: HandlingKind
    known_at: datetime

    @classmethod
    def of(cls, row: Handling) -> "HandlingView":
        """Show who handles."""
        return cls(
            id=ids.encode("hnd", row.id),
            version=row.version,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            invoice_id=encoded("inv", row.invoice_id),
            kind=row.kind,
            known_at=row.known_at,
        )


class TaskView(Struct, frozen=True, kw_only=True):
    """Something that a person has to do."""

    id: str
    version: int
    kind: str
    subject_id: str | None
    debtor_id: str | None
    invoice_id: str | None
    title: str
    detail: Annotated[str | None, PERSONAL]
    assignee: str | None
    state: TaskState
    closed_at: datetime | None
    known_at: datetime

    @classmethod
    def of(cls, row: Task) -> "TaskView":
        """Show a task; its subject has an id where its kind says what it is."""
        prefix = next((_SUBJECTS[noun] for noun in _SUBJECTS if row.kind.startswith(f"{noun}_")), None)
        return cls(
            id=ids.encode("tsk", row.id),
            version=row.version,
            kind=row.kind,
            subject_id=None if prefix is None else ids.encode(prefix, row.subject_id),
            debtor_id=encoded("dbt", row.debtor_id),
            invoice_id=encoded("inv", row.invoice_id),
            title=row.title,
            detail=row.detail,
            assignee=row.assignee,
            state=row.state,
            closed_at=row.closed_at,
            known_at=row.known_at,
        )
