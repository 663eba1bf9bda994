"""`ageing`: aged receivables of one tenant with 100,000 invoices, today and on three past days, beside one aggregate.

The reference is the plainest statement that says what each debtor owes on its invoices: a sum by debtor and currency
over the same entries and allocations, by the same role, prepared likewise. Ours gives the periods, credits and totals
besides, and a page of rows with their names.
"""

import time
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text

from bench.ledgers import DAYS, histories
from bench.results import Result, middle
from bench.stage import CAUSE, Stage, make_tenants, new_ids, opened
from insights.ageing import Question, report
from insights.views import GroupBy
from kernel.clock import system_now
from storage.database import Database

INVOICES: Final = 100_000
OTHERS: Final = 30  # tenants beside it, in the same tables
BACK: Final = (0, 30, DAYS // 2, DAYS - 100)  # today and three past days


async def run(stage: Stage, *, quick: bool) -> Result:
    """Ask for the first page; the worst of the days is compared."""
    invoices, rounds = (30_000, 3) if quick else (INVOICES, 9)
    name = await stage.clone()
    tenants = new_ids(1 + OTHERS)
    await make_tenants(stage, name, tenants)
    await histories(stage, name, tenants[:1], each=invoices)
    await histories(stage, name, tenants[1:], each=100)
    await stage.settle(name)
    ours: dict[int, list[float]] = {back: [] for back in BACK}
    references: dict[int, list[float]] = {back: [] for back in BACK}
    async with opened(stage, name) as database:
        for place in range(rounds + 1):
            for back in BACK:
                day = system_now().date() - timedelta(days=back)
                mine, owed = await _ours(database, tenants[0], day)
                other, expected = await _reference(database, tenants[0], day)
                assert owed == expected, f"{owed} is owed by ours, {expected} by the reference, on {day}"
                if place:  # the first round warms up
                    ours[back].append(mine)
                    references[back].append(other)
        pages = await _totals_hold(database, tenants[0])
    await stage.drop(name)
    ratios = {back: middle([m / o for m, o in zip(ours[back], references[back], strict=True)]) for back in BACK}
    worst = max(BACK, key=lambda back: ratios[back])
    return Result(
        name="ageing",
        figure=middle(ours[worst]),
        unit="s, on the worst of four days",
        reference=middle(references[worst]),
        ratio=ratios[worst],
        hold=1.5,
        aim=1.2,
        better="lower",
        rounds=rounds,
        figures={f"ratio_{back}_days_back": ratio for back, ratio in ratios.items()}
        | {f"ms_{back}_days_back": round(1_000 * middle(ours[back]), 1) for back in BACK},
        also_holds=pages,
        note=f"{invoices} invoices of one tenant, {OTHERS} tenants beside it",
    )


async def _ours(database: Database, tenant_id: UUID, day: date) -> tuple[float, dict[str, int]]:
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(_READY)
        start = time.perf_counter()
        found = await report(session, Question(now=system_now(), as_of=day), after=None, limit=101)
        took = time.perf_counter() - start
    return took, {row.currency: row.balance_minor for row in found.summary.totals}


async def _reference(database: Database, tenant_id: UUID, day: date) -> tuple[float, dict[str, int]]:
    values = {"tenant_id": tenant_id, "as_of": day, "known_at": system_now()}
    async with database.tenant(tenant_id, CAUSE) as session:
        await session.execute(_READY)
        start = time.perf_counter()
        rows = (await session.execute(_OPEN, values)).all()
        took = time.perf_counter() - start
        balances = {row.currency: row.owed for row in await session.execute(_BALANCE, values)}
    assert rows
    return took, balances


async def _totals_hold(database: Database, tenant_id: UUID) -> bool:
    """Whether all pages together are the totals."""
    after: UUID | str | None = None
    owed, now = 0, system_now()
    asked = Question(now=now, group_by=GroupBy.DEBTOR, currency="EUR")
    async with database.tenant(tenant_id, CAUSE) as session:
        while True:
            page = await report(session, asked, after=after, limit=2_000)
            owed += sum(row.open_minor for each in page.rows for row in each.view.currencies)
            if not page.rows:
                return owed == sum(row.open_minor for row in page.summary.totals)
            after = page.rows[-1].key


_READY: Final = text("select 1")  # the transaction has begun and its tenant is bound
_OPEN: Final = text("""
select x.debtor_id, x.currency, cast(sum(x.amount_minor) as bigint) as open_minor from (
  select e.debtor_id, e.currency, e.amount_minor from app.ledger_entry e
  where e.tenant_id = :tenant_id and e.effective_on <= :as_of and e.known_at <= :known_at
  union all
  select a.debtor_id, v.currency, -a.amount_minor from app.allocation a
  join app.invoice v on v.tenant_id = :tenant_id and v.id = a.invoice_id
  where a.tenant_id = :tenant_id and a.effective_on <= :as_of and a.known_at <= :known_at
) x group by x.debtor_id, x.currency
""")
_BALANCE: Final = text("""
select e.currency, cast(sum(e.amount_minor) as bigint) as owed from app.ledger_entry e
where e.tenant_id = :tenant_id and e.effective_on <= :as_of and e.known_at <= :known_at group by e.currency
""")
