"""Settle by hand a message of which nobody knew whether it left."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select

from casework.models import Task, TaskState
from casework.tasks import close_task
from messaging.errors import MessageNotUnknown
from messaging.events import MessageFailed, MessageSent
from messaging.models import MessageState
from messaging.outbox import release_keys
from messaging.queries import message as load
from messaging.settling import going_parts
from messaging.views import MessageView
from receivables.locks import lock_debtors
from storage.events import emit
from storage.gate import Gate
from storage.session import TenantSession, tenant_of


class Resolution(StrEnum):
    """What a person found out."""

    RECEIVED = "received"
    NOT_RECEIVED = "not_received"


async def resolve(
    session: TenantSession, gate: Gate, message_id: UUID, resolution: Resolution, now: datetime
) -> MessageView:
    """Record whether an unknown message was received; one that was not is planned anew. The task is done.

    Raises MessageNotFound, MessageNotUnknown.
    """
    row = await load(session, message_id)
    await lock_debtors(session, [row.debtor_id])
    await session.refresh(row)
    if row.state != MessageState.UNKNOWN:
        raise MessageNotUnknown
    before = MessageView.of(row)
    received = resolution is Resolution.RECEIVED
    row.state = MessageState.SENT if received else MessageState.FAILED
    row.version += 1
    row.sent_at = row.dispatched_at if received else None
    code = row.code = f"resolved_{resolution.value}"
    after = MessageView.of(row)
    emit(session, (MessageSent if received else MessageFailed)(after, before, now))
    parts = (await going_parts(session, {row.id}))[row.id]
    await gate.concluded(session, row.state, parts, code, now, sent_at=row.sent_at)
    if not received:
        await session.flush()
        await release_keys(session, [row.id])
    await _done(session, row.id, now)
    return after


async def _done(session: TenantSession, message_id: UUID, now: datetime) -> None:
    """Close the task that asked about the message, unless somebody has closed it already."""
    asked = select(Task.id).where(
        Task.tenant_id == tenant_of(session),
        Task.kind == "message_unknown",
        Task.subject_id == message_id,
        Task.state == TaskState.OPEN,
    )
    task_id = (await session.execute(asked)).scalar_one_or_none()
    if task_id is not None:
        await close_task(session, task_id, TaskState.DONE, now)
