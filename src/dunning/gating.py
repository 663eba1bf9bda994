"""The gate: decide again on fresh facts, part by part, in the transaction that lets a message leave.

It fills `storage.gate.Gate`. The debtors are locked by the caller, so that no fact can arrive between the answer and
the mark; mode, switches and policy rows are read FOR SHARE.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select

from dunning import courses
from dunning.courses import TICK
from dunning.deciding import Decision, Verdict, decide
from dunning.events import NoticeIssued, NoticeWithdrawn
from dunning.gathering import Case, gather
from dunning.models import Notice, NoticeState
from dunning.tracing import AFTER, GATE, Traced, keep
from dunning.views import NoticeView
from storage.clocks import make_due
from storage.events import emit
from storage.gate import Answer, Answers, Defer, Drop, Go, Held
from storage.session import TenantSession, tenant_of
from tenants.switches import reserve_budget

CAP_WAIT: Final = timedelta(hours=1)
RETRY_WAIT: Final = timedelta(hours=1)


class DunningGate:
    """Decides what may leave, by the same function that planned it."""

    async def prepare(self, tenant_id: UUID, held: Sequence[UUID]) -> None:
        """Connectors to come refresh from their source here; documents and pushes have nothing newer to ask."""
        del tenant_id, held

    async def permit(self, session: TenantSession, held: Sequence[Held], now: datetime) -> Answers:
        """Answer for each part: it goes, is dropped, or comes back to the promoter."""
        notices = await _notices(session, [part.part_id for message in held for part in message.parts])
        cases = await _cases(session, notices, now)
        decisions = {key: decide(case.facts, case.policy, now) for key, case in cases.items()}
        answers = {
            message.id: {
                part.part_id: _answer(notices.get(part.part_id), cases, decisions, message)
                for part in message.parts
            }
            for message in held
        }
        answers = await _within_cap(session, answers, now)
        stopped = [
            Traced(cases[notices[part].course_id], decisions[notices[part].course_id])
            for of_message in answers.values()
            for part, answer in of_message.items()
            if not isinstance(answer, Go) and part in notices and notices[part].course_id in cases
        ]
        await keep(session, GATE, stopped, now)
        await _reschedule(session, notices, answers, decisions, now)
        return answers

    async def concluded(
        self, session: TenantSession, outcome: str, parts: Sequence[UUID], code: str, now: datetime
    ) -> None:
        """Only what was sent is issued; what was not is withdrawn, and its course is looked at again."""
        notices = await _notices(session, parts)
        if outcome == "sent":
            await _issued(session, notices, now)
        elif outcome in {"withdrawn", "failed"}:
            await _withdrawn(session, notices, code, now)
        if outcome == "failed":
            await make_due(session, TICK, [(notice.course_id, now + RETRY_WAIT) for notice in notices.values()])


async def _notices(session: TenantSession, notice_ids: Sequence[UUID]) -> dict[UUID, Notice]:
    statement = (
        select(Notice)
        .where(Notice.tenant_id == tenant_of(session), Notice.id.in_(notice_ids))
        .order_by(Notice.id)
        .limit(len(notice_ids) + 1)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in (await session.execute(statement)).scalars()}


async def _cases(session: TenantSession, notices: Mapping[UUID, Notice], now: datetime) -> dict[UUID, Case]:
    """Fresh cases by course; the notices in question do not count as said, since they are being judged."""
    rows = await courses.by_ids(session, [notice.course_id for notice in notices.values()], fresh=True)
    return await gather(session, rows, now, ignoring=frozenset(notices))


def _answer(
    notice: Notice | None, cases: Mapping[UUID, Case], decisions: Mapping[UUID, Decision], message: Held
) -> Answer:
    case = None if notice is None else cases.get(notice.course_id)
    if notice is None or case is None or notice.state is not NoticeState.PLANNED:
        return Drop("gone")
    decision = decisions[notice.course_id]
    if notice.cycle != case.course.cycle:
        return Drop("superseded")
    if decision.verdict is Verdict.DEFER and decision.look_again_at is not None:
        return Defer(decision.look_again_at, decision.codes[0])
    if decision.verdict is not Verdict.ACT:
        return Drop(decision.codes[0])
    if decision.step != notice.step:  # a later step's day has come meanwhile
        return Drop("superseded")
    if case.contact is None or case.contact.contact_id != message.contact_id:
        return Drop("contact_changed")
    if case.debt.debtor_id != message.debtor_id:
        return Drop("debtor_changed")
    return Go()


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
    session: TenantSession,
    notices: Mapping[UUID, Notice],
    answers: Answers,
    decisions: Mapping[UUID, Decision],
    now: datetime,
) -> None:
    """Send the parts that do not go back to the promoter, where time alone may change the verdict."""
    due: list[tuple[UUID, datetime]] = []
    for of_message in answers.values():
        for part, answer in of_message.items():
            notice = notices.get(part)
            if notice is None or isinstance(answer, Go):
                continue
            if isinstance(answer, Defer):
                due.append((notice.course_id, max(answer.until, now + timedelta(minutes=1))))
                continue
            decision = decisions.get(notice.course_id)
            look_at = None if decision is None else decision.look_again_at
            if answer.code in {"superseded", "contact_changed", "debtor_changed"}:
                look_at = now + timedelta(minutes=1)
            if look_at is not None:
                due.append((notice.course_id, look_at))
    await make_due(session, TICK, dict(due).items())


async def _issued(session: TenantSession, notices: Mapping[UUID, Notice], now: datetime) -> None:
    """Set what counts; a fact that arrived after the mark changed nothing, and the trace says so."""
    for notice in notices.values():
        before = NoticeView.of(notice)
        notice.state, notice.issued_at, notice.version = NoticeState.ISSUED, now, notice.version + 1
        emit(session, NoticeIssued(NoticeView.of(notice), before, now))
    cases = await _cases(session, notices, now)
    overtaken = [
        Traced(case, decision)
        for case in cases.values()
        if (decision := decide(case.facts, case.policy, now)).verdict in {Verdict.HOLD, Verdict.SKIP}
        and decision.codes != ("finished",)
    ]
    await keep(session, AFTER, overtaken, now)


async def _withdrawn(session: TenantSession, notices: Mapping[UUID, Notice], code: str, now: datetime) -> None:
    for notice in notices.values():
        if notice.state is not NoticeState.PLANNED:
            continue
        before = NoticeView.of(notice)
        notice.state, notice.code, notice.version = NoticeState.WITHDRAWN, code or None, notice.version + 1
        emit(session, NoticeWithdrawn(NoticeView.of(notice), before, now))
