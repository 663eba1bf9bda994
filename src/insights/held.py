"""Which part of what is open is disputed or promised: by the holds that stood at the end of the day.

A hold for an amount covers its invoice's instalments in the order in which they fall due, as `casework.rules.spread`
has it; whatever holds there are, an instalment is never disputed for more than is open of it.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TextClause, text

from casework.models import HoldReason
from insights.cells import Key
from insights.figures import Held
from insights.views import GroupBy
from receivables.seeing import Scope, bound, filled, narrowed, seen
from storage.session import TenantSession, tenant_of

HeldBy = dict[Key | None, dict[str, Held]]  # by key, None for everything; by currency


async def held_by(session: TenantSession, scope: Scope, at: datetime, group_by: GroupBy, keys: Iterable[Key]) -> HeldBy:
    """What is disputed and promised of these rows and of everything, at an instant."""
    found: dict[Key | None, dict[str, dict[str, int]]] = {}
    values = _values(session, scope, at) | {"keys": list(keys)}
    for row in await session.execute(_statement(_by(scope), _SUMS[group_by]), values):
        found.setdefault(row.key, {}).setdefault(row.currency, {})[row.reason] = row.held_minor
    return {
        key: {currency: _held(reasons) for currency, reasons in currencies.items()} for key, currencies in found.items()
    }


async def held_of(
    session: TenantSession, scope: Scope, at: datetime, instalment_ids: Iterable[UUID]
) -> dict[UUID, Held]:
    """What is disputed and promised of each of these instalments; one that nothing holds is absent."""
    found: dict[UUID, dict[str, int]] = {}
    values = _values(session, scope, at) | {"keys": list(instalment_ids)}
    for row in await session.execute(_statement(_by(scope), _LINES), values):
        found.setdefault(row.instalment_id, {})[row.reason] = row.held_minor
    return {instalment_id: _held(reasons) for instalment_id, reasons in found.items()}


def _held(reasons: dict[str, int]) -> Held:
    return Held(
        disputed_minor=reasons.get(HoldReason.DISPUTE.value, 0), promised_minor=reasons.get(HoldReason.PROMISE.value, 0)
    )


def _values(session: TenantSession, scope: Scope, at: datetime) -> dict[str, Any]:  # Any: parameters of every type
    return bound(scope, tenant_of(session)) | {
        "at": at, "reasons": [HoldReason.DISPUTE.value, HoldReason.PROMISE.value],
    }  # fmt: skip


def _by(scope: Scope) -> tuple[bool, bool, bool, bool]:
    return bool(scope.days), scope.creditor_id is not None, scope.debtor_ids is not None, scope.currency is not None


@lru_cache(maxsize=128)
def _statement(by: tuple[bool, bool, bool, bool], wanted: str) -> TextClause:
    several, *filters = by
    parts = {
        "wanted": wanted,
        "narrowed": narrowed(*filters),
        **seen(days="several" if several else "one"),
    }
    return text(filled(_HELD, parts))  # bounded: by the keys asked for, their currencies and two reasons


_HELD: Final = """
with recursive up as (
  select d.id as start_id, d.merged_into_id as id, 1 as depth
  from app.debtor d where d.tenant_id = :tenant_id and d.merged_into_id is not null
  union all
  select up.start_id, d.merged_into_id, up.depth + 1
  from up join app.debtor d on d.tenant_id = :tenant_id and d.id = up.id
  where d.merged_into_id is not null and up.depth < 32
), root as (
  select distinct on (start_id) start_id, id from up order by start_id, depth desc
), held as (
  select h.id, coalesce(r.id, h.debtor_id) as root_id, h.invoice_id, h.instalment_id, h.amount_minor, h.reason
  from app.hold h left join root r on r.start_id = h.debtor_id
  where h.tenant_id = :tenant_id and h.reason = any(cast(:reasons as text[])) and h.starts_at <= :at
    and (h.ends_at is null or h.ends_at > :at) and h.known_at <= :known_at
), member as (
  select h.root_id, h.root_id as id from held h where h.invoice_id is null
  union
  select h.root_id, r.start_id from held h join root r on r.id = h.root_id where h.invoice_id is null
), target as (
  select h.id as hold_id, h.reason, h.amount_minor, e.debtor_id, e.creditor_id, e.currency, e.invoice_id,
         e.instalment_id
  from held h join app.ledger_entry e on e.tenant_id = :tenant_id and e.invoice_id = h.invoice_id
  where h.invoice_id is not null and e.instalment_id = coalesce(h.instalment_id, e.instalment_id)<narrowed>
  union
  select h.id, h.reason, null, e.debtor_id, e.creditor_id, e.currency, e.invoice_id, e.instalment_id
  from held h join member m on m.root_id = h.root_id
  join app.ledger_entry e on e.tenant_id = :tenant_id and e.debtor_id = m.id
  where h.invoice_id is null and e.instalment_id is not null<narrowed>
), line as (
  select l.instalment_id, i.due_on, i.place, greatest(0, coalesce(b.billed_minor, 0) - coalesce(s.settled_minor, 0))
           as open_minor
  from (select distinct instalment_id, invoice_id from target) l
  join app.instalment i on i.tenant_id = :tenant_id and i.id = l.instalment_id
  cross join lateral (
    select cast(sum(e.amount_minor) as bigint) as billed_minor from app.ledger_entry e
    where e.tenant_id = :tenant_id and e.invoice_id = l.invoice_id and e.instalment_id = l.instalment_id
      and <entry seen>
  ) b cross join lateral (
    select cast(sum(a.amount_minor) as bigint) as settled_minor from app.allocation a
    where a.tenant_id = :tenant_id and a.instalment_id = l.instalment_id and <allocation seen>
  ) s
), part as (
  select t.reason, t.debtor_id, t.creditor_id, t.currency, t.instalment_id, l.open_minor,
         case when t.amount_minor is null then l.open_minor else greatest(0, least(l.open_minor, t.amount_minor
           - coalesce(sum(l.open_minor) over (
               partition by t.hold_id order by l.due_on nulls last, l.place, l.instalment_id
               rows between unbounded preceding and 1 preceding), 0))) end as held_minor
  from target t join line l on l.instalment_id = t.instalment_id
), covered as (
  select p.reason, coalesce(r.id, p.debtor_id) as debtor_id, p.creditor_id, p.currency, p.instalment_id,
         least(max(p.open_minor), sum(p.held_minor)) as held_minor
  from part p left join root r on r.start_id = p.debtor_id
  group by 1, 2, 3, 4, 5
)
<wanted>
"""
_LINES: Final = """
select c.instalment_id, c.reason, cast(c.held_minor as bigint) as held_minor from covered c
where c.instalment_id = any(cast(:keys as uuid[]))
"""
_SUM: Final = """
select c.<key> as key, c.currency, c.reason, cast(sum(c.held_minor) as bigint) as held_minor
from covered c where c.<key> = any(cast(:keys as <type>[])) group by 1, 2, 3
union all
select null, c.currency, c.reason, cast(sum(c.held_minor) as bigint) from covered c group by 2, 3
"""
_SUMS: Final = {
    GroupBy.DEBTOR: _SUM.replace("<key>", "debtor_id").replace("<type>", "uuid"),
    GroupBy.CREDITOR: _SUM.replace("<key>", "creditor_id").replace("<type>", "uuid"),
    GroupBy.CURRENCY: _SUM.replace("<key>", "currency").replace("<type>", "text"),
}
