"""Gather the facts of many decisions at once: a constant number of queries, whatever the number of debts."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from billing_connectors.sources.freshness import stale
from casework.facts import Held, active_holds, handling_of
from casework.models import HandlingKind
from dunning.deciding import Facts, Said
from dunning.models import Course, CourseState
from dunning.policies import bodies
from dunning.rules import PolicyBody
from kernel.clock import day_of
from messaging.opt_outs import closed
from receivables.facts import BillingContact, DebtFacts, billing_contacts, debt_facts
from storage.session import TenantSession, tenant_of
from tenants.modes import mode_for_share
from tenants.switches import stopped_scope

EMAIL: Final = "email"


class Case(Struct, frozen=True):
    """One course with everything that its decision rests on."""

    course: Course
    debt: DebtFacts
    policy: PolicyBody
    facts: Facts
    contact: BillingContact | None  # who would be written to
    contact_day: date  # in the debtor's zone


async def gather(
    session: TenantSession,
    courses: Mapping[UUID, Course],
    now: datetime,
    *,
    ignoring: frozenset[UUID] = frozenset(),
    besides: frozenset[UUID] = frozenset(),
    last_look: bool = False,
) -> dict[UUID, Case]:
    """The case of each course whose debt exists.

    `ignoring` leaves out notices that are about to be judged again, `besides` the messages that carry them. Only the
    last look before something leaves asks how fresh the debts are: until then their source can still be asked.
    """
    if not courses:
        return {}
    debts = await debt_facts(session, [course.instalment_id for course in courses.values()])
    live = {key: course for key, course in courses.items() if course.instalment_id in debts}
    rules = await bodies(session, {course.policy_version_id for course in live.values()}, share=True)
    debtors = sorted({debt.debtor_id for debt in debts.values()})
    mode = str(await mode_for_share(session))
    stopped = await stopped_scope(session, EMAIL)
    contacts = await billing_contacts(session, debtors)
    shut = await closed(session, [contact.contact_id for all_ in contacts.values() for contact in all_], EMAIL)
    holds = await active_holds(session, debts.values(), now)
    handling = await handling_of(session, debts.values())
    said = await _said(session, [course.instalment_id for course in live.values()], ignoring)
    contacted = await _contacted(session, debtors, besides)
    old = await stale(session, {debt.invoice_id for debt in debts.values()}) if last_look else []
    too_old = {each.invoice_id for each in old}
    cases: dict[UUID, Case] = {}
    for key, course in live.items():
        debt = debts[course.instalment_id]
        contact = _recipient(contacts.get(debt.debtor_id, ()), shut)
        zone = _zone(contact, debt)
        facts = _facts(
            course, debt, holds.get(debt.instalment_id, Held()),
            mode=mode,
            stopped=() if stopped is None else (stopped,),
            contact=contact,
            shut=shut,
            outsourced=handling[debt.instalment_id] is HandlingKind.OUTSOURCED,
            zone=zone,
            fresh=debt.invoice_id not in too_old,
            said=tuple(
                Said(row.step, row.cycle, row.state, day_of(row.planned_at, zone))
                for row in said.get(course.instalment_id, ())
            ),
            contacted_on=contacted.get((debt.creditor_id, debt.debtor_id)),
        )  # fmt: skip
        cases[key] = Case(course, debt, rules[course.policy_version_id], facts, contact, day_of(now, zone))
    return cases


def _recipient(contacts: Sequence[BillingContact], shut: set[UUID]) -> BillingContact | None:
    """The first billing contact with an address that has not closed the channel; else the first that has closed it."""
    open_ = [contact for contact in contacts if contact.contact_id not in shut]
    return next(iter(open_ or contacts), None)


def _zone(contact: BillingContact | None, debt: DebtFacts) -> str:
    return (contact.zone if contact is not None else None) or debt.debtor_zone or debt.creditor_zone


def _facts(
    course: Course,
    debt: DebtFacts,
    holds: Held,
    *,
    mode: str,
    stopped: tuple[str, ...],
    contact: BillingContact | None,
    shut: set[UUID],
    outsourced: bool,
    zone: str,
    fresh: bool,
    said: tuple[Said, ...],
    contacted_on: date | None,
) -> Facts:
    return Facts(
        document=debt.document.value,
        due_on=debt.due_on,
        balance_minor=debt.balance_minor,
        currency=debt.currency,
        held_minor=holds.amount_minor,
        unapplied_minor=debt.unapplied_minor,
        in_process_minor=debt.provisional_minor,
        direct_debit_on=debt.direct_debit_on,
        insolvent=debt.insolvent_on is not None,
        reachable=contact is not None,
        opted_out=contact is not None and contact.contact_id in shut,
        holds=holds.reasons,
        outsourced=outsourced,
        mode=mode,
        stopped=stopped,
        in_review=course.state is CourseState.REVIEW,
        creditor_zone=debt.creditor_zone,
        debtor_zone=zone,
        fresh=fresh,
        cycle=course.cycle,
        from_step=course.from_step,
        seen_on=day_of(course.first_seen_at, debt.creditor_zone),
        said=said,
        contacted_on=contacted_on,
    )


class _Planned(Struct, frozen=True):
    """A notice that stands, as its row has it."""

    step: str
    cycle: int
    state: str
    planned_at: datetime


async def _said(
    session: TenantSession, instalment_ids: Sequence[UUID], ignoring: frozenset[UUID]
) -> dict[UUID, list[_Planned]]:
    found: dict[UUID, list[_Planned]] = {}
    for row in await session.execute(_SAID, {"tenant_id": tenant_of(session), "ids": list(instalment_ids)}):
        if row.id not in ignoring:
            planned = _Planned(row.step, row.cycle, row.state, row.planned_at)
            found.setdefault(row.instalment_id, []).append(planned)
    return found


_SAID: Final = text(  # bounded: an instalment has at most a notice per step and cycle
    "select id, instalment_id, step, cycle, state, planned_at from app.notice"
    " where tenant_id = :tenant_id and instalment_id = any(cast(:ids as uuid[])) and state <> 'withdrawn'"
)


async def _contacted(
    session: TenantSession, debtor_ids: Sequence[UUID], besides: frozenset[UUID]
) -> dict[tuple[UUID, UUID], date]:
    values = {"tenant_id": tenant_of(session), "debtors": list(debtor_ids), "besides": list(besides)}
    return {(row.creditor_id, row.root_id): row.contact_day for row in await session.execute(_CONTACTED, values)}


# Also who was merged into a debtor has been written to.
_CONTACTED: Final = text("""
with recursive member as (
  select d.id as root_id, d.id from app.debtor d
  where d.tenant_id = :tenant_id and d.id = any(cast(:debtors as uuid[]))
  union
  select m.root_id, d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
select g.creditor_id, m.root_id, max(g.contact_day) as contact_day
from member m
join app.message g on g.tenant_id = :tenant_id and g.debtor_id = m.id and g.purpose = 'dunning'
  and g.state in ('pending', 'leased', 'dispatching', 'sent', 'unknown')
where g.id <> all(cast(:besides as uuid[]))
group by g.creditor_id, m.root_id
""")  # bounded: by the debtors asked for
