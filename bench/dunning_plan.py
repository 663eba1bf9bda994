"""`dunning_plan`: due work found, decided and written, beside one set-based statement a tenant that writes the same."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from bench import seeding
from bench.equality import assert_same_rows
from bench.results import Result, middle
from bench.stage import Stage, dsn, make_tenants, new_ids, opened
from cli.settings import read
from cli.world import open_engine
from kernel.clock import day_of, system_now
from storage.database import Database
from workers import rounds

TENANTS: Final = 100
LIMIT_S: Final = 300.0  # what fails is tried again, for long
STATEMENT: Final = (Path(__file__).parent / "reference" / "dunning_plan.sql").read_text("utf-8")
BIND: Final = "select set_config('app.tenant_id', $1, true)"


async def run(stage: Stage, *, quick: bool) -> Result:
    """Plan everything that is due, with us and with the statement; the rates are compared."""
    each, rounds_ = (20, 1) if quick else (100, 5)
    template, tenants = await _prepared(stage, each)
    await _check(stage, template, tenants)
    figures: list[float] = []
    references: list[float] = []
    for _ in range(rounds_):
        figures.append(TENANTS * each / await _measured(stage, template, tenants, ours=True))
        references.append(TENANTS * each / await _measured(stage, template, tenants, ours=False))
    await stage.drop(template)
    return Result(
        name="dunning_plan",
        figure=middle(figures),
        unit="invoices/s",
        reference=middle(references),
        ratio=middle([mine / other for mine, other in zip(figures, references, strict=True)]),
        hold=0.20,
        aim=0.50,
        better="higher",
        rounds=rounds_,
        note=f"{TENANTS} tenants with {each} invoices due, 2 of each debtor",
    )


async def _prepared(stage: Stage, each: int) -> tuple[str, list[UUID]]:
    name = await stage.clone()
    tenants = new_ids(TENANTS)
    await make_tenants(stage, name, tenants)
    await seeding.debts(stage, name, tenants, each=each)
    await stage.settle(name)
    return name, tenants


async def _check(stage: Stage, template: str, tenants: Sequence[UUID]) -> None:
    """Both write the same rows; this pass also warms up what a running worker has warm."""
    ours, reference = await stage.clone(template), await stage.clone(template)
    await _ours(stage, ours)
    await _reference(stage, reference, tenants)
    rows = await assert_same_rows(stage, ours, reference)
    assert rows["notice"] == rows["decision"] == rows["due"] > 0, rows
    await stage.drop(ours)
    await stage.drop(reference)


async def _measured(stage: Stage, template: str, tenants: Sequence[UUID], *, ours: bool) -> float:
    name = await stage.clone(template)
    await stage.checkpoint()
    took_s = await (_ours(stage, name) if ours else _reference(stage, name, tenants))
    await stage.drop(name)
    return took_s


async def _ours(stage: Stage, name: str) -> float:
    """A worker's rounds until nothing is due."""
    async with opened(stage, name) as database, open_engine(read({}), database) as engine:
        await _connect(database)
        start = time.perf_counter()
        async with asyncio.timeout(LIMIT_S):
            while await rounds.promotions(engine) + await rounds.ticks(engine):
                pass
        return time.perf_counter() - start


async def _connect(database: Database) -> None:
    """A worker has its connections already."""
    async with database.queue(), database.directory():
        pass


async def _reference(stage: Stage, name: str, tenants: Sequence[UUID]) -> float:
    """One statement and one transaction a tenant, as the application's role, bound as our sessions are."""
    connection = await asyncpg.connect(dsn(stage.urls(name).app), server_settings={"jit": "off", "timezone": "UTC"})
    try:
        bind, write = await connection.prepare(BIND), await connection.prepare(STATEMENT)
        start = time.perf_counter()
        now = system_now()
        today = day_of(now, "Europe/Paris")
        for tenant_id in tenants:
            async with connection.transaction():
                await bind.fetch(str(tenant_id))
                await write.fetch(tenant_id, now, today)
        return time.perf_counter() - start
    finally:
        await connection.close()
