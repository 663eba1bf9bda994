"""What one debtor owed, instalment by instalment, the earliest due first: on any day, as known at any instant."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text

from receivables.seeing import Scope, bound, filled, narrowed, seen
from storage.session import TenantSession, tenant_of

LAST: Final = date.max  # where what has no due date stands


class After(Struct, frozen=True):
    """The last item of the page before."""

    due_on: date
    instalment_id: UUID


class Item(Struct, frozen=True, kw_only=True):
    """An instalment with what was open of it."""

    instalment_id: UUID
    invoice_id: UUID
    creditor_id: UUID
    number: str
    place: int
    issued_on: date
    due_on: date | None
    as_of: date  # the creditor's
    currency: str
    amount_minor: int
    open_minor: int

    @property
    def position(self) -> After:
        """Its sort key."""
        return After(self.due_on or LAST, self.instalment_id)


async def open_items(session: TenantSession, scope: Scope, *, after: After | None, limit: int) -> list[Item]:
    """The open instalments of the scope's debtor after a position."""
    start = after or After(date.min, UUID(int=0))
    values = bound(scope, tenant_of(session)) | {"due": start.due_on, "id": start.instalment_id, "rows": limit}
    by = bool(scope.days), scope.creditor_id is not None, scope.currency is not None
    return [Item(**row._mapping) for row in await session.execute(_statement(by), values)]  # noqa: SLF001 - its public name


@lru_cache(maxsize=16)
def _statement(by: tuple[bool, bool, bool]) -> TextClause:
    several, by_creditor, by_currency = by
    parts: Mapping[str, str] = {
        "narrowed": narrowed(by_creditor, True, by_currency),
        **seen(days="several" if several else "one"),
    }
    return text(filled(_ITEMS, parts))


_ITEMS: Final = """
with line as (
  select e.instalment_id, e.invoice_id, e.creditor_id, e.currency, <day> as as_of,
         cast(sum(e.amount_minor) as bigint) as amount_minor,
         (array_agg(e.due_on order by e.known_at desc, e.id desc))[1] as due_on,
         (array_agg(e.effective_on order by e.kind = 'invoice_voided', e.known_at desc, e.id desc))[1] as issued_on
  from app.ledger_entry e
  where e.tenant_id = :tenant_id and e.instalment_id is not null and <entry seen><narrowed>
  group by e.instalment_id, e.invoice_id, e.creditor_id, e.currency
), still as (
  select l.*, l.amount_minor - coalesce(s.settled_minor, 0) as open_minor
  from line l cross join lateral (
    select cast(sum(a.amount_minor) as bigint) as settled_minor from app.allocation a
    where a.tenant_id = :tenant_id and a.instalment_id = l.instalment_id and <allocation seen>
  ) s
)
select l.instalment_id, l.invoice_id, l.creditor_id, v.number, i.place, l.issued_on, l.due_on, l.as_of, l.currency,
       l.amount_minor, l.open_minor
from still l
join app.invoice v on v.tenant_id = :tenant_id and v.id = l.invoice_id
join app.instalment i on i.tenant_id = :tenant_id and i.id = l.instalment_id
where l.open_minor > 0
  and (coalesce(l.due_on, date '9999-12-31'), l.instalment_id) > (cast(:due as date), cast(:id as uuid))
order by coalesce(l.due_on, date '9999-12-31'), l.instalment_id limit :rows
"""
