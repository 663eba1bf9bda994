"""What happens next with an invoice, when, and why not now: the same decision, asked without writing anything."""

from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from dunning import courses
from dunning.deciding import Blocker, Decision, Verdict, decide
from dunning.gathering import Case, gather
from dunning.models import DecisionRow, Notice
from dunning.rules import step_at, step_day
from dunning.views import NoticeView
from kernel import ids
from receivables.access import instalments
from storage.session import TenantSession, tenant_of

MAX_TRACE: Final = 100


class StepView(Struct, frozen=True, kw_only=True):
    """A step of the policy as it applies to this instalment."""

    key: str
    level: int
    tone: str
    falls_on: date | None
    taken: bool


class TraceView(Struct, frozen=True, kw_only=True):
    """A decision as it was made: by the run, by the gate, or after a message had been dispatched."""

    decided_at: datetime
    made_by: str
    verdict: str
    step: str | None
    blockers: list[str]


class InstalmentDunningView(Struct, frozen=True, kw_only=True):
    """One instalment: what would be decided now, what comes next, what has been said."""

    instalment_id: str
    course_id: str
    course_state: str
    policy_version_id: str
    cycle: int
    due_on: date | None
    balance_minor: int
    currency: str
    verdict: str
    step: str | None
    level: int
    blockers: list[Blocker]
    next_at: datetime | None
    steps: list[StepView]
    notices: list[NoticeView]
    trace: list[TraceView]


class DunningView(Struct, frozen=True, kw_only=True):
    """The dunning of an invoice at an instant of the tenant's clock."""

    invoice_id: str
    at: datetime
    instalments: list[InstalmentDunningView]


async def explain(session: TenantSession, invoice_id: UUID, now: datetime) -> DunningView:
    """Answer for every instalment of an invoice that the caller has loaded."""
    lines = (await instalments(session, [invoice_id]))[invoice_id]
    rows = await courses.of_instalments(session, [line.id for line in lines])
    cases = await gather(session, {row.id: row for row in rows.values()}, now)
    notices = await _notices(session, invoice_id)
    views = [
        _view(case, decide(case.facts, case.policy, now), notices, await _trace(session, case.course.instalment_id))
        for case in sorted(cases.values(), key=lambda case: case.debt.place)
    ]
    return DunningView(invoice_id=ids.encode("inv", invoice_id), at=now, instalments=views)


async def _notices(session: TenantSession, invoice_id: UUID) -> list[Notice]:
    statement = (
        select(Notice)
        .where(Notice.tenant_id == tenant_of(session), Notice.invoice_id == invoice_id)
        .order_by(Notice.id)
        .limit(1_000)
    )
    return list((await session.execute(statement)).scalars())


async def _trace(session: TenantSession, instalment_id: UUID) -> list[TraceView]:
    statement = (
        select(DecisionRow)
        .where(DecisionRow.tenant_id == tenant_of(session), DecisionRow.instalment_id == instalment_id)
        .order_by(DecisionRow.id.desc())
        .limit(MAX_TRACE)
    )
    return [
        TraceView(
            decided_at=row.decided_at,
            made_by=row.made_by,
            verdict=row.verdict,
            step=row.step,
            blockers=row.blockers.split(),
        )
        for row in (await session.execute(statement)).scalars()
    ]


def _view(case: Case, decision: Decision, notices: list[Notice], trace: list[TraceView]) -> InstalmentDunningView:
    course, debt = case.course, case.debt
    own = [notice for notice in notices if notice.instalment_id == course.instalment_id]
    taken = {notice.step for notice in own if notice.state != "withdrawn" and notice.cycle == course.cycle}
    return InstalmentDunningView(
        instalment_id=ids.encode("ins", course.instalment_id),
        course_id=ids.encode("crs", course.id),
        course_state=str(course.state),
        policy_version_id=ids.encode("plv", course.policy_version_id),
        cycle=course.cycle,
        due_on=debt.due_on,
        balance_minor=debt.balance_minor,
        currency=debt.currency,
        verdict=decision.verdict.value,
        step=decision.step,
        level=decision.level,
        blockers=list(decision.blockers),
        next_at=_next_at(case, decision),
        steps=[
            StepView(
                key=step.key,
                level=case.policy.level_of(place),
                tone=step.tone.value,
                falls_on=None if debt.due_on is None else step_day(case.policy, place, debt.due_on),
                taken=step.key in taken,
            )
            for place, step in enumerate(case.policy.steps)
        ],
        notices=[NoticeView.of(notice) for notice in own],
        trace=trace,
    )


def _next_at(case: Case, decision: Decision) -> datetime | None:
    """When the step in question may be taken, as far as time alone tells."""
    if decision.verdict is Verdict.ACT and decision.step_index is not None and case.debt.due_on is not None:
        return step_at(case.policy, decision.step_index, case.debt.due_on, case.facts.creditor_zone)
    return decision.look_again_at
