"""Tasks: what a person has to do. One is open per cause, however often the cause is told."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, structs
from sqlalchemy import text

from casework import access
from casework.errors import TaskNotOpen
from casework.events import TaskAssigned, TaskClosed, TaskOpened
from casework.models import Task, TaskState
from casework.views import TaskView
from kernel import ids
from kernel.errors import Fault, Invalid
from kernel.text import MAX_NAME, MAX_NOTE
from receivables import access as receivables
from receivables.changes import expect
from receivables.checking import Faults
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_KIND: Final = 60
BY_HAND: Final = "by_hand"


class NewTask(Struct, frozen=True, kw_only=True):
    """Something to be done about a subject. The kind begins with the subject's noun: `message_unknown`."""

    kind: str
    subject_id: UUID
    title: str
    debtor_id: UUID | None = None
    invoice_id: UUID | None = None
    detail: str | None = None
    assignee: str | None = None


class HandTask(Struct, frozen=True, kw_only=True):
    """A task that somebody opens by hand, about a debtor or an invoice where one is named."""

    title: str
    detail: str | None = None
    debtor_id: UUID | None = None
    invoice_id: UUID | None = None
    assignee: str | None = None


async def open_by_hand(session: TenantSession, new: HandTask, now: datetime) -> TaskView:
    """Open a task that has no cause but its author. Raises Invalid, DebtorNotFound, InvoiceNotFound."""
    debtor_id = new.debtor_id
    if debtor_id is not None:
        await receivables.debtor(session, debtor_id)
    if new.invoice_id is not None:
        invoice = await receivables.invoice(session, new.invoice_id)
        if debtor_id not in {None, invoice.debtor_id}:
            raise Invalid(errors=[Fault(pointer="/debtor_id", code="differs", message="the invoice is another's")])
        debtor_id = invoice.debtor_id
    task = NewTask(
        kind=BY_HAND, subject_id=ids.new_id(), title=new.title, debtor_id=debtor_id, invoice_id=new.invoice_id,
        detail=new.detail, assignee=new.assignee,
    )  # fmt: skip
    return (await open_tasks(session, [task], now))[0]


async def open_task(  # the fields of NewTask, by name
    session: TenantSession,
    *,
    kind: str,
    subject_id: UUID,
    title: str,
    now: datetime,
    debtor_id: UUID | None = None,
    invoice_id: UUID | None = None,
    detail: str | None = None,
    assignee: str | None = None,
) -> None:
    """Open a task unless one of this kind is open about this subject. Raises Invalid."""
    new = NewTask(
        kind=kind, subject_id=subject_id, title=title, debtor_id=debtor_id, invoice_id=invoice_id, detail=detail,
        assignee=assignee,
    )  # fmt: skip
    await open_tasks(session, [new], now)


async def open_tasks(session: TenantSession, news: Sequence[NewTask], now: datetime) -> list[TaskView]:
    """Open tasks in one statement; answers those that were not open already. Raises Invalid."""
    if not news:
        return []
    rows = [_row(session, _checked(new), now) for new in news]
    values = {
        "tenant_id": tenant_of(session),
        "known_at": now,
        **{name: [getattr(row, name) for row in rows] for name in _COLUMNS},
    }
    opened = set((await session.execute(_OPEN, values)).scalars())
    views = [TaskView.of(row) for row in rows if row.id in opened]
    for view in views:
        emit(session, TaskOpened(view, None, now))
    return views


_COLUMNS: Final = ("id", "kind", "subject_id", "debtor_id", "invoice_id", "title", "detail", "assignee")
_OPEN: Final = text("""
insert into app.task
  (tenant_id, id, version, kind, subject_id, debtor_id, invoice_id, title, detail, assignee, state, known_at)
select :tenant_id, u.id, 1, u.kind, u.subject_id, u.debtor_id, u.invoice_id, u.title, u.detail, u.assignee, 'open',
       :known_at
from unnest(cast(:id as uuid[]), cast(:kind as text[]), cast(:subject_id as uuid[]), cast(:debtor_id as uuid[]),
            cast(:invoice_id as uuid[]), cast(:title as text[]), cast(:detail as text[]), cast(:assignee as text[]))
  as u(id, kind, subject_id, debtor_id, invoice_id, title, detail, assignee)
order by u.kind, u.subject_id
on conflict (tenant_id, kind, subject_id) where state = 'open' do nothing
returning id
""")


async def assign_task(
    session: TenantSession, task_id: UUID, assignee: str | None, now: datetime, *, expected_version: int | None = None
) -> TaskView:
    """Say who is to do a task (None: nobody yet); the same again changes nothing. Raises Invalid, TaskNotOpen."""
    faults = Faults()
    name = faults.optional_line("/assignee", assignee, MAX_NAME)
    faults.stop()
    row = await access.task(session, task_id, lock=True)
    expect(row.version, expected_version)
    if row.state is not TaskState.OPEN:
        raise TaskNotOpen
    before = TaskView.of(row)
    if row.assignee == name:
        return before
    row.assignee, row.version = name, row.version + 1
    after = TaskView.of(row)
    emit(session, TaskAssigned(after, before, now))
    return after


async def close_task(
    session: TenantSession, task_id: UUID, state: TaskState, now: datetime, *, expected_version: int | None = None
) -> TaskView:
    """Close a task as done or dismissed. Raises TaskNotOpen."""
    if state is TaskState.OPEN:
        raise ValueError("a task is closed as done or as dismissed")
    row = await access.task(session, task_id, lock=True)
    expect(row.version, expected_version)
    if row.state is not TaskState.OPEN:
        raise TaskNotOpen
    before = TaskView.of(row)
    row.state, row.closed_at, row.version = state, now, row.version + 1
    after = TaskView.of(row)
    emit(session, TaskClosed(after, before, now))
    return after


async def close_tasks(session: TenantSession, causes: Iterable[tuple[str, UUID]], now: datetime) -> None:
    """What these tasks asked for, by kind and subject, has been done; one that is not open is none."""
    wanted = sorted(set(causes))
    if not wanted:
        return
    values = {
        "tenant_id": tenant_of(session),
        "kinds": [kind for kind, _ in wanted],
        "subjects": [subject_id for _, subject_id in wanted],
    }
    await session.flush()
    for task_id in (await session.execute(_OF_CAUSES, values)).scalars().all():
        await close_task(session, task_id, TaskState.DONE, now)


_OF_CAUSES: Final = text("""
select t.id from unnest(cast(:kinds as text[]), cast(:subjects as uuid[])) as u(kind, subject_id)
join app.task t on t.tenant_id = :tenant_id and t.kind = u.kind and t.subject_id = u.subject_id and t.state = 'open'
order by t.id
""")  # bounded: by the causes asked for


def _checked(new: NewTask) -> NewTask:
    faults = Faults()
    clean = structs.replace(
        new,
        kind=faults.line("/kind", new.kind, MAX_KIND),
        title=faults.line("/title", new.title, MAX_NAME),
        detail=faults.lines("/detail", new.detail, MAX_NOTE),
        assignee=faults.optional_line("/assignee", new.assignee, MAX_NAME),
    )
    faults.stop()
    return clean


def _row(session: TenantSession, new: NewTask, now: datetime) -> Task:
    return Task(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, state=TaskState.OPEN, closed_at=None, known_at=now,
        **structs.asdict(new),
    )  # fmt: skip
