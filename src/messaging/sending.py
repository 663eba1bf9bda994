"""Send what is due: lease, prepare, permit and mark in one transaction, call, settle by fence.

Nothing can change between the last look and the mark, since both stand in one transaction under the debtors' locks.
Whatever arrives after the mark changes nothing that has left; whatever cannot be known is held, never sent again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from casework.tasks import NewTask, open_tasks
from kernel.clock import system_now
from messaging import copies
from messaging.channels.port import Channel, Copy, Outcome
from messaging.copies import Rendering, Said
from messaging.events import MessageWithdrawn
from messaging.models import Message, MessageState
from messaging.outbox import MESSAGES, release_keys
from messaging.ports import Composed, Composer
from messaging.settling import OURS, debtors_of, load, parts_of, settle
from messaging.views import MessageView
from messaging.wording import WordsMissing
from messaging.writing import Writer
from receivables.locks import lock_debtors
from runtime.logs import logger
from storage.clocks import now_of
from storage.encryption import KeyRing
from storage.events import emit
from storage.gate import Answer, Answers, Defer, Drop, Gate, Go, Held, Part
from storage.queues import Claim, arrays_of, still_held
from storage.session import OpenTenant, TenantSession, tenant_of
from storage.waiting import is_away, patiently

log: Final = logger("messaging.sending")


class Sender(Struct, frozen=True):
    """What sending needs besides the rows: the gate, who composes, how it is written, the key ring."""

    gate: Gate
    composer: Composer
    writer: Writer
    keys: KeyRing


async def send(
    work: OpenTenant,
    sender: Sender,
    channel: Channel,
    held: Sequence[Claim],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Send leased messages of one tenant; counts the outcomes. No transaction is open while anyone is called.

    No more is marked `dispatching` than the channel sends at once, so that a death leaves few unknowns; and no more is
    begun once the process is to stop.
    """
    tenant_id, counts = held[0].tenant_id, Counter[str]()
    await sender.gate.prepare(work, tenant_id, [claim.id for claim in held])
    for start in range(0, len(held), channel.at_once):
        if stopping():
            break
        copies_ = await _dispatched(work, sender, held[start : start + channel.at_once])
        if not copies_:
            continue
        outcomes = await channel.send(copies_)  # sent, failed, retry or unknown: values, not exceptions
        await _settled(work, sender.gate, tenant_id, outcomes)
        counts.update(outcome.state for outcome in outcomes)
    return counts


async def _dispatched(work: OpenTenant, sender: Sender, batch: Sequence[Claim]) -> list[Copy]:
    """Dispatch a batch; where that fails nothing has left, and each is tried alone, so that a bad one fails alone."""
    tenant_id = batch[0].tenant_id
    try:
        async with work(tenant_id) as session:
            return await dispatch(session, sender, batch, await now_of(session))
    except Exception as error:  # noqa: BLE001 - the failure is counted on the row
        log.warning("dispatch failed", tenant_id=str(tenant_id), count=len(batch), error=repr(error)[:300])
        if is_away(error):
            await patiently(lambda: _take_back(work, batch))
            return []
        if len(batch) > 1:
            return [copy for claim in batch for copy in await _dispatched(work, sender, [claim])]
    await refuse(work, sender.gate, batch, OURS)
    return []


async def refuse(work: OpenTenant, gate: Gate, held: Sequence[Claim], code: str) -> None:
    """Put leased messages of one tenant back, to be tried later a limited number of times: nothing has left."""
    failures = [Outcome(message_id=claim.id, fence=claim.fence, state="retry", code=code) for claim in held]
    async with work(held[0].tenant_id) as session:
        await settle(session, gate, failures, await now_of(session), state="leased")


async def _take_back(work: OpenTenant, batch: Sequence[Claim]) -> None:
    """Let messages wait that were marked by a commit which nobody confirmed: nobody was called."""
    async with work(batch[0].tenant_id) as session:
        await session.execute(_TAKE_BACK, arrays_of(batch) | {"tenant_id": tenant_of(session)})


_TAKE_BACK: Final = text("""
update app.message m set state = 'pending', lease_until = null
from unnest(cast(:ids as uuid[]), cast(:fences as bigint[])) as u(id, fence)
where m.tenant_id = :tenant_id and m.id = u.id and m.fence = u.fence and m.state in ('leased', 'dispatching')
""")


async def _settled(work: OpenTenant, gate: Gate, tenant_id: UUID, outcomes: Sequence[Outcome]) -> None:
    """Record outcomes; where that fails, each alone: what stays unrecorded becomes unknown, and a person's work.

    A database that is away is waited for, since nobody else knows these outcomes.
    """

    async def record() -> None:
        async with work(tenant_id) as session:
            await settle(session, gate, outcomes, await now_of(session))

    try:
        await patiently(record)
    except Exception as error:
        log.warning("settlement failed", tenant_id=str(tenant_id), count=len(outcomes), error=repr(error)[:300])
        if len(outcomes) == 1 or is_away(error):
            raise
        for outcome in outcomes:
            try:
                await _settled(work, gate, tenant_id, [outcome])
            except Exception as alone:  # noqa: BLE001 - the others are recorded all the same
                log.warning("outcome not recorded", message_id=str(outcome.message_id), error=repr(alone)[:300])


