"""Courses: a policy version applied to each instalment, from first sight until it is settled."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from casework.tasks import open_task
from dunning.errors import CourseNotFound, CourseNotInReview
from dunning.events import CourseBegun, CourseReleased, CourseRestarted
from dunning.models import Course, CourseState
from dunning.policies import bodies, default_version
from dunning.rules import PolicyBody, enter, step_at
from dunning.views import CourseView
from kernel import ids
from kernel.clock import day_of
from receivables.facts import DebtFacts, debt_facts
from receivables.locks import lock_debtors
from storage.bulk import among, insert_rows
from storage.clocks import forget_due, make_due
from storage.events import emit
from storage.session import TenantSession, tenant_of

TICK: Final = "dunning.course"

_COLUMNS: Final = (
    "tenant_id", "id", "version", "instalment_id", "invoice_id", "debtor_id", "creditor_id", "policy_version_id",
    "state", "cycle", "from_step", "first_seen_at",
)  # fmt: skip


async def begin(session: TenantSession, instalment_ids: Iterable[UUID], now: datetime) -> None:
    """Begin a course for each instalment that has none; run twice, it changes nothing more."""
    wanted = await _without_course(session, list(instalment_ids))
    facts = await debt_facts(session, wanted)
    if not facts:
        return
    version = await default_version(session, now)
    body = (await bodies(session, [version.id]))[version.id]
    rows: list[tuple[object, ...]] = []
    due: list[tuple[UUID, datetime]] = []
    reviewed: set[UUID] = set()
    for fact in facts.values():
        course = _entering(session, fact, version.id, body, now)
        rows.append(tuple(getattr(course, column) for column in _COLUMNS))
        emit(session, CourseBegun(CourseView.of(course), None, now))
        if course.state is CourseState.REVIEW:
            reviewed.add(fact.creditor_id)
        elif fact.due_on is not None:
            due.append((course.id, _first_look(fact, body, course.from_step, now)))
    await insert_rows(session, Course, _COLUMNS, rows)
    await make_due(session, TICK, due)
    for creditor_id in sorted(reviewed):
        await open_task(
            session,
            kind="review_old_debts",
            subject_id=creditor_id,
            debtor_id=None,
            title="Old debts wait for your review before anything is sent",
            detail=None,
            now=now,
        )


async def _without_course(session: TenantSession, instalment_ids: list[UUID]) -> list[UUID]:
    rows = await session.execute(_WITHOUT, {"tenant_id": tenant_of(session), "ids": instalment_ids})
    return list(rows.scalars())


_WITHOUT: Final = text(  # bounded: by the instalments asked for
    "select u.id from unnest(cast(:ids as uuid[])) as u(id) where not exists"
    " (select from app.course c where c.tenant_id = :tenant_id and c.instalment_id = u.id)"
)


def _entering(
    session: TenantSession, fact: DebtFacts, version_id: UUID, body: PolicyBody, now: datetime
) -> Course:
    entry = None if fact.due_on is None else enter(body, fact.due_on, day_of(now, fact.creditor_zone))
    return Course(
        tenant_id=tenant_of(session),
        id=ids.new_id(),
        version=1,
        instalment_id=fact.instalment_id,
        invoice_id=fact.invoice_id,
        debtor_id=fact.debtor_id,
        creditor_id=fact.creditor_id,
        policy_version_id=version_id,
        state=CourseState.REVIEW if entry is not None and entry.review else CourseState.ACTIVE,
        cycle=1,
        from_step=0 if entry is None else entry.from_step,
        first_seen_at=now,
    )


def _first_look(fact: DebtFacts, body: PolicyBody, from_step: int, now: datetime) -> datetime:
    if from_step >= len(body.steps) or fact.due_on is None:
        return now
    return max(now, step_at(body, from_step, fact.due_on, fact.creditor_zone))


async def release(session: TenantSession, course_ids: Sequence[UUID], now: datetime) -> list[CourseView]:
    """Let reviewed debts be chased from now on. Raises CourseNotFound, CourseNotInReview."""
    rows = await _lock(session, course_ids)
    views: list[CourseView] = []
    for row in rows:
        if row.state is not CourseState.REVIEW:
            raise CourseNotInReview
        before = CourseView.of(row)
        row.state, row.version = CourseState.ACTIVE, row.version + 1
        views.append(CourseView.of(row))
        emit(session, CourseReleased(views[-1], before, now))
    await make_due(session, TICK, [(row.id, now) for row in rows])
    return views


async def _lock(session: TenantSession, course_ids: Sequence[UUID]) -> list[Course]:
    rows = await by_ids(session, course_ids)
    if len(rows) != len(set(course_ids)):
        raise CourseNotFound
    await lock_debtors(session, [row.debtor_id for row in rows.values()])
    return list((await by_ids(session, course_ids, fresh=True)).values())


async def by_ids(session: TenantSession, course_ids: Iterable[UUID], *, fresh: bool = False) -> dict[UUID, Course]:
    """Courses by id, in the order of their ids."""
    wanted = sorted(set(course_ids))
    statement = (
        select(Course)
        .where(Course.tenant_id == tenant_of(session), among(Course.id, wanted))
        .order_by(Course.id)
        .limit(len(wanted) + 1)
        .execution_options(populate_existing=fresh)
    )
    return {row.id: row for row in (await session.execute(statement)).scalars()}


async def debtors_of(session: TenantSession, course_ids: Iterable[UUID]) -> set[UUID]:
    """Whom courses chase: the debtors to lock before anything of them is read."""
    rows = await session.execute(_DEBTORS, {"tenant_id": tenant_of(session), "ids": list(course_ids)})
    return set(rows.scalars())


_DEBTORS: Final = text(  # bounded: by the courses asked for
    "select distinct debtor_id from app.course where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))"
)


async def of_instalments(session: TenantSession, instalment_ids: Iterable[UUID]) -> dict[UUID, Course]:
    """Courses by instalment."""
    wanted = sorted(set(instalment_ids))
    statement = (
        select(Course)
        .where(Course.tenant_id == tenant_of(session), among(Course.instalment_id, wanted))
        .limit(len(wanted) + 1)
    )
    return {row.instalment_id: row for row in (await session.execute(statement)).scalars()}


async def look_again(session: TenantSession, now: datetime, *, debtors: Iterable[UUID] | None = None) -> None:
    """Look at the debtors' courses now (or at every one of the tenant); twice at once is once."""
    values = {
        "tenant_id": tenant_of(session), "now": now, "kind": TICK,
        "debtors": None if debtors is None else sorted(set(debtors)),
    }  # fmt: skip
    await session.execute(_LOOK_AGAIN, values)


