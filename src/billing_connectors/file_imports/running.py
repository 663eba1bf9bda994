"""Run an import: rows come from a confined process, a thousand are one transaction, and the position is part of it.

Whoever is killed leaves whole batches behind; the next one reads the file again up to the position and goes on. The
job's fence and the import's row lock keep two from working on one import.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy.exc import DBAPIError, InterfaceError

from billing_connectors import recording
from billing_connectors.csv_files.layout import Layout
from billing_connectors.csv_files.mapping import CsvMapping
from billing_connectors.documents.canonical import Refusal
from billing_connectors.file_imports import access, closing, judging, table_process, uploads
from billing_connectors.file_imports.events import ImportCancelled, ImportFailed, ImportFinished
from billing_connectors.file_imports.judging import Verdict
from billing_connectors.file_imports.models import ImportMode, ImportRun, ImportState
from billing_connectors.file_imports.rows import Ended, Opened, Order, RowRead, Rows
from billing_connectors.file_imports.tables import TableSpec
from billing_connectors.file_imports.views import ImportView
from billing_connectors.recording import Origin
from receivables.errors import IdentifierTaken
from runtime.logs import logger
from storage.clocks import now_of
from storage.encryption import KeyRing
from storage.events import emit
from storage.jobs import JOBS, JobContext, Paused
from storage.queues import Claim, still_held
from storage.registry import runs
from storage.session import Cause, TenantSession
from storage.waiting import is_away
from tenants.advancing import JobLost

JOB: Final = "import.run"
BATCH: Final = 1_000
TRIES: Final = 3  # of a transaction that met another
_MET_ANOTHER: Final = frozenset({"40001", "40P01"})
log: Final = logger("imports")

Step = Callable[[], AbstractAsyncContextManager[TenantSession]]


class Params(Struct, frozen=True):
    """What the job `import.run` is to do, and on whose behalf."""

    import_id: UUID
    caller: str | None = None
    backfill: bool = False


class Work(Struct, frozen=True, kw_only=True):
    """Where an import is carried out: `step` opens a transaction in which the work is ours."""

    step: Step
    keys: KeyRing
    import_id: UUID
    batch: int = BATCH
    pausing: Callable[[], bool] = lambda: False
    each: Callable[[Sequence[Verdict]], None] | None = None


class _LookedOnly(Exception):
    """Ends a transaction whose effects were only to be looked at."""

    def __init__(self, verdicts: list[Verdict]) -> None:
        super().__init__()
        self.verdicts = verdicts


class _Over(Exception):
    """The import has been told to stop, or is not to be run."""


@runs(JOB)
async def run(context: JobContext) -> None:
    """Carry an import out; run again, it goes on where it stands. Raises JobLost, Paused."""
    wanted = msgspec.json.decode(context.params, type=Params)
    cause = cause_of(wanted)

    @asynccontextmanager
    async def step() -> AsyncGenerator[TenantSession]:
        async with context.database.tenant(context.tenant_id, cause) as session:
            if not await still_held(session, JOBS, [Claim(context.tenant_id, context.job_id, context.fence)]):
                raise JobLost
            yield session

    work = Work(step=step, keys=context.database.keys, import_id=wanted.import_id, pausing=context.pausing)
    await carry_out(work)


def cause_of(wanted: Params) -> Cause:
    """What an import's changes are kept under."""
    return Cause(kind="job", id=f"{JOB}:{wanted.import_id}", on_behalf_of=wanted.caller, backfill=wanted.backfill)


async def carry_out(work: Work) -> None:
    """Judge every row that has not been judged, and end the import. Raises JobLost, Paused."""
    try:
        refusal = await _judge_all(work)
    except _Over:
        await _stopped(work)
        return
    except (Paused, JobLost):
        raise
    except Exception as error:
        if _is_passing(error):
            raise  # the job is tried again
        log.exception("import failed", import_id=str(work.import_id))
        refusal = Refusal(reason="internal", detail="something went wrong on our side; import the file again")
    await _end(work, refusal)


async def _judge_all(work: Work) -> Refusal | None:
    """Judge batch after batch; answers why the rest of the file cannot be read, if so."""
    async with work.step() as session:
        row = await _running(session, work)
        upload = await uploads.usable(session, row.upload_id)
        mapping = msgspec.json.decode(row.mapping, type=CsvMapping)
        layout = None if row.layout is None else msgspec.json.decode(row.layout, type=Layout)
        origin = await _origin(session, row, judging.digest_of(mapping, upload))
        position = row.rows_read
    spec = TableSpec(format=upload.format, is_utf8=upload.is_utf8, mapping=mapping, layout=layout)
    pieces = uploads.content(work.step, work.keys, upload.id, upload.parts)
    order = Order(spec=spec, skip=position, batch=work.batch)
    async with aclosing(table_process.read(order, pieces)) as said:
        async for one in said:
            if isinstance(one, Ended):
                return one.refusal
            if isinstance(one, Opened):
                await _keep_layout(work, one.layout)
                continue
            if work.pausing():
                raise Paused
            await _take(work, origin, one, position)
            position += len(one.rows)
    return None


async def _origin(session: TenantSession, row: ImportRun, digest: bytes) -> Origin:
    origin = Origin(digest=digest, content=b"", is_export=True, import_id=row.id)
    await recording.find_origin(session, origin)
    origin.blob_id = origin.blob_id or await uploads.first_blob(session, row.upload_id)
    origin.was_taken = row.rows_created + row.rows_updated + row.rows_unchanged > 0
    return origin