async def dispatch(session: TenantSession, sender: Sender, batch: Sequence[Claim], now: datetime) -> list[Copy]:
    """From the last look to the mark in one transaction."""
    ids_ = [claim.id for claim in batch]
    await lock_debtors(session, await debtors_of(session, ids_))
    ours = await still_held(session, MESSAGES, batch)
    messages = await load(session, ours)
    if not messages:
        return []
    parts = await parts_of(session, ours)
    held = [_held(message, parts[message.id]) for message in messages]
    answers = await sender.gate.permit(session, held, now)
    await _record_answers(session, answers)
    await _conclude_stopped(session, sender.gate, answers, now)
    going = [(message, _going(answers[message.id])) for message in messages]
    composed = await sender.composer.compose(session, [(message, parts_) for message, parts_ in going if parts_], now)
    renderings = _render(sender.writer, [message for message in messages if message.id in composed], composed)
    await _withdraw(session, sender.gate, [pair for pair in going if pair[0].id not in renderings], answers, now)
    leaving = [message for message in messages if message.id in renderings]
    await copies.keep(session, sender.keys, list(renderings.values()))
    await _mark(session, leaving, composed, now)
    return [_copy(rendering) for rendering in renderings.values()]


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
    if not rows:
        return
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


async def _conclude_stopped(session: TenantSession, gate: Gate, answers: Answers, now: datetime) -> None:
    """Tell the gate's owner which parts do not leave."""
    by_code: dict[str, list[UUID]] = {}
    for of_message in answers.values():
        for part_id, answer in of_message.items():
            if isinstance(answer, Drop | Defer):
                by_code.setdefault(answer.code, []).append(part_id)
    for code, parts in by_code.items():
        await gate.concluded(session, "withdrawn", parts, code, now)


async def _withdraw(
    session: TenantSession,
    gate: Gate,
    stopped: Sequence[tuple[Message, Sequence[UUID]]],
    answers: Answers,
    now: datetime,
) -> None:
    """Take back messages of which nothing is left to say, or that nobody can write: then a person is asked."""
    unwritten = [(message, part) for message, parts in stopped for part in parts]
    if unwritten:
        await gate.concluded(session, "withdrawn", [part for _, part in unwritten], "cannot_be_written", now)
        blamed = {message.id: message for message, _ in unwritten}
        await open_tasks(session, [_unwritten(message) for message in blamed.values()], now)
    for message, _ in stopped:
        codes = {answer.code for answer in answers[message.id].values() if not isinstance(answer, Go)}
        before = MessageView.of(message)
        message.state, message.version = MessageState.WITHDRAWN, message.version + 1
        message.code = min(codes) if codes else "cannot_be_written"
        message.lease_until = None
        emit(session, MessageWithdrawn(MessageView.of(message), before, now))
    if stopped:
        await session.flush()
        await release_keys(session, [message.id for message, _ in stopped])


def _unwritten(message: Message) -> NewTask:
    return NewTask(
        kind="message_unwritten",
        subject_id=message.id,
        debtor_id=message.debtor_id,
        title="This message could not be written: look at its invoices, its contact and its template",
    )


def _render(writer: Writer, messages: Sequence[Message], composed: Mapping[UUID, Composed]) -> dict[UUID, Rendering]:
    """Write each message; one that cannot be written is left out, so that it stops nobody else's."""
    written: dict[UUID, Rendering] = {}
    for message in messages:
        try:
            said = writer.write(message, composed[message.id], system_now())
        except (ValueError, WordsMissing) as error:  # a template, an address or a header that cannot be
            log.warning("message cannot be written", message_id=str(message.id), error=repr(error)[:300])
            continue
        written[message.id] = Rendering(message.id, message.fence, message.debtor_id, said)
    return written


async def _mark(
    session: TenantSession, leaving: Sequence[Message], composed: Mapping[UUID, Composed], now: datetime
) -> None:
    """The last write before the call: from here on, a death means that the outcome is unknown.

    The lease stays as it is: whoever holds the batch renews it until the call is over, so that a death is noticed as
    soon in the midst of a call as before it.
    """
    for message in leaving:
        letter = composed[message.id].letter
        message.template, message.language, message.tone = composed[message.id].template, letter.language, letter.tone
        message.level = letter.level
        message.state, message.dispatched_at = MessageState.DISPATCHING, now
    await session.flush()


def _copy(rendering: Rendering) -> Copy:
    said: Said = rendering.said
    return Copy(
        message_id=rendering.message_id, fence=rendering.fence, sender=said.sender, recipient=said.recipient,
        content=said.mime,
    )  # fmt: skip
