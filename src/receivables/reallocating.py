"""Lay money out anew by the rule: the same debts and the same money give the same split, whatever came in first.

What a person allocated stays. What a rule allocated and what nobody did is laid out again from nothing, the earliest
money first; only where the outcome differs is anything undone, so that a second run changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, structs
from sqlalchemy import exists, or_, select
from sqlalchemy.orm import aliased

from receivables import access
from receivables.allocations import active_by_rule, discounted, freed_on, undo_all
from receivables.errors import TooMuchToReallocate
from receivables.imputation import Debt, spread
from receivables.locks import lock_debtors
from receivables.merges import groups_of
from receivables.models import Allocation, AllocationRule, CreditNote, DocumentState, Receipt, ReceiptState
from receivables.posting import Posting, left_of
from receivables.sharing import MAX_DEBTS, charge_ids_among, day_of_source, open_debts
from storage.session import TenantSession, tenant_of

MAX_SOURCES: Final = 1_000
MAX_ALLOCATIONS: Final = 5_000

Money = Receipt | CreditNote
Laid = dict[tuple[UUID, UUID], int]  # source and target, amount


class Reallocation(Struct, frozen=True, kw_only=True):
    """What laying out anew has changed."""

    rule: AllocationRule
    undone: int  # allocations
    made: int
    unapplied_minor: int  # what nothing is left to settle with


async def reallocate(
    session: TenantSession,
    debtor_id: UUID,
    creditor_id: UUID,
    currency: str,
    now: datetime,
    *,
    rule: AllocationRule | None = None,
) -> Reallocation:
    """Lay out all money of a debtor that nobody has allocated by hand; the creditor's rule unless one is named.

    Raises DebtorNotFound, CreditorNotFound, TooMuchToReallocate.
    """
    root_id = (await lock_debtors(session, [debtor_id]))[debtor_id]
    group = (await groups_of(session, [root_id]))[root_id]
    creditor = await access.creditor(session, creditor_id)
    chosen = rule or creditor.allocation_rule
    sources = await _sources(session, group, creditor_id, currency)
    standing = await active_by_rule(session, [source.id for source in sources], limit=MAX_ALLOCATIONS + 1)
    if len(standing) > MAX_ALLOCATIONS:
        raise TooMuchToReallocate
    fixed = await discounted(session, standing)
    standing = [each for each in standing if each.id not in fixed]
    posting = Posting(session, now)
    if not sources:
        return Reallocation(rule=chosen, undone=0, made=0, unapplied_minor=0)
    debts = await _debts(session, posting, sources[0], root_id, standing)
    laid = {debt.id for debt in debts}
    standing = [each for each in standing if _target_id(each) in laid]  # not on what has been written off since
    plan = _plan(chosen, sources, debts, standing)
    return await _carry_out(posting, chosen, sources, standing, plan)


def _plan(
    rule: AllocationRule, sources: Sequence[Money], debts: Sequence[Debt], standing: Sequence[Allocation]
) -> Laid:
    """Who pays what, from nothing: pure, of what is open once the rule's own allocations are thought away."""
    free = {source.id: left_of(source) for source in sources}
    open_minor = {debt.id: debt.balance_minor for debt in debts}
    for each in standing:
        free[_source_id(each)] += each.amount_minor
        open_minor[_target_id(each)] += each.amount_minor
    plan: Laid = {}
    for source in sorted(sources, key=lambda each: (day_of_source(each), -free[each.id], each.id)):
        named = source.named_invoice_ids if isinstance(source, Receipt) else []
        now_open = [structs.replace(debt, balance_minor=open_minor[debt.id]) for debt in debts]
        for target_id, amount_minor in spread(rule, free[source.id], now_open, day_of_source(source), named):
            plan[source.id, target_id] = plan.get((source.id, target_id), 0) + amount_minor
            open_minor[target_id] -= amount_minor
    return plan


