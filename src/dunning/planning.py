"""The run: look at what is due now, decide, and write the notices, the messages that carry them and the trace."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from casework.tasks import NewTask, open_tasks
from dunning import courses
from dunning.courses import TICK
from dunning.deciding import Blocker, Context, Decision, Verdict, decide, next_contact_at
from dunning.events import CourseExhausted, NoticePlanned
from dunning.gathering import EMAIL, Case, gather
from dunning.models import Course, CourseState, Notice, NoticeState
from dunning.rules import step_at
from dunning.tracing import RUN, Traced, keep, summary
from dunning.views import CourseView, NoticeView
from kernel import ids
from messaging import outbox
from messaging.models import Purpose
from messaging.outbox import Draft
from receivables.locks import lock_debtors
from storage.bulk import insert_rows
from storage.clocks import make_due
from storage.events import emit
from storage.gate import Part
from storage.registry import ticks
from storage.session import TenantSession, tenant_of

SOON: Final = timedelta(minutes=1)  # nothing looks at itself again at the same instant
A_DAY: Final = timedelta(days=1)


class Planned(Struct, frozen=True):
    """A step to take: its case, the decision, the notice to be."""

    case: Case
    decision: Decision
    notice_id: UUID

    @property
    def recipient(self) -> tuple[UUID, UUID, UUID]:
        """Who writes to whom: what one message is made for."""
        contact = self.case.contact
        if contact is None:
            raise RuntimeError("a step without a recipient is never acted on")
        return self.case.debt.creditor_id, self.case.debt.debtor_id, contact.contact_id


@ticks(TICK)
async def plan(session: TenantSession, course_ids: Sequence[UUID], now: datetime) -> None:
    """Decide about courses that are due and write what follows; run twice, it writes nothing twice."""
    await lock_debtors(session, await courses.debtors_of(session, course_ids))
    cases = await gather(session, await courses.by_ids(session, course_ids, fresh=True), now)
    decisions = {key: decide(case.facts, case.policy, now) for key, case in cases.items()}
    for key, (case, decision) in (await _joining(session, cases, decisions, now)).items():
        cases[key], decisions[key] = case, decision
    acting = [
        Planned(cases[key], decision, ids.new_id())
        for key, decision in decisions.items()
        if decision.verdict is Verdict.ACT
    ]
    carried = await _into_messages(session, acting, now)
    await _write_notices(session, [planned for planned in acting if planned.notice_id in carried], carried, now)
    for planned in acting:
        if planned.notice_id not in carried:
            decisions[planned.case.course.id] = _wait_a_day(planned, now)
    await _ask_for_contacts(session, cases, decisions, now)
    await keep(session, RUN, [Traced(cases[key], decision) for key, decision in decisions.items()], now)
    await _after(session, cases, decisions, now)


async def _joining(
    session: TenantSession, cases: Mapping[UUID, Case], decisions: Mapping[UUID, Decision], now: datetime
) -> dict[UUID, tuple[Case, Decision]]:
    """Steps that wait for the next contact with a debtor who is written to now: they join, or would wait for ever.

    A debtor with a new step every day is written to on each first day that is allowed, at the hour of that step; what
    was put off looks again at an hour of its own, and would always find that day's message gone.
    """
    acting = [cases[key] for key, decision in decisions.items() if decision.verdict is Verdict.ACT]
    pairs = {(case.debt.creditor_id, case.debt.debtor_id) for case in acting}
    waiting = await courses.waiting(session, {debtor_id for _, debtor_id in pairs}, cases, until=now + A_DAY)
    found = await gather(session, waiting, now)
    decided = {key: (case, decide(case.facts, case.policy, now)) for key, case in found.items()}
    return {
        key: (case, decision)
        for key, (case, decision) in decided.items()
        if decision.verdict is Verdict.ACT and (case.debt.creditor_id, case.debt.debtor_id) in pairs
    }


def _wait_a_day(planned: Planned, now: datetime) -> Decision:
    """This day's message to the recipient has left already, or is full: the step waits for the next day of contact."""
    case, index = planned.case, planned.decision.step_index or 0
    return replace(
        planned.decision,
        verdict=Verdict.DEFER,
        blockers=(Blocker("contacted_today", {"contact_day": case.contact_day.isoformat()}),),
        look_again_at=next_contact_at(Context(case.facts, case.policy, index, now)),
    )


async def _into_messages(session: TenantSession, acting: Sequence[Planned], now: datetime) -> dict[UUID, UUID]:
    """Group steps by recipient into the day's message: which message carries each notice. Left out are those that wait.

    The gravest and oldest debts come first, where a message cannot hold them all.
    """
    groups: dict[tuple[UUID, UUID, UUID], list[Planned]] = {}
    for planned in sorted(acting, key=lambda each: (-each.decision.level, each.case.debt.due_on or date.max)):
        groups.setdefault(planned.recipient, []).append(planned)
    drafts = [
        Draft(
            creditor_id=creditor_id,
            debtor_id=debtor_id,
            contact_id=contact_id,
            channel=EMAIL,
            purpose=Purpose.DUNNING,
            contact_day=group[0].case.contact_day,
            level=max(planned.decision.level for planned in group),
            parts=tuple(Part(planned.notice_id, planned.case.course.instalment_id) for planned in group),
        )
        for (creditor_id, debtor_id, contact_id), group in groups.items()
    ]
    return await outbox.plan(session, drafts, now)


