"""The gate: decide again on fresh facts, part by part, in the transaction that lets a message leave.

It fills `storage.gate.Gate`. The debtors are locked by the caller, so that no fact can arrive between the answer and
the mark; mode, switches and policy rows are read FOR SHARE.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import select, text

from billing_connectors.sources.ports import Connector
from billing_connectors.sources.refreshing import refresh
from dunning import courses
from dunning.courses import TICK
from dunning.deciding import Blocker, Decision, Verdict, decide
from dunning.events import NoticeIssued, NoticeWithdrawn
from dunning.gathering import Case, gather
from dunning.models import Notice, NoticeState
from dunning.tracing import AFTER, GATE, Traced, keep
from dunning.views import NoticeView
from messaging.models import Message
from storage.bulk import among
from storage.clocks import make_due
from storage.events import emit
from storage.gate import Answer, Answers, Defer, Drop, Go, Held
from storage.session import OpenTenant, TenantSession, tenant_of
from tenants.switches import reserve_budget

CAP_WAIT: Final = timedelta(hours=1)
SOON: Final = timedelta(minutes=1)
FAILED_WAIT: Final = timedelta(days=1)  # what was tried in vain is tried again, but not all day long
NOT_RECEIVED: Final = "resolved_not_received"
_ANEW: Final = frozenset({"day_passed", "superseded", "contact_changed", "debtor_changed"})  # planned again at once


class DunningGate:
    """Decides what may leave, by the same function that planned it."""

    def __init__(self, connectors: Mapping[str, Connector] | None = None) -> None:
        self._connectors = connectors or {}  # by the key of their source

    async def prepare(self, work: OpenTenant, tenant_id: UUID, held: Sequence[UUID]) -> None:
        """Ask the sources again for what they were read for too long ago; what came by files has nobody to ask."""
        if not self._connectors:
            return
        async with work(tenant_id) as session:
            values = {"tenant_id": tenant_of(session), "messages": list(held)}
            invoice_ids = list((await session.execute(_CARRIED, values)).scalars())
        await refresh(work, self._connectors, tenant_id, invoice_ids)

    async def permit(self, session: TenantSession, held: Sequence[Held], now: datetime) -> Answers:
        """Answer for each part: it goes, is dropped, or comes back to the promoter."""
        judged = await _judge(session, [part.part_id for message in held for part in message.parts], now)
        answers = {
            message.id: {part.part_id: _on_its_day(judged, part.part_id) for part in message.parts} for message in held
        }
        answers = await _within_cap(session, answers, now)
        stopped = {
            part: answer
            for of_message in answers.values()
            for part, answer in of_message.items()
            if not isinstance(answer, Go)
        }
        await keep(session, GATE, _traced(judged, stopped), now)
        await _reschedule(session, judged, stopped, now)
        return answers

    async def concluded(
        self,
        session: TenantSession,
        outcome: str,
        parts: Sequence[UUID],
        code: str,
        now: datetime,
        *,
        sent_at: datetime | None = None,
    ) -> None:
        """Only what was sent is issued; what was not is withdrawn, and its course is looked at again."""
        if outcome == "sent":
            await _issued(session, parts, sent_at or now, now)
        elif outcome in {"withdrawn", "failed"}:
            await _withdrawn(session, parts, code, now)
        if outcome == "failed":
            wait = SOON if code == NOT_RECEIVED else FAILED_WAIT
            notices = await _notices(session, parts)
            looks = {notice.course_id: now + wait for notice in notices.values()}
            await make_due(session, TICK, looks.items(), at_latest=True)  # a contact may have been mended meanwhile


_CARRIED: Final = text("""
select distinct n.invoice_id
from app.message_part p
join app.notice n on n.tenant_id = p.tenant_id and n.id = p.part_id
where p.tenant_id = :tenant_id and p.message_id = any(cast(:messages as uuid[]))
""")  # bounded: by the messages of one batch


class _Addressed(Struct, frozen=True):
    """To whom a message is addressed, and for which day."""

    debtor_id: UUID
    contact_id: UUID | None
    contact_day: date


class _Judged(Struct, frozen=True):
    """A planned notice with everything that decides whether it may leave now."""

    notice: Notice
    case: Case
    decision: Decision
    to: _Addressed

    @property
    def answer(self) -> Answer:
        """What the facts say, whatever day the message was made for."""
        decision, contact = self.decision, self.case.contact
        codes = (
            ("gone", self.notice.state is not NoticeState.PLANNED),
            ("superseded", self.notice.cycle != self.case.course.cycle),
            (next(iter(decision.codes), ""), decision.verdict is not Verdict.ACT),
            ("superseded", decision.step != self.notice.step),  # a later step's day has come meanwhile
            ("contact_changed", contact is None or contact.contact_id != self.to.contact_id),
            ("debtor_changed", self.case.debt.debtor_id != self.to.debtor_id),
        )
        code = next((code for code, stands_in_the_way in codes if stands_in_the_way), None)
        if code is None:
            return Go()
        if decision.verdict is Verdict.DEFER and code in decision.codes and decision.look_again_at is not None:
            return Defer(decision.look_again_at, code)
        return Drop(code)


async def _judge(session: TenantSession, notice_ids: Sequence[UUID], now: datetime) -> dict[UUID, _Judged]:
    """Decide anew about notices; neither they nor the messages that carry them count as said meanwhile."""
    notices = await _notices(session, notice_ids)
    carrying = frozenset(notice.message_id for notice in notices.values() if notice.message_id is not None)
    addressed = await _addressed(session, carrying)
    rows = await courses.by_ids(session, [notice.course_id for notice in notices.values()], fresh=True)
    cases = await gather(session, rows, now, ignoring=frozenset(notices), besides=carrying, last_look=True)
    decisions = {key: decide(case.facts, case.policy, now) for key, case in cases.items()}
    return {
        key: _Judged(notice, cases[notice.course_id], decisions[notice.course_id], addressed[notice.message_id])
        for key, notice in notices.items()
        if notice.course_id in cases and notice.message_id in addressed
    }


async def _notices(session: TenantSession, notice_ids: Iterable[UUID]) -> dict[UUID, Notice]:
    wanted = list(notice_ids)
    statement = (
        select(Notice)
        .where(Notice.tenant_id == tenant_of(session), among(Notice.id, wanted))
        .order_by(Notice.id)
        .limit(len(wanted) + 1)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in (await session.execute(statement)).scalars()}


async def _addressed(session: TenantSession, message_ids: frozenset[UUID]) -> dict[UUID | None, _Addressed]:
    statement = (
        select(Message.id, Message.debtor_id, Message.contact_id, Message.contact_day)
        .where(Message.tenant_id == tenant_of(session), among(Message.id, message_ids))
        .limit(len(message_ids) + 1)
    )
    rows = await session.execute(statement)
    return {row.id: _Addressed(row.debtor_id, row.contact_id, row.contact_day) for row in rows}


def _on_its_day(judged: Mapping[UUID, _Judged], part: UUID) -> Answer:
    """The answer for a part of a message, which is made for one day: on another it joins that day's message."""
    one = judged.get(part)
    if one is None:
        return Drop("gone")
    answer = one.answer
    return Drop("day_passed") if isinstance(answer, Go) and one.case.contact_day != one.to.contact_day else answer