async def _carry_out(
    posting: Posting, rule: AllocationRule, sources: Sequence[Money], standing: Sequence[Allocation], plan: Laid
) -> Reallocation:
    """Undo what differs, then make what is missing; what is right already stays as it is."""
    present: Laid = {}
    for each in standing:
        key = _source_id(each), _target_id(each)
        present[key] = present.get(key, 0) + each.amount_minor
    wrong = {key for key in present if plan.get(key) != present[key]}
    undone = 0
    for source in sources:
        mine = [each for each in standing if _of(source, each) and (source.id, _target_id(each)) in wrong]
        await undo_all(posting, source, mine, None)
        undone += len(mine)
    made = {key: amount_minor for key, amount_minor in plan.items() if present.get(key) != amount_minor}
    by_id = {source.id: source for source in sources}
    days = await _days(posting.session, by_id, made)
    for (source_id, target_id), amount_minor in made.items():
        posting.settle(by_id[source_id], target_id, amount_minor, days[source_id], rule=rule)
    posting.tell()
    await posting.write()
    left_minor = sum(left_of(source) for source in sources)
    return Reallocation(rule=rule, undone=undone, made=len(made), unapplied_minor=left_minor)


async def _days(session: TenantSession, by_id: Mapping[UUID, Money], made: Laid) -> dict[UUID, date]:
    """The day from which each source settles."""
    days: dict[UUID, date] = {}
    for source_id in {source_id for source_id, _ in made}:
        day = day_of_source(by_id[source_id])
        days[source_id] = max(day, await freed_on(session, by_id[source_id]) or day)
    return days


async def _sources(session: TenantSession, group: Sequence[UUID], creditor_id: UUID, currency: str) -> list[Money]:
    """The money and credit notes that have something left, or that a rule has allocated."""
    tenant_id = tenant_of(session)
    used = aliased(Allocation)
    by_rule = exists().where(used.tenant_id == tenant_id, used.rule.is_not(None))
    receipts = select(Receipt).where(
        Receipt.tenant_id == tenant_id,
        Receipt.debtor_id.in_(group),
        Receipt.creditor_id == creditor_id,
        Receipt.currency == currency,
        Receipt.state != ReceiptState.REVERSED,
        or_(Receipt.unapplied_minor > 0, by_rule.where(used.receipt_id == Receipt.id)),
    )
    notes = select(CreditNote).where(
        CreditNote.tenant_id == tenant_id,
        CreditNote.debtor_id.in_(group),
        CreditNote.creditor_id == creditor_id,
        CreditNote.currency == currency,
        CreditNote.document == DocumentState.OPEN,
        or_(CreditNote.remaining_minor > 0, by_rule.where(used.credit_note_id == CreditNote.id)),
    )
    fresh = {"populate_existing": True}
    found: list[Money] = list(await session.scalars(receipts.limit(MAX_SOURCES + 1).execution_options(**fresh)))
    found += list(await session.scalars(notes.limit(MAX_SOURCES + 1).execution_options(**fresh)))
    if len(found) > MAX_SOURCES:
        raise TooMuchToReallocate
    return found


async def _debts(
    session: TenantSession, posting: Posting, source: Money, root_id: UUID, standing: Sequence[Allocation]
) -> list[Debt]:
    """Every debt that is open, and every one that the rule has settled."""
    settled = {_target_id(each) for each in standing}
    debts = await open_debts(session, source, root_id, also=settled)
    if len(debts) > MAX_DEBTS:
        raise TooMuchToReallocate
    charges = await charge_ids_among(session, [debt.id for debt in debts])
    await posting.load(instalment_ids=[debt.id for debt in debts if debt.id not in charges], charge_ids=charges)
    return debts


def _source_id(allocation: Allocation) -> UUID:
    return allocation.receipt_id or allocation.credit_note_id or allocation.id


def _target_id(allocation: Allocation) -> UUID:
    return allocation.instalment_id or allocation.charge_id or allocation.id


def _of(source: Money, allocation: Allocation) -> bool:
    return _source_id(allocation) == source.id
