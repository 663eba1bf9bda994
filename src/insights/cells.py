"""The sums behind every aged figure, in one statement over the ledger's entries and allocations.

An instalment's open amount is the sum of its entries less that of its allocations, of those effective and known by
then; it falls into a column by the due date as it was known then. Most instalments have the one entry that opened
them, so that their row is their amount: these are summed where they stand, and only those that were ever corrected or
voided are first put together by instalment. An allocation may be effective before the invoice that it settles (money
that came in advance): until that day it settles nothing, so an instalment never counts for less than nothing.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text

from insights.figures import Cell
from insights.views import Credits, GroupBy
from receivables.periods import Basis, Periods
from receivables.seeing import Scope, bound, filled, narrowed, seen
from storage.session import TenantSession, tenant_of

Key = UUID | str


class Wanted(Struct, frozen=True, kw_only=True):
    """How it is to be summed, and which rows of it are shown: so many after a key, else only the totals."""

    basis: Basis
    periods: Periods
    credits: Credits
    group_by: GroupBy = GroupBy.DEBTOR
    after: Key | None = None
    limit: int = 0
    merged: bool = True  # whether debtors were ever merged: where none was, nobody's root is looked for


class Cells(Struct, frozen=True):
    """Sums of the rows shown, in the order of their keys, and of everything."""

    rows: dict[Key, list[Cell]]
    totals: list[Cell]


async def cells(session: TenantSession, scope: Scope, wanted: Wanted) -> Cells:
    """Sum the ledger by key, currency and period. One statement, whatever the number of rows."""
    shape = _Shape(
        basis=wanted.basis,
        group_by=wanted.group_by,
        days="several" if scope.days else "one",
        nets=wanted.credits is Credits.OLDEST,
        pages=wanted.limit > 0,
        merged=wanted.merged,
        by_creditor=scope.creditor_id is not None,
        by_debtor=scope.debtor_ids is not None,
        by_currency=scope.currency is not None,
    )
    values = {
        **bound(scope, tenant_of(session)),
        "starts": wanted.periods.starts,
        **({"after": wanted.after or _FIRST[wanted.group_by], "rows": wanted.limit} if shape.pages else {}),
    }
    found = Cells({}, [])
    for row in await session.execute(_statement(shape), values):  # bounded: by the rows asked for, their currencies
        cell = Cell(
            currency=row.currency,
            place=row.place,
            open_minor=row.open_minor,
            late_minor=row.late_minor,
            entered_minor=row.entered_minor,
            by_credit_minor=row.by_credit_minor,
            netted_minor=row.netted_minor,
        )
        (found.totals if row.is_total else found.rows.setdefault(row.key, [])).append(cell)
    return found


_FIRST: Final[Mapping[GroupBy, Key]] = {
    GroupBy.DEBTOR: UUID(int=0), GroupBy.CREDITOR: UUID(int=0), GroupBy.CURRENCY: "",
}  # fmt: skip


class _Shape(Struct, frozen=True, kw_only=True):
    """Which of the few forms of the statement is meant; each is prepared once."""

    basis: Basis
    group_by: GroupBy
    days: Literal["one", "several"]
    nets: bool
    pages: bool
    merged: bool
    by_creditor: bool
    by_debtor: bool
    by_currency: bool


@lru_cache(maxsize=512)
def _statement(shape: _Shape) -> TextClause:
    root = "coalesce(r.id, p.debtor_id)" if shape.merged else "p.debtor_id"
    key = root if shape.group_by is GroupBy.DEBTOR else _KEYS[shape.group_by]
    by_root = shape.merged and (shape.nets or shape.group_by is GroupBy.DEBTOR)
    parts = {
        "shown": _SHOWN if shape.pages else "",
        "rows": _ROWS if shape.pages else "",
        "netted": _NETTED if shape.nets else _NOT_NETTED,
        "sums": _SUMS,
        "late": _LATE[shape.basis],
        "spent": _SPENT,
        "place": _PLACE,
        "counted": _COUNTED[shape.basis],
        "narrowed": narrowed(shape.by_creditor, shape.by_debtor, shape.by_currency),
        "roots": _ROOTS if by_root else "",
        "rooted": _ROOTED if by_root else "",
        "keys": f"{key} as key{f', {root} as debtor_id, p.creditor_id' if shape.nets else ''}",
        "grouped": f"{key}{f', {root}, p.creditor_id' if shape.nets else ''}",
        "key type": "text" if shape.group_by is GroupBy.CURRENCY else "uuid",
        **seen(days=shape.days),
    }
    return text(filled(_CELLS, parts))


_COUNTED: Final[Mapping[Basis, str]] = {Basis.DUE_DATE: "e.due_on", Basis.INVOICE_DATE: "e.effective_on"}
# By the due date it is what the periods after the first hold.
_LATE: Final[Mapping[Basis, str]] = {
    Basis.DUE_DATE: "cast(case when p.place > 0 then sum(p.open_minor) else 0 end as bigint)",
    Basis.INVOICE_DATE: "cast(coalesce(sum(p.open_minor) filter (where p.late and p.place >= -1), 0) as bigint)",
}
# What one row stands for. Netting looks at each debtor's account with each creditor, so it sums by both first.
_KEYS: Final[Mapping[GroupBy, str]] = {GroupBy.CREDITOR: "p.creditor_id", GroupBy.CURRENCY: "p.currency"}
_CELLS: Final = """
with recursive changed as (
  select distinct e.invoice_id, e.instalment_id from app.ledger_entry e
  where e.tenant_id = :tenant_id and e.kind in ('invoice_corrected', 'invoice_voided') and <entry seen><narrowed>
), line as (
  select e.debtor_id, e.creditor_id, e.currency, e.instalment_id, cast(sum(e.amount_minor) as bigint) as amount_minor,
         min(e.amount_minor) filter (where e.kind = 'invoice_opened') as first_minor,
         min(e.due_on) filter (where e.kind = 'invoice_opened') as first_due_on,
         min(e.effective_on) filter (where e.kind = 'invoice_opened') as first_on,
         (array_agg(e.due_on order by e.known_at desc, e.id desc))[1] as due_on,
         (array_agg(e.effective_on order by e.kind = 'invoice_voided', e.known_at desc, e.id desc))[1] as effective_on
  from changed c
  join app.ledger_entry e on e.tenant_id = :tenant_id and e.invoice_id = c.invoice_id
    and e.instalment_id = c.instalment_id and <entry seen>
  group by e.debtor_id, e.creditor_id, e.currency, e.instalment_id
), settled as (
  select l.*, coalesce(s.all_minor, 0) as all_minor, coalesce(s.by_credit_minor, 0) as by_credit_minor
  from line l cross join lateral (
    select <spent> from app.allocation a
    where a.tenant_id = :tenant_id and a.instalment_id = l.instalment_id and <allocation seen>
  ) s
), part as (
  select e.debtor_id, e.creditor_id, e.currency,
         case when e.instalment_id is not null then <place> when e.credit_note_id is not null then -3
              when e.charge_id is not null then -4 else -2 end as place,
         case when e.kind = 'invoice_opened' then greatest(e.amount_minor - coalesce(s.all_minor, 0), 0)
              when e.charge_id is not null then e.amount_minor else 0 end as open_minor,
         e.due_on < <day> as late, e.amount_minor as entered_minor, s.by_credit_minor
  from app.ledger_entry e
  left join (
    select a.instalment_id, <spent> from app.allocation a
    where a.tenant_id = :tenant_id and a.instalment_id is not null and <allocation seen>
    group by a.instalment_id
  ) s on s.instalment_id = e.instalment_id and e.kind = 'invoice_opened'
  where e.tenant_id = :tenant_id and <entry seen><narrowed>
  union all -- those that were changed: not what they were opened as, but what they had become
  select e.debtor_id, e.creditor_id, e.currency, <place>, greatest(e.amount_minor - e.all_minor, 0), e.due_on < <day>,
         0, e.by_credit_minor
  from settled e
  union all
  select e.debtor_id, e.creditor_id, e.currency, <place>, -greatest(e.amount_minor - e.all_minor, 0),
         e.due_on < <day>, 0, -e.by_credit_minor
  from (
    select debtor_id, creditor_id, currency, first_minor as amount_minor, first_due_on as due_on,
           first_on as effective_on, all_minor, by_credit_minor
    from settled where first_minor is not null
  ) e
  union all -- charges, which are settled by allocations of their own
  select e.debtor_id, e.creditor_id, e.currency, -4, -a.amount_minor, false, 0,
         case when a.credit_note_id is not null then a.amount_minor end
  from app.allocation a join app.charge e on e.tenant_id = :tenant_id and e.id = a.charge_id
  where a.tenant_id = :tenant_id and a.charge_id is not null and <entry seen><narrowed>
    and a.effective_on <= <day> and a.known_at <= :known_at
)<roots>, cell as materialized (
  select <keys>, p.currency, p.place,
         cast(sum(p.open_minor) as bigint) as open_minor, <late> as late_minor,
         cast(sum(p.entered_minor) as bigint) as entered_minor,
         cast(coalesce(sum(p.by_credit_minor), 0) as bigint) as by_credit_minor
  from part p<rooted>
  group by <grouped>, p.currency, p.place
), net as (
  select c.*, <netted> as netted_minor from cell c
)<shown>
select true as is_total, cast(null as <key type>) as key, n.currency, n.place, <sums>
from net n group by n.currency, n.place
<rows>
order by 1, 2
"""
_ROOTS: Final = """, up as (
  select d.id as start_id, d.merged_into_id as id, 1 as depth
  from app.debtor d where d.tenant_id = :tenant_id and d.merged_into_id is not null
  union all
  select up.start_id, d.merged_into_id, up.depth + 1
  from up join app.debtor d on d.tenant_id = :tenant_id and d.id = up.id
  where d.merged_into_id is not null and up.depth < 32
), root as (
  select distinct on (start_id) start_id, id from up order by start_id, depth desc
)"""
_ROOTED: Final = " left join root r on r.start_id = p.debtor_id"
_SPENT: Final = """cast(sum(a.amount_minor) as bigint) as all_minor,
         cast(sum(a.amount_minor) filter (where a.credit_note_id is not null) as bigint) as by_credit_minor"""
_PLACE: Final = "coalesce(width_bucket(<day> - <counted>, cast(:starts as integer[])), -1)"
_SUMS: Final = """cast(sum(n.open_minor) as bigint) as open_minor, cast(sum(n.late_minor) as bigint) as late_minor,
  cast(sum(n.entered_minor) as bigint) as entered_minor, cast(sum(n.by_credit_minor) as bigint) as by_credit_minor,
  cast(sum(n.netted_minor) as bigint) as netted_minor"""
_NOT_NETTED: Final = "0"
_NETTED: Final = """case when c.place < -1 then 0 else least(c.open_minor, greatest(0,
    sum(c.open_minor - c.entered_minor) over (partition by c.debtor_id, c.creditor_id, c.currency)
    - coalesce(sum(case when c.place < -1 then 0 else c.open_minor end) over (
        partition by c.debtor_id, c.creditor_id, c.currency order by c.place desc
        rows between unbounded preceding and 1 preceding), 0))) end"""
_SHOWN: Final = """, shown as (
  select key from net where key > :after
  group by key, currency having sum(open_minor) <> 0 or sum(entered_minor) <> 0
), page as (
  select distinct key from shown order by key limit :rows
)"""
_ROWS: Final = """
union all
select false, p.key, n.currency, n.place, <sums>
from page p join net n on n.key = p.key group by p.key, n.currency, n.place
"""
