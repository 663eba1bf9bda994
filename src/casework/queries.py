"""Lists: newest first, a page at a time by keyset. `after` is the last id of the page before."""

from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from casework.models import Handling, HandlingKind, Hold, HoldReason, Task, TaskState
from casework.views import HandlingView, HoldView, TaskView
from receivables.merges import group_of
from storage.session import TenantSession, tenant_of

MAX_ROWS: Final = 1_000
S = TypeVar("S", bound="Select[*tuple[Any, ...]]")  # Any: whatever is listed


class HoldFilter(Struct, frozen=True, kw_only=True):
    """Which holds. A debtor stands for everybody merged into it."""

    debtor_id: UUID | None = None
    invoice_id: UUID | None = None
    reason: HoldReason | None = None
    active: bool | None = None  # at the tenant's now


class HandlingFilter(Struct, frozen=True, kw_only=True):
    """Which handlings."""

    creditor_id: UUID | None = None
    debtor_id: UUID | None = None
    invoice_id: UUID | None = None
    kind: HandlingKind | None = None


class TaskFilter(Struct, frozen=True, kw_only=True):
    """Which tasks."""

    state: TaskState | None = None
    kind: str | None = None
    debtor_id: UUID | None = None
    invoice_id: UUID | None = None
    assignee: str | None = None


async def holds(
    session: TenantSession, wanted: HoldFilter, *, now: datetime, after: UUID | None = None, limit: int
) -> list[HoldView]:
    """Holds, the newest first."""
    statement = select(Hold).where(
        Hold.tenant_id == tenant_of(session),
        *await _of_debtor(session, Hold.debtor_id, wanted.debtor_id),
        *_is(Hold.invoice_id, wanted.invoice_id),
        *_is(Hold.reason, wanted.reason),
    )
    if wanted.active is not None:
        running = and_(Hold.starts_at <= now, or_(Hold.ends_at.is_(None), Hold.ends_at > now))
        statement = statement.where(running if wanted.active else ~running)
    rows = await session.scalars(_newest(statement, Hold.id, after=after, limit=limit))
    return [HoldView.of(row) for row in rows]


async def handlings(
    session: TenantSession, wanted: HandlingFilter, *, after: UUID | None = None, limit: int
) -> list[HandlingView]:
    """Who handles what, the newest first."""
    statement = select(Handling).where(
        Handling.tenant_id == tenant_of(session),
        *await _of_debtor(session, Handling.debtor_id, wanted.debtor_id),
        *_is(Handling.creditor_id, wanted.creditor_id),
        *_is(Handling.invoice_id, wanted.invoice_id),
        *_is(Handling.kind, wanted.kind),
    )
    rows = await session.scalars(_newest(statement, Handling.id, after=after, limit=limit))
    return [HandlingView.of(row) for row in rows]


async def tasks(session: TenantSession, wanted: TaskFilter, *, after: UUID | None = None, limit: int) -> list[TaskView]:
    """Tasks, the newest first."""
    statement = select(Task).where(
        Task.tenant_id == tenant_of(session),
        *_is(Task.state, wanted.state),
        *_is(Task.kind, wanted.kind),
        *_is(Task.invoice_id, wanted.invoice_id),
        *_is(Task.assignee, wanted.assignee),
    )
    if wanted.debtor_id is not None:
        statement = statement.where(Task.debtor_id.in_(await group_of(session, wanted.debtor_id)))
    rows = await session.scalars(_newest(statement, Task.id, after=after, limit=limit))
    return [TaskView.of(row) for row in rows]


def _newest(statement: S, key: InstrumentedAttribute[UUID], *, after: UUID | None, limit: int) -> S:
    if after is not None:
        statement = statement.where(key < after)
    return statement.order_by(key.desc()).limit(min(limit, MAX_ROWS))


async def _of_debtor(
    session: TenantSession, column: InstrumentedAttribute[UUID], debtor_id: UUID | None
) -> list[ColumnElement[bool]]:
    return [] if debtor_id is None else [column.in_(await group_of(session, debtor_id))]


def _is(column: InstrumentedAttribute[Any], value: object) -> list[ColumnElement[bool]]:  # Any: columns of every type
    return [] if value is None else [column == value]
