"""`import`: rows of a CSV through the whole pipeline, beside COPY of the same rows into every table written."""

import io
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import IO, Final, cast
from uuid import UUID

import asyncpg

from bench.results import Result, middle
from bench.stage import CAUSE, Stage, dsn, make_tenants, new_ids, opened
from billing_connectors.file_imports import asking, running, uploads
from billing_connectors.file_imports.asking import NewImport
from billing_connectors.file_imports.running import Params, Work, cause_of
from kernel import ids
from receivables.creditors import create_creditor
from receivables.drafts import NewCreditor
from storage.clocks import now_of
from storage.database import Database
from storage.session import TenantSession

TENANTS: Final = 100  # of which one imports
PER_DEBTOR: Final = 10
HEAD: Final = "N° facture;Date facture;Échéance;Code client;Client;SIREN;E-mail;Montant TTC;Reste dû;Devise\n"
_KEPT: Final = ("import_run",)  # one row that was there, and counts
_FIRST: Final = date(2026, 1, 2)


def rows(count: int) -> bytes:
    """So many invoices, ten of each debtor, as an accounting tool exports them."""
    text = io.StringIO()
    text.write(HEAD)
    for n in range(count):
        debtor = n // PER_DEBTOR
        day = _FIRST + timedelta(days=n % 200)
        due = day + timedelta(days=30)
        amount = f"{100 + n % 9000},{n % 100:02d}"
        text.write(
            f"F-{n:07d};{day:%d/%m/%Y};{due:%d/%m/%Y};C{debtor:06d};Société Durand {debtor};;"
            f"compta@client{debtor}.example;{amount};{amount};EUR\n"
        )
    return text.getvalue().encode()


async def run(stage: Stage, *, quick: bool) -> Result:
    """Import a file, and copy the same rows; the rates are compared."""
    count, rounds = (5_000, 1) if quick else (20_000, 5)
    template, tenant_id, import_id = await prepared(stage, io.BytesIO(rows(count)))
    figures: list[float] = []
    references: list[float] = []
    for place in range(rounds):
        ours, reference = await stage.clone(template), await stage.clone(template)
        await stage.checkpoint()
        since = await _now(stage, ours)
        figures.append(count / await imported(stage, ours, tenant_id, import_id))
        written = await _written(stage, ours, since)
        await stage.checkpoint()
        references.append(count / await _copied(stage, reference, written))
        if place == 0:
            mine, theirs = await _counts(stage, ours), await _counts(stage, reference)
            assert mine == theirs, {each: (mine[each], theirs[each]) for each in mine if mine[each] != theirs[each]}
            assert mine["invoice"] == mine["import_row"] == count, mine
        await stage.drop(ours)
        await stage.drop(reference)
    await stage.drop(template)
    return Result(
        name="import",
        figure=middle(figures),
        unit="rows/s",
        reference=middle(references),
        ratio=middle([mine / other for mine, other in zip(figures, references, strict=True)]),
        hold=0.10,
        aim=0.20,
        better="higher",
        rounds=rounds,
        note=f"{count} invoices of {count // PER_DEBTOR} new debtors, from the sealed upload to the last verdict",
    )


async def prepared(stage: Stage, file: IO[bytes]) -> tuple[str, UUID, UUID]:
    """A database with tenants, and an import of this file that is ready to be carried out."""
    name = await stage.clone()
    tenants = new_ids(TENANTS)
    await make_tenants(stage, name, tenants)
    tenant_id = tenants[0]
    async with opened(stage, name) as database, database.tenant(tenant_id, CAUSE) as session:
        now = await now_of(session)
        await create_creditor(session, NewCreditor(name="Atelier Fournier"), now)
        upload = await uploads.keep(session, database.keys, file, now, name="bench.csv")
        new = NewImport(upload_id=ids.decode("upl", upload.id), backfill=True)
        import_id = ids.decode("imp", (await asking.create(session, database.keys, new, now)).id)
        await asking.begin(session, import_id, now, caller=None)
    await stage.settle(name)
    return name, tenant_id, import_id


async def imported(stage: Stage, name: str, tenant_id: UUID, import_id: UUID) -> float:
    """Seconds that carrying the import out takes, as a worker's job does."""
    async with opened(stage, name) as database:
        async with database.tenant(tenant_id, CAUSE):
            pass  # a worker has its connections already
        start = time.perf_counter()
        await running.carry_out(work_of(database, tenant_id, import_id))
        return time.perf_counter() - start


def work_of(database: Database, tenant_id: UUID, import_id: UUID) -> Work:
    """The work of an import without a job beside it."""

    @asynccontextmanager
    async def step() -> AsyncGenerator[TenantSession]:
        async with database.tenant(tenant_id, cause_of(Params(import_id, backfill=True))) as session:
            yield session

    return Work(step=step, keys=database.keys, import_id=import_id)


async def _now(stage: Stage, name: str) -> datetime:
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        return cast("datetime", await connection.fetchval("select clock_timestamp()"))
    finally:
        await connection.close()


async def _written(stage: Stage, name: str, since: datetime) -> dict[str, bytes]:
    """What the import has written into each table, in COPY's binary form."""
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        found: dict[str, bytes] = {}
        dated = {table for (table,) in await connection.fetch(_INSTANTS)}
        for (table,) in await connection.fetch(_TABLES):
            if table in _KEPT:
                continue
            content = io.BytesIO()
            new = table in dated
            query = f"select * from app.{table}" + (" where recorded_at > $1" if new else "")
            await connection.copy_from_query(query, *([since] if new else []), output=content, format="binary")
            found[table] = content.getvalue()
        return found
    finally:
        await connection.close()


async def _copied(stage: Stage, name: str, written: dict[str, bytes]) -> float:
    """Seconds that copying takes: one transaction, parents first, with every index and key."""
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        already = await _counts(stage, name)
        start = time.perf_counter()
        async with connection.transaction():
            for table in (*_PARENTS, *(each for each in written if each not in _PARENTS)):
                if table in written and (table in _PARENTS or not already[table] or table in _LOGS):
                    await connection.copy_to_table(
                        table, schema_name="app", source=io.BytesIO(written[table]), format="binary"
                    )
        return time.perf_counter() - start
    finally:
        await connection.close()


_PARENTS: Final = ("debtor", "invoice", "instalment")
_LOGS: Final = ("event", "data_key")


async def _counts(stage: Stage, name: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        return {
            table: int(await connection.fetchval(f"select count(*) from app.{table}"))
            for (table,) in await connection.fetch(_TABLES)
        }
    finally:
        await connection.close()


_TABLES: Final = """
select k.relname from pg_class k
where k.relnamespace = 'app'::regnamespace and k.relkind in ('r', 'p') and not k.relispartition
order by 1
"""
_INSTANTS: Final = """
select table_name from information_schema.columns where table_schema = 'app' and column_name = 'recorded_at'
"""
