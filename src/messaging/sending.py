"""Send what is due: lease, prepare, permit and mark in one transaction, call, settle by fence.

Nothing can change between the last look and the mark, since both stand in one transaction under the debtors' locks.
Whatever arrives after the mark changes nothing that has left; whatever cannot be known is held, never sent again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select, text

from casework.tasks import open_task
from kernel.clock import system_now
from messaging import copies
from messaging.channels.port import Channel, Copy, Outcome
from messaging.copies import Rendering, Said
from messaging.events import MessageFailed, MessageSent, MessageUnknown, MessageWithdrawn
from messaging.models import Message, MessagePart, MessageState
from messaging.outbox import release_keys
from messaging.ports import Composed, Composer
from messaging.views import MessageView
from messaging.writing import Writer
from receivables.locks import lock_debtors
from storage.clocks import now_of
from storage.encryption import KeyRing
from storage.events import Event, emit
from storage.gate import Answer, Answers, Defer, Drop, Gate, Go, Held, Part
from storage.queues import MAX_ATTEMPTS, Claim, Queue, backoff, still_held
from storage.session import TenantSession, tenant_of

MESSAGES: Final = Queue(name="message", table="app.message", per_tenant=100, tenants=8)

OpenTenant = Callable[[UUID], AbstractAsyncContextManager[TenantSession]]


class Sender(Struct, frozen=True):
    """What sending needs besides the rows: the gate, who composes, how it is written, the key ring."""

    gate: Gate
    composer: Composer
    writer: Writer
    keys: KeyRing


async def send(work: OpenTenant, sender: Sender, channel: Channel, held: Sequence[Claim]) -> Counter[str]:
    """Send leased messages of one tenant; counts the outcomes. No transaction is open while anyone is called.

    No more is marked `dispatching` than the channel sends at once, so that a death leaves few unknowns.
    """
    tenant_id, counts = held[0].tenant_id, Counter[str]()
    await sender.gate.prepare(tenant_id, [claim.id for claim in held])
    for start in range(0, len(held), channel.at_once):
        batch = held[start : start + channel.at_once]
        async with work(tenant_id) as session:
            copies_ = await dispatch(session, sender, channel, batch, await now_of(session))
        if not copies_:
            continue
        outcomes = await channel.send(copies_)  # sent, failed, retry or unknown: values, not exceptions
        async with work(tenant_id) as session:
            await settle(session, sender.gate, outcomes, await now_of(session))
        counts.update(outcome.state for outcome in outcomes)
    return counts


async def dispatch(
    session: TenantSession, sender: Sender, channel: Channel, batch: Sequence[Claim], now: datetime
) -> list[Copy]:
    """From the last look to the mark in one transaction."""
    ids_ = [claim.id for claim in batch]
    await lock_debtors(session, await _debtors_of(session, ids_))
    ours = await still_held(session, MESSAGES, batch)
    messages = await _load(session, ours)
    if not messages:
        return []
    parts = await parts_of(session, ours)
    held = [_held(message, parts[message.id]) for message in messages]
    answers = await sender.gate.permit(session, held, now)
    await _record_answers(session, answers)
    for message in messages:
        await _conclude_stopped(session, sender.gate, answers[message.id], now)
    going = [(message, _going(answers[message.id])) for message in messages]
    composed = await sender.composer.compose(session, [(message, parts_) for message, parts_ in going if parts_], now)
    await _withdraw(session, sender.gate, [pair for pair in going if pair[0].id not in composed], answers, now)
    leaving = [message for message, _ in going if message.id in composed]
    renderings = [_render(sender.writer, message, composed[message.id]) for message in leaving]
    await copies.keep(session, sender.keys, renderings)
    await _mark(session, leaving, composed, channel)
    return [_copy(rendering) for rendering in renderings]


async def _debtors_of(session: TenantSession, message_ids: Sequence[UUID]) -> list[UUID]:
    statement = (
        select(Message.debtor_id)
        .where(Message.tenant_id == tenant_of(session), Message.id.in_(message_ids))
        .limit(len(message_ids))
    )
    return list((await session.execute(statement)).scalars())


async def _load(session: TenantSession, message_ids: set[UUID]) -> list[Message]:
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


def _held(message: Message, parts: Sequence[Part]) -> Held:
    return Held(
        message.id, message.debtor_id, message.creditor_id, message.contact_id, message.channel,
        message.purpose.value, tuple(parts),
    )  # fmt: skip


def _going(answers: Mapping[UUID, Answer]) -> list[UUID]:
    return [part_id for part_id, answer in answers.items() if isinstance(answer, Go)]


async def _record_answers(session: TenantSession, answers: Answers) -> None:
    """Keep what the gate said of each part: the trace of why a message carries what it carries."""
    rows = [
        (message_id, part_id, _word(answer), "" if isinstance(answer, Go) else answer.code)
        for message_id, of_message in answers.items()
        for part_id, answer in of_message.items()
    ]
    columns = zip(*rows, strict=True)
    values = dict(zip(("messages", "parts", "answers", "codes"), (list(column) for column in columns), strict=True))
    await session.execute(_ANSWERS, values | {"tenant_id": tenant_of(session)})


_ANSWERS: Final = text("""
update app.message_part p set answer = u.answer, code = nullif(u.code, '')
from unnest(cast(:messages as uuid[]), cast(:parts as uuid[]), cast(:answers as text[]), cast(:codes as text[]))
  as u(message_id, part_id, answer, code)