# Also courses of debtors that were merged into, or away from, the one that changed.
_LOOK_AGAIN: Final = text("""
insert into app.due (tenant_id, kind, object_id, due_at, clocked)
select c.tenant_id, :kind, c.id, :now, exists (select from app.business_clock b where b.tenant_id = :tenant_id)
from app.course c
where c.tenant_id = :tenant_id and c.state = 'active'
  and (cast(:debtors as uuid[]) is null or c.debtor_id = any(cast(:debtors as uuid[])))
order by c.id
on conflict (tenant_id, kind, object_id) do update set due_at = least(app.due.due_at, excluded.due_at)
""")


async def restart(session: TenantSession, invoice_ids: Sequence[UUID], now: datetime) -> None:
    """A settled invoice has reopened: its open instalments begin a new cycle at the level that had been reached."""
    statement = (  # bounded: by the invoices' instalments
        select(Course).where(Course.tenant_id == tenant_of(session), Course.invoice_id.in_(invoice_ids)).order_by(Course.id)
    )
    rows = list((await session.execute(statement)).scalars())
    facts = await debt_facts(session, [row.instalment_id for row in rows])
    reached = await _reached(session, [row.instalment_id for row in rows])
    rules = await bodies(session, {row.policy_version_id for row in rows})
    for row in rows:
        fact = facts.get(row.instalment_id)
        if fact is None or fact.balance_minor == 0:
            continue
        before = CourseView.of(row)
        row.cycle, row.version = row.cycle + 1, row.version + 1
        keys = [step.key for step in rules[row.policy_version_id].steps]
        said = reached.get(row.instalment_id)
        row.from_step = keys.index(said) if said in keys else row.from_step
        if row.state is CourseState.ENDED:
            row.state = CourseState.ACTIVE
        emit(session, CourseRestarted(CourseView.of(row), before, now))
    await make_due(session, TICK, [(row.id, now) for row in rows if row.state is CourseState.ACTIVE])


async def _reached(session: TenantSession, instalment_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The highest step that was said of each instalment in any cycle."""
    values = {"tenant_id": tenant_of(session), "ids": list(instalment_ids)}
    return {row.instalment_id: row.step for row in await session.execute(_REACHED, values)}


_REACHED: Final = text(  # bounded: by the instalments asked for
    "select distinct on (instalment_id) instalment_id, step from app.notice"
    " where tenant_id = :tenant_id and instalment_id = any(cast(:ids as uuid[])) and state = 'issued'"
    " order by instalment_id, level desc, id desc"
)


async def stop_waiting(session: TenantSession, course_ids: Iterable[UUID]) -> None:
    """Nothing by time alone: what changes the verdict is an event."""
    await forget_due(session, TICK, course_ids)
