"""Settle messages by their fence: sent, failed, unknown or to be tried again, with what hangs on each.

Whatever cannot be known is held, never sent again, and a person is asked.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from casework.tasks import NewTask, open_tasks
from messaging.channels.port import Outcome
from messaging.events import MessageFailed, MessageSent, MessageUnknown
from messaging.models import Message, MessagePart, MessageState
from messaging.outbox import MESSAGES, release_keys
from messaging.views import MessageView
from receivables.locks import lock_debtors
from storage.events import Event, emit
from storage.gate import Gate, Part
from storage.queues import MAX_ATTEMPTS, Claim, backoff, still_held
from storage.session import TenantSession, tenant_of

# Said of the recipient, not of the mail.
UNDELIVERABLE: Final = frozenset({"bad_address", "recipient_refused", "recipient_deferred"})
OURS: Final = "internal_error"  # a message that we cannot even dispatch


async def settle(
    session: TenantSession, gate: Gate, outcomes: Sequence[Outcome], now: datetime, *, state: str = "dispatching"
) -> None:
    """Record what came of each call; a moved fence means that the row is another's by now.

    In the state `leased` nobody was called yet, and the outcome says why not.
    """
    claims = [Claim(tenant_of(session), outcome.message_id, outcome.fence) for outcome in outcomes]
    await lock_debtors(session, await debtors_of(session, [claim.id for claim in claims]))
    ours = await still_held(session, MESSAGES, claims, state=state)
    messages = {message.id: message for message in await load(session, ours)}
    ended = [
        message
        for outcome in outcomes
        if (message := messages.get(outcome.message_id)) is not None and await _conclude(session, message, outcome, now)
    ]
    if not ended:
        return
    await session.flush()
    parts = await _planned_parts(session, {message.id for message in ended}, only_going=state == "dispatching")
    for (outcome_, code), those in _alike(ended).items():
        await gate.concluded(session, outcome_, [part for message in those for part in parts[message.id]], code, now)
    await release_keys(session, [message.id for message in ended if message.state == MessageState.FAILED])
    gave_up = {outcome.message_id for outcome in outcomes if outcome.state == "retry" and outcome.code != OURS}
    tasks = [_task(message, gave_up) for message in ended if message.state != MessageState.SENT]
    await open_tasks(session, list({(task.kind, task.subject_id): task for task in tasks}.values()), now)


async def _planned_parts(session: TenantSession, message_ids: set[UUID], *, only_going: bool) -> dict[UUID, list[UUID]]:
    """What messages carried: the parts that the gate let go or, of messages that never left, all of them."""
    if only_going:
        return await going_parts(session, message_ids)
    carried = await parts_of(session, message_ids)
    return {message_id: [part.part_id for part in parts] for message_id, parts in carried.items()}


async def going_parts(session: TenantSession, message_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    """The parts that left, or may have left, with each message."""
    statement = select(MessagePart).where(  # bounded: as parts_of
        MessagePart.tenant_id == tenant_of(session),
        MessagePart.message_id.in_(message_ids),
        MessagePart.answer == "go",
    )
    found: dict[UUID, list[UUID]] = {message_id: [] for message_id in message_ids}
    for row in (await session.execute(statement)).scalars():
        found[row.message_id].append(row.part_id)
    return found


def _alike(messages: Sequence[Message]) -> dict[tuple[str, str], list[Message]]:
    """Messages that ended in the same way, for the same reason: told of together."""
    found: dict[tuple[str, str], list[Message]] = {}
    for message in messages:
        found.setdefault((message.state, message.code or ""), []).append(message)
    return found


_EVENTS: Final[dict[MessageState, type[Event[MessageView]]]] = {
    MessageState.SENT: MessageSent,
    MessageState.FAILED: MessageFailed,
    MessageState.UNKNOWN: MessageUnknown,
}


async def _conclude(session: TenantSession, message: Message, outcome: Outcome, now: datetime) -> bool:
    """Write what came of a message; False when it is to be tried again."""
    if outcome.state == "retry" and message.attempts < MAX_ATTEMPTS:
        wait = timedelta(seconds=outcome.retry_after_s) if outcome.retry_after_s else backoff(message.attempts)
        await _try_later(session, message, outcome.code, wait)
        return False
    before = MessageView.of(message)
    message.lease_until, message.code, message.provider_ref = None, outcome.code, outcome.provider_ref
    state = MessageState.FAILED if outcome.state in {"retry", "failed"} else MessageState(outcome.state)
    message.state, message.version = state, message.version + 1
    message.sent_at = now if state is MessageState.SENT else None
    emit(session, _EVENTS[state](MessageView.of(message), before, now))
    return True


async def _try_later(session: TenantSession, message: Message, code: str, wait: timedelta) -> None:
    values = {"tenant_id": message.tenant_id, "id": message.id, "code": code, "wait": wait}
    await session.execute(_RETRY, values)


_RETRY: Final = text(
    "update app.message set state = 'pending', lease_until = null, code = :code, run_at = clock_timestamp() + :wait"
    " where tenant_id = :tenant_id and id = :id"
)


def _task(message: Message, gave_up: set[UUID]) -> NewTask:
    """What a person is asked about a message that was not sent, or may have been; once, where the cause is one."""
    kind, subject_id = "message_failed", message.id
    debtor_id: UUID | None = message.debtor_id
    title = "This message could not be sent"
    if message.state == MessageState.UNKNOWN:
        kind, title = "message_unknown", "Find out whether this message was received"
    elif message.code in UNDELIVERABLE and message.contact_id is not None:
        kind, subject_id = "contact_undeliverable", message.contact_id
        title = "This contact cannot be reached by e-mail: correct the address or name another contact"
    elif message.id in gave_up:  # nothing is wrong with the message: the server took none for too long
        kind, subject_id, debtor_id = "channel_failing", message.tenant_id, None
        title = "E-mails cannot be sent: look at the mail server"
    return NewTask(kind=kind, subject_id=subject_id, debtor_id=debtor_id, title=title, detail=message.code)


async def hold_unknown(session: TenantSession, gate: Gate, lost: Sequence[Claim], now: datetime) -> int:
    """Messages whose worker died in the call: nobody knows whether they left, so a person is asked. Idempotent."""
    outcomes = [
        Outcome(message_id=claim.id, fence=claim.fence, state="unknown", provider_ref=None, code="worker_lost")
        for claim in lost
    ]
    await settle(session, gate, outcomes, now)
    return len(outcomes)


async def debtors_of(session: TenantSession, message_ids: Sequence[UUID]) -> list[UUID]:
    """Whom to lock before these messages are read."""
    statement = (
        select(Message.debtor_id)
        .where(Message.tenant_id == tenant_of(session), Message.id.in_(message_ids))
        .limit(len(message_ids))
    )
    return list((await session.execute(statement)).scalars())


async def load(session: TenantSession, message_ids: set[UUID]) -> list[Message]:
    """Messages as they are now, in the order of their ids; the caller holds the debtors' locks."""
    statement = (
        select(Message)
        .where(Message.tenant_id == tenant_of(session), Message.id.in_(message_ids))
        .order_by(Message.id)
        .limit(len(message_ids) + 1)
        .execution_options(populate_existing=True)
    )
    return list((await session.execute(statement)).scalars())


async def parts_of(session: TenantSession, message_ids: set[UUID]) -> dict[UUID, list[Part]]:
    """The parts of messages, in the order in which they joined."""
    statement = (  # bounded: a message has as many parts as its debtor has open instalments
        select(MessagePart)
        .where(MessagePart.tenant_id == tenant_of(session), MessagePart.message_id.in_(message_ids))
        .order_by(MessagePart.message_id, MessagePart.part_id)
    )
    found: dict[UUID, list[Part]] = {message_id: [] for message_id in message_ids}
    for row in (await session.execute(statement)).scalars():
        found[row.message_id].append(Part(row.part_id, row.debt_id))
    return found