where p.tenant_id = :tenant_id and p.message_id = u.message_id and p.part_id = u.part_id
""")


def _word(answer: Answer) -> str:
    return "go" if isinstance(answer, Go) else "drop" if isinstance(answer, Drop) else "defer"


async def _conclude_stopped(
    session: TenantSession, gate: Gate, answers: Mapping[UUID, Answer], now: datetime
) -> None:
    """Tell the gate's owner which parts do not leave with this message."""
    by_code: dict[tuple[str, str], list[UUID]] = {}
    for part_id, answer in answers.items():
        if isinstance(answer, Drop | Defer):
            by_code.setdefault(("withdrawn", answer.code), []).append(part_id)
    for (outcome, code), parts in by_code.items():
        await gate.concluded(session, outcome, parts, code, now)


async def _withdraw(
    session: TenantSession,
    gate: Gate,
    stopped: Sequence[tuple[Message, Sequence[UUID]]],
    answers: Answers,
    now: datetime,
) -> None:
    """Take back messages of which nothing is left to say, or that nobody can write."""
    for message, parts in stopped:
        if parts:
            await gate.concluded(session, "withdrawn", parts, "cannot_be_written", now)
        codes = {answer.code for answer in answers[message.id].values() if not isinstance(answer, Go)}
        before = MessageView.of(message)
        message.state, message.version = MessageState.WITHDRAWN, message.version + 1
        message.code = min(codes) if codes else "cannot_be_written"
        message.lease_until = None
        emit(session, MessageWithdrawn(MessageView.of(message), before, now))
    if stopped:
        await session.flush()
        await release_keys(session, [message.id for message, _ in stopped])


def _render(writer: Writer, message: Message, composed: Composed) -> Rendering:
    return Rendering(message.id, message.fence, message.debtor_id, writer.write(message, composed, system_now()))


async def _mark(
    session: TenantSession, leaving: Sequence[Message], composed: Mapping[UUID, Composed], channel: Channel
) -> None:
    """The last write before the call: from here on, a death means that the outcome is unknown."""
    for message in leaving:
        letter = composed[message.id].letter
        message.template, message.language, message.tone = composed[message.id].template, letter.language, letter.tone
        message.level = letter.level
        message.state = MessageState.DISPATCHING
    await session.flush()
    values = {
        "tenant_id": tenant_of(session),
        "ids": [message.id for message in leaving],
        "hold": timedelta(seconds=2 * channel.timeout_s),
    }
    await session.execute(_EXTEND, values)


_EXTEND: Final = text(
    "update app.message set lease_until = clock_timestamp() + :hold"
    " where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))"
)