async def _running(session: TenantSession, work: Work) -> ImportRun:
    row = await access.import_run(session, work.import_id, lock=True)
    if row.state is not ImportState.RUNNING:
        raise _Over
    return row


async def _keep_layout(work: Work, layout: Layout) -> None:
    async with work.step() as session:
        row = await _running(session, work)
        if row.layout is None:
            row.layout = msgspec.json.encode(layout).decode()


async def _take(work: Work, origin: Origin, batch: Rows, position: int) -> None:
    """One batch; where the whole of it fails, row by row, so that one bad row is refused alone."""
    try:
        await _attempt(work, origin, batch.rows, position)
    except (JobLost, Paused, _Over):
        raise
    except Exception as error:
        if _is_passing(error):
            raise
        log.warning("batch failed, row by row", import_id=str(work.import_id), error=repr(error)[:300])
        for place, row in enumerate(batch.rows):
            await _take_one(work, origin, row, position + place)


async def _take_one(work: Work, origin: Origin, row: RowRead, position: int) -> None:
    try:
        await _attempt(work, origin, [row], position)
    except (JobLost, Paused, _Over):
        raise
    except Exception as error:
        if _is_passing(error):
            raise
        log.exception("row failed", import_id=str(work.import_id), line=row.line)
        verdict = judging.refused(row, "internal", "this row could not be brought in, by a fault of ours")
        async with work.step() as session:
            await _record(session, work, position, [verdict])


async def _attempt(work: Work, origin: Origin, rows: Sequence[RowRead], position: int) -> None:
    for attempt in range(1, TRIES + 1):
        mine = msgspec.structs.replace(origin)
        try:
            verdicts = await _once(work, mine, rows, position)
        except (IdentifierTaken, DBAPIError) as error:
            if attempt == TRIES or not _met_another(error):
                raise
            continue
        if work.each is not None:
            work.each(verdicts)
        origin.blob_id, origin.id, origin.was_taken = mine.blob_id, mine.id, mine.was_taken
        return


async def _once(work: Work, origin: Origin, rows: Sequence[RowRead], position: int) -> list[Verdict]:
    try:
        async with work.step() as session:
            row = await _running(session, work)
            verdicts = await judging.judge(session, work.keys, row, origin, rows)
            _look_only(row, verdicts)
            await _record(session, work, position, verdicts)
    except _LookedOnly as looked:
        origin.id = None  # what it named is gone
        verdicts = looked.verdicts
        async with work.step() as session:
            await _record(session, work, position, verdicts)
    return verdicts


def _look_only(row: ImportRun, verdicts: list[Verdict]) -> None:
    if row.dry_run:
        raise _LookedOnly(verdicts)


async def _record(session: TenantSession, work: Work, position: int, verdicts: Sequence[Verdict]) -> None:
    row = await _running(session, work)
    if row.rows_read != position:
        raise JobLost  # somebody else has judged these rows
    await judging.record(session, work.keys, row, verdicts)


def _met_another(error: Exception) -> bool:
    return isinstance(error, IdentifierTaken) or _state_of(error) in _MET_ANOTHER


def _state_of(error: Exception) -> str:
    return getattr(error.orig, "sqlstate", None) or "" if isinstance(error, DBAPIError) else ""


def _is_passing(error: Exception) -> bool:
    """Whether the same may succeed a moment later: the database is away, or others are in the way."""
    return is_away(error) or isinstance(error, InterfaceError) or _state_of(error) in {*_MET_ANOTHER, "55P03", "57014"}


async def _end(work: Work, refusal: Refusal | None) -> None:
    async with work.step() as session:
        row = await access.import_run(session, work.import_id, lock=True)
        if row.state is not ImportState.RUNNING:
            return
        before, now = ImportView.of(row), await now_of(session)
        row.finished_at, row.version = now, row.version + 1
        if refusal is not None:
            row.state = ImportState.FAILED
            row.error = f"{refusal.reason}: {refusal.detail}" if refusal.detail else refusal.reason
            emit(session, ImportFailed(ImportView.of(row), before, now))
            return
        row.state = ImportState.DONE
        if not row.dry_run:
            await _finish(session, row)
        emit(session, ImportFinished(ImportView.of(row), before, now))


async def _finish(session: TenantSession, row: ImportRun) -> None:
    upload = await access.upload(session, row.upload_id)
    mapping = msgspec.json.decode(row.mapping, type=CsvMapping)
    await recording.finish(session, await _origin(session, row, judging.digest_of(mapping, upload)))
    if row.mode is ImportMode.SNAPSHOT:
        await session.flush()
        await closing.propose(session, row)


async def _stopped(work: Work) -> None:
    """An import that was told to stop has stopped; one that is not to be run stays as it is."""
    async with work.step() as session:
        row = await access.import_run(session, work.import_id, lock=True)
        if row.state is ImportState.CANCELLING:
            await cancelled(session, row, await now_of(session))


async def cancelled(session: TenantSession, row: ImportRun, now: datetime) -> None:
    """Nobody works on the import any more; what it has brought in stays until it is undone."""
    before = ImportView.of(row)
    row.state, row.finished_at, row.version = ImportState.CANCELLED, now, row.version + 1
    emit(session, ImportCancelled(ImportView.of(row), before, now))
