"""Courses: a policy version applied to each instalment, from first sight until it is settled."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from casework.tasks import NewTask, open_tasks
from dunning.errors import CourseNotFound, CourseNotInReview
from dunning.events import CourseBegun, CourseReleased, CourseRestarted, CourseWithheld
from dunning.models import Course, CourseState
from dunning.policies import bodies, default_version
from dunning.rules import PolicyBody, enter, step_at
from dunning.views import CourseView
from kernel import ids
from kernel.clock import day_of
from receivables.facts import DebtFacts, debt_facts
from receivables.locks import lock_debtors
from storage.bulk import among, insert_rows
from storage.clocks import make_due
from storage.events import emit
from storage.session import TenantSession, tenant_of

TICK: Final = "dunning.course"
MAX_WAITING: Final = 2_000  # of the debtors of one batch: the others are looked at in their own time

_COLUMNS: Final = (
    "tenant_id", "id", "version", "instalment_id", "invoice_id", "debtor_id", "creditor_id", "policy_version_id",
    "state", "cycle", "from_step", "first_seen_at",
)  # fmt: skip


async def begin_courses(session: TenantSession, instalment_ids: Iterable[UUID], now: datetime) -> None:
    """Begin a course for each instalment that has none; run twice, it changes nothing more."""
    asked = list(instalment_ids)
    await lock_debtors(session, await _debtors_owing(session, asked))  # two at once: the second finds the course
    facts = await debt_facts(session, await _without_course(session, asked))
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
            reviewed |= {fact.creditor_id} if fact.balance_minor > 0 else set()
        elif fact.due_on is not None and course.from_step < len(body.steps):
            due.append((course.id, _first_look(fact, body, course.from_step, now)))
    await insert_rows(session, Course, _COLUMNS, rows)
    await make_due(session, TICK, due)
    await _ask_for_review(session, reviewed, now)


async def _ask_for_review(session: TenantSession, creditor_ids: Iterable[UUID], now: datetime) -> None:
    """One task for a creditor, however many old debts have come."""
    tasks = [
        NewTask(
            kind="creditor_old_debts",
            subject_id=creditor_id,
            title="Old debts wait for your review before anything is sent",
        )
        for creditor_id in sorted(creditor_ids)
    ]
    await open_tasks(session, tasks, now)


async def _debtors_owing(session: TenantSession, instalment_ids: Sequence[UUID]) -> set[UUID]:
    rows = await session.execute(_OWING, {"tenant_id": tenant_of(session), "ids": list(instalment_ids)})
    return set(rows.scalars())


_OWING: Final = text(  # bounded: by the instalments asked for
    "select distinct debtor_id from app.instalment where tenant_id = :tenant_id and id = any(cast(:ids as uuid[]))"
)


async def _without_course(session: TenantSession, instalment_ids: list[UUID]) -> list[UUID]:
    rows = await session.execute(_WITHOUT, {"tenant_id": tenant_of(session), "ids": instalment_ids})
    return list(rows.scalars())


_WITHOUT: Final = text(  # bounded: by the instalments asked for
    "select u.id from unnest(cast(:ids as uuid[])) as u(id) where not exists"
    " (select from app.course c where c.tenant_id = :tenant_id and c.instalment_id = u.id)"
)


def _entering(session: TenantSession, fact: DebtFacts, version_id: UUID, body: PolicyBody, now: datetime) -> Course:
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
    if fact.due_on is None:
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


# Also courses of debtors that are one with the one that changed: merged into it, or into the same one.
_LOOK_AGAIN: Final = text("""
with recursive up as (
  select d.id, d.merged_into_id, 1 as depth
  from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:debtors as uuid[]))
  union all
  select d.id, d.merged_into_id, up.depth + 1
  from up join app.debtor d on d.tenant_id = :tenant_id and d.id = up.merged_into_id
  where up.depth < 32
), member as (
  select id from up where merged_into_id is null
  union
  select d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
insert into app.due (tenant_id, kind, object_id, due_at, clocked)
select c.tenant_id, :kind, c.id, :now, exists (select from app.business_clock b where b.tenant_id = :tenant_id)
from app.course c
where c.tenant_id = :tenant_id and c.state = 'active'
  and (cast(:debtors as uuid[]) is null or c.debtor_id in (select id from member))
order by c.id
on conflict (tenant_id, kind, object_id) do update set due_at = least(app.due.due_at, excluded.due_at)
""")


async def restart(session: TenantSession, instalment_ids: Iterable[UUID], now: datetime) -> None:
    """Settled instalments have reopened: those still open begin a new cycle at the level that had been reached."""
    asked = await of_instalments(session, instalment_ids)
    await lock_debtors(session, [row.debtor_id for row in asked.values()])
    rows = list((await by_ids(session, [row.id for row in asked.values()], fresh=True)).values())
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


async def redate(session: TenantSession, known_before: Mapping[UUID, bool], now: datetime) -> None:
    """Due dates have come or changed (whether each had one before): a debt that was told nothing enters by the new one.

    One that had no date is seen for the first time now, and may be old. One that had is known: it waits for a person
    only when it turns out to be older than any policy chases by itself, and no longer when it is not old at all.
    """
    asked = await of_instalments(session, known_before)
    await lock_debtors(session, [row.debtor_id for row in asked.values()])
    rows = list((await by_ids(session, [row.id for row in asked.values()], fresh=True)).values())
    facts = await debt_facts(session, [row.instalment_id for row in rows])
    told = await _reached(session, [row.instalment_id for row in rows])
    rules = await bodies(session, {row.policy_version_id for row in rows})
    withheld: set[UUID] = set()
    for row in rows:
        fact = facts.get(row.instalment_id)
        if fact is None or fact.due_on is None or row.instalment_id in told or row.state is CourseState.ENDED:
            continue
        body, today = rules[row.policy_version_id], day_of(now, fact.creditor_zone)
        entry = enter(body, fact.due_on, today)
        first_seen, too_old = not known_before[row.instalment_id], (today - fact.due_on).days > body.max_age_days
        if row.state is CourseState.ACTIVE and entry.review and (first_seen or too_old):
            _turn(session, row, CourseState.REVIEW, CourseWithheld, now)
            withheld |= {row.creditor_id} if fact.balance_minor > 0 else set()
        elif row.state is CourseState.REVIEW and not entry.review:
            _turn(session, row, CourseState.ACTIVE, CourseReleased, now)
        if first_seen or row.from_step > entry.from_step:
            row.from_step = entry.from_step
    await make_due(session, TICK, [(row.id, now) for row in rows if row.state is CourseState.ACTIVE])
    await _ask_for_review(session, withheld, now)


def _turn(
    session: TenantSession,
    row: Course,
    state: CourseState,
    kind: type[CourseReleased] | type[CourseWithheld],
    now: datetime,
) -> None:
    before = CourseView.of(row)
    row.state, row.version = state, row.version + 1
    emit(session, kind(CourseView.of(row), before, now))


async def _reached(session: TenantSession, instalment_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The highest step that was said of each instalment in any cycle."""
    values = {"tenant_id": tenant_of(session), "ids": list(instalment_ids)}
    return {row.instalment_id: row.step for row in await session.execute(_REACHED, values)}


_REACHED: Final = text(  # bounded: by the instalments asked for
    "select distinct on (instalment_id) instalment_id, step from app.notice"
    " where tenant_id = :tenant_id and instalment_id = any(cast(:ids as uuid[])) and state = 'issued'"
    " order by instalment_id, level desc, id desc"
)


async def waiting(
    session: TenantSession, debtor_ids: Iterable[UUID], besides: Iterable[UUID], *, until: datetime
) -> dict[UUID, Course]:
    """Active courses of these debtors, and of who was merged into them, that are looked at until an instant."""
    values = {
        "tenant_id": tenant_of(session), "kind": TICK, "debtors": list(debtor_ids), "besides": list(besides),
        "until": until, "rows": MAX_WAITING,
    }  # fmt: skip
    if not values["debtors"]:
        return {}
    return await by_ids(session, (await session.execute(_WAITING, values)).scalars(), fresh=True)


_WAITING: Final = text("""
with recursive member as (
  select d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:debtors as uuid[]))
  union
  select d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
select c.id from member m
join app.course c on c.tenant_id = :tenant_id and c.debtor_id = m.id and c.state = 'active'
where c.id <> all(cast(:besides as uuid[]))
  and (exists (select from app.due d where d.tenant_id = :tenant_id and d.kind = :kind and d.object_id = c.id
               and d.due_at <= :until)
       or exists (select from app.tick t where t.tenant_id = :tenant_id and t.object_id = c.id and t.kind = :kind))
order by c.id limit :rows
""")