def _copy(rendering: Rendering) -> Copy:
    said: Said = rendering.said
    return Copy(
        message_id=rendering.message_id, fence=rendering.fence, sender=said.sender, recipient=said.recipient,
        content=said.mime,
    )  # fmt: skip


async def settle(session: TenantSession, gate: Gate, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Record what came of each call; a moved fence means that the row is another's by now."""
    claims = [Claim(tenant_of(session), outcome.message_id, outcome.fence) for outcome in outcomes]
    await lock_debtors(session, await _debtors_of(session, [claim.id for claim in claims]))
    ours = await still_held(session, MESSAGES, claims, state="dispatching")
    messages = {message.id: message for message in await _load(session, ours)}
    gone = await _going_parts(session, ours)
    for outcome in outcomes:
        message = messages.get(outcome.message_id)
        if message is not None:
            await _conclude(session, gate, message, outcome, gone.get(message.id, []), now)
    await session.flush()
    await release_keys(session, [message.id for message in messages.values() if message.state == MessageState.FAILED])


async def _going_parts(session: TenantSession, message_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    statement = select(MessagePart).where(  # bounded: as parts_of
        MessagePart.tenant_id == tenant_of(session),
        MessagePart.message_id.in_(message_ids),
        MessagePart.answer == "go",
    )
    found: dict[UUID, list[UUID]] = {}
    for row in (await session.execute(statement)).scalars():
        found.setdefault(row.message_id, []).append(row.part_id)
    return found


_EVENTS: Final[dict[MessageState, type[Event[MessageView]]]] = {
    MessageState.SENT: MessageSent,
    MessageState.FAILED: MessageFailed,
    MessageState.UNKNOWN: MessageUnknown,
}


async def _conclude(
    session: TenantSession, gate: Gate, message: Message, outcome: Outcome, parts: Sequence[UUID], now: datetime
) -> None:
    before = MessageView.of(message)
    message.lease_until, message.code, message.provider_ref = None, outcome.code, outcome.provider_ref
    if outcome.state == "retry" and message.attempts < MAX_ATTEMPTS:
        wait = timedelta(seconds=outcome.retry_after_s) if outcome.retry_after_s else backoff(message.attempts)
        await session.flush()
        await _try_later(session, message, wait)
        return
    state = MessageState.FAILED if outcome.state in {"retry", "failed"} else MessageState(outcome.state)
    message.state, message.version = state, message.version + 1
    message.sent_at = now if state is MessageState.SENT else None
    after = MessageView.of(message)
    emit(session, _EVENTS[state](after, before, now))
    await gate.concluded(session, state.value, parts, outcome.code, now)
    if state is not MessageState.SENT:
        await _ask_a_person(session, message, now)


async def _try_later(session: TenantSession, message: Message, wait: timedelta) -> None:
    values = {"tenant_id": message.tenant_id, "id": message.id, "wait": wait}
    await session.execute(_RETRY, values)
    await session.refresh(message)


_RETRY: Final = text(
    "update app.message set state = 'pending', lease_until = null, run_at = clock_timestamp() + :wait"
    " where tenant_id = :tenant_id and id = :id"
)


async def _ask_a_person(session: TenantSession, message: Message, now: datetime) -> None:
    unknown = message.state == MessageState.UNKNOWN
    await open_task(
        session,
        kind="message_unknown" if unknown else "message_failed",
        subject_id=message.id,
        debtor_id=message.debtor_id,
        title="Find out whether this message was received" if unknown else "This message could not be sent",
        detail=message.code,
        now=now,
    )


async def hold_unknown(session: TenantSession, gate: Gate, lost: Sequence[Claim], now: datetime) -> int:
    """Messages whose worker died in the call: nobody knows whether they left, so a person is asked. Idempotent."""
    outcomes = [
        Outcome(message_id=claim.id, fence=claim.fence, state="unknown", provider_ref=None, code="worker_lost")
        for claim in lost
    ]
    await settle(session, gate, outcomes, now)
    return len(outcomes)
