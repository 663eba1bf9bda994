"""Undo an import: what it created and nothing has touched since is taken back, the rest is listed for a person."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import text

from billing_connectors import recording
from billing_connectors.csv_files.mapping import CsvMapping
from billing_connectors.file_imports import access, judging
from billing_connectors.file_imports.events import ImportUndone
from billing_connectors.file_imports.models import ImportRun, ImportState, UndoOutcome
from billing_connectors.file_imports.running import Params
from billing_connectors.file_imports.views import ImportView
from receivables.models import CreditNote, Invoice
from receivables.retracting import retract_credit_note, retract_invoice, untouched
from storage.clocks import now_of
from storage.events import emit
from storage.jobs import JOBS, JobContext, Paused
from storage.queues import Claim, still_held
from storage.registry import runs
from storage.session import Cause, TenantSession, tenant_of
from tenants.advancing import JobLost

JOB: Final = "import.undo"
BATCH: Final = 100


@runs(JOB)
async def undo(context: JobContext) -> None:
    """Take an import back, a batch a transaction; run again, it goes on with what is left. Raises JobLost, Paused."""
    wanted = msgspec.json.decode(context.params, type=Params)
    cause = Cause(kind="job", id=f"{JOB}:{wanted.import_id}", on_behalf_of=wanted.caller)

    @asynccontextmanager
    async def step() -> AsyncGenerator[TenantSession]:
        async with context.database.tenant(context.tenant_id, cause) as session:
            if not await still_held(session, JOBS, [Claim(context.tenant_id, context.job_id, context.fence)]):
                raise JobLost
            yield session

    while True:
        if context.pausing():
            raise Paused
        async with step() as session:
            await recording.serialise(session)
            row = await access.import_run(session, wanted.import_id, lock=True)
            if row.state is not ImportState.UNDOING:
                return
            if not await _undo_some(session, row):
                await _end(session, row)
                return


async def _undo_some(session: TenantSession, row: ImportRun) -> int:
    values = {"tenant_id": tenant_of(session), "import_id": row.id, "rows": BATCH}
    found = (await session.execute(_CREATED, values)).all()
    if not found:
        return 0
    now = await now_of(session)
    invoices = [each.object_id for each in found if each.kind == "invoice"]
    notes = [each.object_id for each in found if each.kind == "credit_note"]
    free = await _without_holds(session, await untouched(session, Invoice, invoices)) if invoices else set[UUID]()
    for invoice_id in sorted(free):
        await retract_invoice(session, invoice_id, now)
    free_notes = await untouched(session, CreditNote, notes) if notes else set[UUID]()
    for note_id in sorted(free_notes):
        await retract_credit_note(session, note_id, now)
    voided = free | free_notes
    for outcome, lines in (
        (UndoOutcome.VOIDED, [each.line for each in found if each.object_id in voided]),
        (UndoOutcome.KEPT, [each.line for each in found if each.object_id not in voided]),
    ):
        await session.execute(_MARKED, values | {"undo": outcome.value, "lines": lines})
    row.rows_voided += sum(each.object_id in voided for each in found)
    row.rows_kept += sum(each.object_id not in voided for each in found)
    row.version += 1
    return len(found)


_CREATED: Final = text("""
select line, kind, object_id from app.import_row
where tenant_id = :tenant_id and import_id = :import_id and status = 'created' and undo is null
  and object_id is not null
order by line limit :rows
""")
_MARKED: Final = text("""
update app.import_row set undo = :undo
where tenant_id = :tenant_id and import_id = :import_id and line = any(cast(:lines as bigint[]))
""")


async def _without_holds(session: TenantSession, invoice_ids: set[UUID]) -> set[UUID]:
    """Somebody has looked at an invoice that is held: it is not taken away under that person's eyes."""
    values = {"tenant_id": tenant_of(session), "ids": list(invoice_ids)}
    return invoice_ids - set((await session.execute(_HELD, values)).scalars())


_HELD: Final = text(
    "select distinct invoice_id from app.hold where tenant_id = :tenant_id and invoice_id = any(cast(:ids as uuid[]))"
)  # bounded: by the invoices asked for


async def _end(session: TenantSession, row: ImportRun) -> None:
    before, now = ImportView.of(row), await now_of(session)
    upload = await access.upload(session, row.upload_id)
    mapping = msgspec.json.decode(row.mapping, type=CsvMapping)
    await recording.forget(session, judging.digest_of(mapping, upload))
    row.state, row.finished_at, row.version = ImportState.UNDONE, now, row.version + 1
    emit(session, ImportUndone(ImportView.of(row), before, now))