_COLUMNS: Final = (
    "tenant_id", "id", "version", "course_id", "instalment_id", "invoice_id", "debtor_id", "cycle", "step",
    "occurrence", "level", "state", "message_id", "planned_at",
)  # fmt: skip


async def _write_notices(
    session: TenantSession, taken: Sequence[Planned], carried: Mapping[UUID, UUID], now: datetime
) -> None:
    tenant_id = tenant_of(session)
    rows: list[tuple[object, ...]] = []
    for planned in taken:
        course, decision, message_id = planned.case.course, planned.decision, carried[planned.notice_id]
        rows.append(
            (
                tenant_id, planned.notice_id, 1, course.id, course.instalment_id, course.invoice_id, course.debtor_id,
                course.cycle, decision.step, 1, decision.level, NoticeState.PLANNED.value, message_id, now,
            )
        )  # fmt: skip
        emit(session, NoticePlanned(_planned(planned, message_id, now), None, now))
    await insert_rows(session, Notice, _COLUMNS, rows)


def _planned(planned: Planned, message_id: UUID, now: datetime) -> NoticeView:
    course, decision = planned.case.course, planned.decision
    return NoticeView(
        id=ids.encode("ntc", planned.notice_id),
        version=1,
        course_id=ids.encode("crs", course.id),
        instalment_id=ids.encode("ins", course.instalment_id),
        invoice_id=ids.encode("inv", course.invoice_id),
        debtor_id=ids.encode("dbt", course.debtor_id),
        message_id=ids.encode("msg", message_id),
        cycle=course.cycle,
        step=decision.step or "",
        occurrence=1,
        level=decision.level,
        state=NoticeState.PLANNED.value,
        code=None,
        planned_at=now,
        issued_at=None,
    )


async def _ask_for_contacts(
    session: TenantSession, cases: Mapping[UUID, Case], decisions: Mapping[UUID, Decision], now: datetime
) -> None:
    """A step whose day has come and that only lacks somebody to write to is a person's task, once for the debtor."""
    lacking = {
        case.debt.debtor_id
        for key, case in cases.items()
        if decisions[key].codes == ("no_contact",) and case.course.trace != summary(decisions[key])
    }
    tasks = [
        NewTask(
            kind="debtor_unreachable",
            subject_id=debtor_id,
            debtor_id=debtor_id,
            title="Nobody can be written to at this debtor: add a billing contact with an e-mail address",
        )
        for debtor_id in sorted(lacking)
    ]
    await open_tasks(session, tasks, now)


async def _after(
    session: TenantSession, cases: Mapping[UUID, Case], decisions: Mapping[UUID, Decision], now: datetime
) -> None:
    """When each course is looked at again; a course that has said everything says so."""
    due: list[tuple[UUID, datetime]] = []
    exhausted: list[Course] = []
    for key, case in cases.items():
        look_at = _look_again_at(case, decisions[key], now)
        if look_at is not None:
            due.append((key, max(look_at, now + SOON)))
        elif _has_said_all(case, decisions[key]):
            exhausted.append(case.course)
    await make_due(session, TICK, due)
    await _exhaust(session, exhausted, now)


def _has_said_all(case: Case, decision: Decision) -> bool:
    """Whether the last step was taken: a debt that came in after every step has been told nothing."""
    said = any(said.cycle == case.course.cycle for said in case.facts.said)
    return decision.codes == ("finished",) and case.course.state is CourseState.ACTIVE and said


def _look_again_at(case: Case, decision: Decision, now: datetime) -> datetime | None:
    if decision.verdict is not Verdict.ACT or decision.step_index is None:
        return decision.look_again_at
    following = decision.step_index + 1
    if following >= len(case.policy.steps) or case.debt.due_on is None:
        return now + timedelta(days=case.policy.minimum_days_between)  # to say that all has been said
    return step_at(case.policy, following, case.debt.due_on, case.facts.creditor_zone)


async def _exhaust(session: TenantSession, exhausted: Sequence[Course], now: datetime) -> None:
    for course in exhausted:
        before = CourseView.of(course)
        course.state, course.version = CourseState.ENDED, course.version + 1
        emit(session, CourseExhausted(CourseView.of(course), before, now))
    tasks = [
        NewTask(
            kind="course_exhausted",
            subject_id=course.id,
            debtor_id=course.debtor_id,
            invoice_id=course.invoice_id,
            title="Every reminder has been sent and the invoice is still open: decide what comes next",
        )
        for course in exhausted
    ]
    await open_tasks(session, tasks, now)
