"""What a decision about debts needs to know of casework, for many of them in a constant number of queries."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from casework.models import HandlingKind
from casework.rules import OpenLine, spread
from receivables.facts import DebtFacts
from storage.session import TenantSession, tenant_of


class Held(Struct, frozen=True):
    """What holds an instalment now: the reasons of whole holds, and how much of it part holds cover."""

    reasons: tuple[str, ...] = ()
    amount_minor: int = 0
    hold_ids: tuple[UUID, ...] = ()
    next_end_at: datetime | None = None  # when the first of them ends by itself


class _Hold(Struct, frozen=True):
    id: UUID
    root_id: UUID
    invoice_id: UUID | None
    instalment_id: UUID | None
    amount_minor: int | None
    reason: str
    ends_at: datetime | None


async def active_holds(session: TenantSession, facts: Iterable[DebtFacts], now: datetime) -> dict[UUID, Held]:
    """What holds each instalment at an instant; one that nothing holds is absent."""
    debts = list(facts)
    holds = await _active(session, {debt.debtor_id for debt in debts}, now)
    if not holds:
        return {}
    parts = await _invoice_parts(session, holds)
    found = {debt.instalment_id: _held(debt, holds, parts) for debt in debts}
    return {instalment_id: held for instalment_id, held in found.items() if held.hold_ids}


def _held(debt: DebtFacts, holds: Sequence[_Hold], parts: dict[UUID, dict[UUID, int]]) -> Held:
    mine = [hold for hold in holds if _covers(hold, debt) and _part(hold, debt, parts) != 0]
    amounts = [part for hold in mine if (part := _part(hold, debt, parts)) is not None]
    ends = [hold.ends_at for hold in mine if hold.ends_at is not None]
    return Held(
        reasons=tuple(sorted({hold.reason for hold in mine if hold.amount_minor is None})),
        amount_minor=min(sum(amounts), debt.balance_minor),
        hold_ids=tuple(hold.id for hold in mine),
        next_end_at=min(ends, default=None),
    )


def _covers(hold: _Hold, debt: DebtFacts) -> bool:
    if hold.instalment_id is not None:
        return hold.instalment_id == debt.instalment_id
    if hold.invoice_id is not None:
        return hold.invoice_id == debt.invoice_id
    return hold.root_id == debt.debtor_id


def _part(hold: _Hold, debt: DebtFacts, parts: dict[UUID, dict[UUID, int]]) -> int | None:
    """How much of an instalment a part hold covers; None for a whole one."""
    if hold.amount_minor is None or hold.instalment_id is not None:
        return hold.amount_minor
    return parts[hold.id].get(debt.instalment_id, 0)


async def _active(session: TenantSession, roots: Iterable[UUID], now: datetime) -> list[_Hold]:
    values = {"tenant_id": tenant_of(session), "ids": list(roots), "now": now}
    return [
        _Hold(row.id, row.root_id, row.invoice_id, row.instalment_id, row.amount_minor, row.reason, row.ends_at)
        for row in await session.execute(_ACTIVE, values)
    ]


_ACTIVE: Final = text("""
with recursive member as (
  select d.id as root_id, d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union
  select m.root_id, d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
select h.id, m.root_id, h.invoice_id, h.instalment_id, h.amount_minor, h.reason, h.ends_at
from member m join app.hold h on h.tenant_id = :tenant_id and h.debtor_id = m.id
where h.starts_at <= :now and (h.ends_at is null or h.ends_at > :now)
order by h.id
""")  # bounded: by the holds of the debtors asked for


async def _invoice_parts(session: TenantSession, holds: Sequence[_Hold]) -> dict[UUID, dict[UUID, int]]:
    """For each part hold on an invoice, how much of which instalment it covers."""
    wanted = [hold for hold in holds if hold.amount_minor is not None and hold.instalment_id is None]
    if not wanted:
        return {}
    values = {"tenant_id": tenant_of(session), "ids": list({hold.invoice_id for hold in wanted})}
    lines: dict[UUID, list[OpenLine]] = {}
    for row in await session.execute(_LINES, values):
        line = OpenLine(row.id, row.due_on, row.place, row.balance_minor)
        lines.setdefault(row.invoice_id, []).append(line)
    return {hold.id: spread(hold.amount_minor or 0, lines.get(hold.invoice_id or hold.id, [])) for hold in wanted}


_LINES: Final = text("""
select i.invoice_id, i.id, i.due_on, i.place, i.balance_minor
from app.instalment i where i.tenant_id = :tenant_id and i.invoice_id = any(cast(:ids as uuid[]))
""")  # bounded: by the instalments of the invoices asked for


async def handling_of(session: TenantSession, facts: Iterable[DebtFacts]) -> dict[UUID, HandlingKind]:
    """Who chases each instalment: its invoice's row, else its (creditor, debtor)'s, else the tenant itself."""
    debts = list(facts)
    values = {"tenant_id": tenant_of(session), "ids": list({debt.debtor_id for debt in debts})}
    by_invoice: dict[UUID, HandlingKind] = {}
    outsourced: set[tuple[UUID, UUID]] = set()
    for row in await session.execute(_HANDLING, values):
        if row.invoice_id is not None:
            by_invoice[row.invoice_id] = HandlingKind(row.kind)
        elif row.kind == HandlingKind.OUTSOURCED:  # of merged debtors one with a partner is enough
            outsourced.add((row.creditor_id, row.root_id))
    return {
        debt.instalment_id: by_invoice.get(
            debt.invoice_id,
            HandlingKind.OUTSOURCED if (debt.creditor_id, debt.debtor_id) in outsourced else HandlingKind.INTERNAL,
        )
        for debt in debts
    }


_HANDLING: Final = text("""
with recursive member as (
  select d.id as root_id, d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union
  select m.root_id, d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
select m.root_id, h.creditor_id, h.invoice_id, h.kind
from member m join app.handling h on h.tenant_id = :tenant_id and h.debtor_id = m.id
""")  # bounded: by the handlings of the debtors asked for
