"""The run: look at what is due now, decide, and write the notices, the messages that carry them and the trace."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from casework.tasks import open_task
from dunning import courses
from dunning.courses import TICK
from dunning.deciding import Blocker, Context, Decision, Verdict, decide, next_contact_at
from dunning.events import CourseExhausted, NoticePlanned
from dunning.gathering import EMAIL, Case, gather
from dunning.models import CourseState, Notice, NoticeState
from dunning.rules import step_at
from dunning.tracing import RUN, Traced, keep
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
    acting = [
        Planned(cases[key], decision, ids.new_id())
        for key, decision in decisions.items()
        if decision.verdict is Verdict.ACT
    ]
    carried = await _into_messages(session, acting, now)
    taken = [planned for planned in acting if carried[planned.notice_id] is not None]
    await _write_notices(session, taken, carried, now)
    for planned in acting:
        if carried[planned.notice_id] is None:
            decisions[planned.case.course.id] = _wait_a_day(planned, now)
    await keep(session, RUN, [Traced(cases[key], decision) for key, decision in decisions.items()], now)
    await _after(session, cases, decisions, now)


def _wait_a_day(planned: Planned, now: datetime) -> Decision:
    """This day's message to the recipient has left already: the step waits for the next day of contact."""
    case, index = planned.case, planned.decision.step_index or 0
    return replace(
        planned.decision,
        verdict=Verdict.DEFER,
        blockers=(Blocker("contacted_today", {"contact_day": case.contact_day.isoformat()}),),
        look_again_at=next_contact_at(Context(case.facts, case.policy, index, now)),
    )


async def _into_messages(
    session: TenantSession, acting: Sequence[Planned], now: datetime
) -> dict[UUID, UUID | None]:
    """Group steps by recipient into the day's message; a step whose day's message has left waits."""
    groups: dict[tuple[UUID, UUID, UUID], list[Planned]] = {}
    for planned in acting:
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
    messages = await outbox.plan(session, drafts, now)
    return {
        planned.notice_id: message_id
        for group, message_id in zip(groups.values(), messages, strict=True)
        for planned in group
    }


_COLUMNS: Final = (
    "tenant_id", "id", "version", "course_id", "instalment_id", "invoice_id", "debtor_id", "cycle", "step",
    "occurrence", "level", "state", "message_id", "planned_at",
)  # fmt: skip


async def _write_notices(
    session: TenantSession, taken: Sequence[Planned], carried: dict[UUID, UUID | None], now: datetime
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


def _planned(planned: Planned, message_id: UUID | None, now: datetime) -> NoticeView:
    course, decision = planned.case.course, planned.decision
    return NoticeView(
        id=ids.encode("ntc", planned.notice_id),
        version=1,
        course_id=ids.encode("crs", course.id),
        instalment_id=ids.encode("ins", course.instalment_id),
        invoice_id=ids.encode("inv", course.invoice_id),
        debtor_id=ids.encode("dbt", course.debtor_id),
        message_id=None if message_id is None else ids.encode("msg", message_id),
        cycle=course.cycle,
        step=decision.step or "",
        occurrence=1,
        level=decision.level,
        state=NoticeState.PLANNED.value,
        code=None,
        planned_at=now,
        issued_at=None,
    )


async def _after(
    session: TenantSession,
    cases: dict[UUID, Case],
    decisions: dict[UUID, Decision],
    now: datetime,
) -> None:
    """When each course is looked at again; a course that has said everything says so."""
    due: list[tuple[UUID, datetime]] = []
    for key, case in cases.items():
        look_at = _look_again_at(case, decisions[key], now)
        if look_at is not None:
            due.append((key, max(look_at, now + SOON)))
        elif decisions[key].codes == ("finished",) and case.course.state is CourseState.ACTIVE:
            await _exhausted(session, case, now)
    await make_due(session, TICK, due)


def _look_again_at(case: Case, decision: Decision, now: datetime) -> datetime | None:
    if decision.verdict is not Verdict.ACT or decision.step_index is None:
        return decision.look_again_at
    following = decision.step_index + 1
    if following >= len(case.policy.steps) or case.debt.due_on is None:
        return now + timedelta(days=case.policy.minimum_days_between)  # to say that all has been said
    return step_at(case.policy, following, case.debt.due_on, case.facts.creditor_zone)


async def _exhausted(session: TenantSession, case: Case, now: datetime) -> None:
    course = case.course
    before = CourseView.of(course)
    course.state, course.version = CourseState.ENDED, course.version + 1
    emit(session, CourseExhausted(CourseView.of(course), before, now))
    await open_task(
        session,
        kind="course_exhausted",
        subject_id=course.id,
        debtor_id=course.debtor_id,
        invoice_id=course.invoice_id,
        title="Every reminder has been sent and the invoice is still open: decide what comes next",
        detail=None,
        now=now,
    )