def _traced(judged: Mapping[UUID, _Judged], stopped: Mapping[UUID, Answer]) -> list[Traced]:
    """What was decided of parts that do not go, with the reason that only the gate knows where that is one."""
    return [
        Traced(judged[part].case, _explained(judged[part].decision, answer))
        for part, answer in stopped.items()
        if part in judged and not isinstance(answer, Go)
    ]


def _explained(decision: Decision, answer: Drop | Defer) -> Decision:
    if answer.code in decision.codes:
        return decision
    verdict = Verdict.DEFER if isinstance(answer, Defer) else Verdict.SKIP
    return replace(decision, verdict=verdict, blockers=(Blocker(answer.code, {}),))


async def _within_cap(session: TenantSession, answers: Answers, now: datetime) -> dict[UUID, Mapping[UUID, Answer]]:
    """Reserve this hour's budget for the messages that go; those beyond it wait for the next hour."""
    going = [key for key, parts in answers.items() if any(isinstance(answer, Go) for answer in parts.values())]
    granted = await reserve_budget(session, now, len(going)) if going else 0
    late = set(going[granted:])
    until = now.replace(minute=0, second=0, microsecond=0) + CAP_WAIT
    return {
        key: {
            part: Defer(until, "cap_reached") if key in late and isinstance(answer, Go) else answer
            for part, answer in parts.items()
        }
        for key, parts in answers.items()
    }


async def _reschedule(
    session: TenantSession, judged: Mapping[UUID, _Judged], stopped: Mapping[UUID, Answer], now: datetime
) -> None:
    """Send the parts that do not go back to the promoter, where time alone may change the verdict."""
    due: dict[UUID, datetime] = {}
    for part, answer in stopped.items():
        one = judged.get(part)
        if one is None or isinstance(answer, Go):
            continue
        look_at = answer.until if isinstance(answer, Defer) else one.decision.look_again_at
        if answer.code in _ANEW:
            look_at = now
        if look_at is not None:
            look_at = max(look_at, now + SOON)
            due[one.notice.course_id] = min(due.get(one.notice.course_id, look_at), look_at)
    await make_due(session, TICK, due.items())


async def _issued(session: TenantSession, parts: Sequence[UUID], sent_at: datetime, now: datetime) -> None:
    """Set what counts; a fact that arrived after the mark changed nothing, and the trace says so.

    A notice was issued when its message was sent, also when a person finds that out days later.
    """
    judged = await _judge(session, parts, now)
    overtaken = {part: one.answer for part, one in judged.items()}
    await keep(session, AFTER, _traced(judged, overtaken), now)
    for notice in (await _notices(session, parts)).values():
        if notice.state is not NoticeState.PLANNED:
            continue
        before = NoticeView.of(notice)
        notice.state, notice.issued_at, notice.version = NoticeState.ISSUED, sent_at, notice.version + 1
        emit(session, NoticeIssued(NoticeView.of(notice), before, now))


async def _withdrawn(session: TenantSession, parts: Sequence[UUID], code: str, now: datetime) -> None:
    for notice in (await _notices(session, parts)).values():
        if notice.state is not NoticeState.PLANNED:
            continue
        before = NoticeView.of(notice)
        notice.state, notice.code, notice.version = NoticeState.WITHDRAWN, code or None, notice.version + 1
        emit(session, NoticeWithdrawn(NoticeView.of(notice), before, now))
