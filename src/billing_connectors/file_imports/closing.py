"""What a snapshot no longer names: proposed as closed, decided by somebody, closed as its source would have said it.

An item that is closed so is read as "nothing is left to pay" in the export's own reading: a later file that names it
again opens it again, and what a richer source says still counts.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct, structs
from sqlalchemy import TextClause, text

from billing_connectors import recording, statements
from billing_connectors.file_imports.models import ClosingState, ImportRun
from billing_connectors.merging import (
    LEDGER,
    Reading,
    Statement,
    credit_note_change,
    invoice_change,
    rank_of,
    with_reading,
)
from kernel import ids
from kernel.errors import AppError
from receivables import access as receivables_access
from receivables.changes import named
from receivables.corrections import correct_loaded, draft_from
from receivables.credit_notes import update_credit_note
from receivables.drafts import InvoiceChange
from receivables.locks import lock_debtors
from receivables.models import DocumentState
from receivables.posting import Posting
from storage import jobs
from storage.clocks import now_of
from storage.jobs import JOBS, JobContext, Paused
from storage.queues import Claim, still_held
from storage.registry import runs
from storage.session import Cause, TenantSession, tenant_of
from tenants.advancing import JobLost

JOB: Final = "import.close"
BATCH: Final = 200
Choice = Literal["all"] | Sequence[UUID]


class Params(Struct, frozen=True):
    """What the job `import.close` is to do."""

    import_id: UUID
    caller: str | None = None


class Decided(Struct, frozen=True):
    """How many proposals were decided on, and the job that closes the accepted ones."""

    accepted: int
    rejected: int
    job_id: UUID | None


async def propose(session: TenantSession, row: ImportRun) -> None:
    """Propose to close what came from exports, is open at this creditor, and was in no row of the file.

    A row that was not taken but whose number could be read counts as there: it is corrected, not closed.
    """
    values = {"tenant_id": tenant_of(session), "import_id": row.id, "creditor_id": row.creditor_id, "source": LEDGER}
    for statement in (_PROPOSE_INVOICES, _PROPOSE_NOTES):
        await session.execute(statement, values)


_PROPOSE: Final = """
insert into app.import_closing
  (tenant_id, import_id, object_id, kind, number, debtor_id, currency, open_minor, state)
select :tenant_id, :import_id, v.id, '{table}', v.number, v.debtor_id, v.currency, v.{left}, 'proposed'
from app.{table} v
where v.tenant_id = :tenant_id and v.creditor_id = :creditor_id and v.document = 'open' and v.{left} > 0
  and exists (select from app.source_link l where l.tenant_id = :tenant_id and l.object_id = v.id
              and l.source = :source and l.kind = '{table}')
  and not exists (select from app.import_row r where r.tenant_id = :tenant_id and r.import_id = :import_id
                  and r.object_id = v.id)
  and not exists (select from app.import_row r where r.tenant_id = :tenant_id and r.import_id = :import_id
                  and r.status in ('refused', 'quarantined') and r.number = v.number)
on conflict do nothing
"""


def _proposing(table: str, left: str) -> TextClause:
    return text(_PROPOSE.replace("{table}", table).replace("{left}", left))


_PROPOSE_INVOICES: Final = _proposing("invoice", "balance_minor")
_PROPOSE_NOTES: Final = _proposing("credit_note", "remaining_minor")


async def decide(
    session: TenantSession, row: ImportRun, *, accept: Choice, reject: Choice, caller: str | None
) -> Decided:
    """Decide on proposals, some or all at once; what was decided before stays. Accepted ones are closed by a job."""
    accepted = await _decide(session, row, accept, ClosingState.ACCEPTED)
    rejected = await _decide(session, row, reject, ClosingState.REJECTED)
    if not accepted:
        return Decided(0, rejected, None)
    job_id = ids.new_id()
    await jobs.add(session, job_id, JOB, msgspec.json.encode(Params(row.id, caller)).decode())
    return Decided(accepted, rejected, job_id)


async def _decide(session: TenantSession, row: ImportRun, chosen: Choice, state: ClosingState) -> int:
    if not chosen:
        return 0
    values = {
        "tenant_id": tenant_of(session),
        "import_id": row.id,
        "state": state.value,
        "all": chosen == "all",
        "ids": [] if chosen == "all" else list(chosen),
    }
    return int((await session.execute(_DECIDE, values)).scalar_one())


_DECIDE: Final = text("""
with decided as (
  update app.import_closing set state = :state
  where tenant_id = :tenant_id and import_id = :import_id and state = 'proposed'
    and (:all or object_id = any(cast(:ids as uuid[])))
  returning 1
)
select count(*) from decided
""")


@runs(JOB)
async def close(context: JobContext) -> None:
    """Close what was accepted, a batch a transaction; run again, it goes on with what is left. Raises JobLost."""
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
            if not await _close_some(session, wanted.import_id):
                return


async def _close_some(session: TenantSession, import_id: UUID) -> int:
    await recording.serialise(session)  # readings are not changed by two at once
    values = {"tenant_id": tenant_of(session), "import_id": import_id, "rows": BATCH}
    found = (await session.execute(_ACCEPTED, values)).all()
    if not found:
        return 0
    now = await now_of(session)
    invoices = [row.object_id for row in found if row.kind == "invoice"]
    notes = [row.object_id for row in found if row.kind == "credit_note"]
    await lock_debtors(session, {row.debtor_id for row in found})
    closed = await _close_invoices(session, invoices, now) | await _close_notes(session, notes, now)
    for state, objects in (
        (ClosingState.CLOSED, [*closed]),
        (ClosingState.STALE, [row.object_id for row in found if row.object_id not in closed]),
    ):
        await session.execute(_SETTLED, values | {"state": state.value, "ids": objects})
    return len(found)


_ACCEPTED: Final = text("""
select object_id, kind, debtor_id from app.import_closing
where tenant_id = :tenant_id and import_id = :import_id and state = 'accepted'
order by object_id limit :rows
""")
_SETTLED: Final = text("""
update app.import_closing set state = :state
where tenant_id = :tenant_id and import_id = :import_id and object_id = any(cast(:ids as uuid[]))
""")


async def _close_invoices(session: TenantSession, invoice_ids: Sequence[UUID], now: datetime) -> set[UUID]:
    if not invoice_ids:
        return set()
    posting = Posting(session, now)
    await posting.load(invoice_ids=invoice_ids)
    before = await statements.of_documents(session, invoice_ids)
    open_ = [
        invoice_id
        for invoice_id in invoice_ids
        if posting.invoices[invoice_id].document is DocumentState.OPEN and posting.invoices[invoice_id].balance_minor
    ]
    after: dict[UUID, Statement] = {}
    changes: dict[UUID, InvoiceChange] = {}
    for invoice_id in open_:
        row = posting.invoices[invoice_id]
        allocated_minor = row.total_minor - row.prepaid_minor - row.balance_minor
        reading = _settled(before[invoice_id], row.issued_on, row.total_minor, allocated_minor)
        after[invoice_id] = with_reading(before[invoice_id], LEDGER, reading)
        draft = draft_from(row, posting.lines_of(invoice_id))
        changes[invoice_id] = invoice_change(draft, before[invoice_id], after[invoice_id])
    outcomes = await correct_loaded(posting, {each: change for each, change in changes.items() if named(change)})
    done = {each for each, outcome in outcomes.items() if outcome.error is None and not _left(posting, each)}
    await statements.keep_documents(session, {each: after[each] for each in done})
    return done


def _left(posting: Posting, invoice_id: UUID) -> int:
    return posting.invoices[invoice_id].balance_minor


def _settled(before: Statement, issued_on: date, total_minor: int, allocated_minor: int) -> Reading:
    """The export's reading of an item of which nothing is left."""
    known = before.readings.get(LEDGER)
    if known is None:
        known = Reading(source=LEDGER, rank=rank_of(LEDGER), issued_on=issued_on, total_minor=total_minor)
    return structs.replace(known, left_minor=0, allocated_minor=allocated_minor)


async def _close_notes(session: TenantSession, note_ids: Sequence[UUID], now: datetime) -> set[UUID]:
    done: set[UUID] = set()
    before = await statements.of_documents(session, note_ids)
    for note_id in note_ids:
        row = await receivables_access.credit_note(session, note_id, lock=True)
        if row.document is not DocumentState.OPEN or not row.remaining_minor:
            continue
        allocated_minor = row.total_minor - row.used_minor - row.remaining_minor
        reading = _settled(before[note_id], row.issued_on, row.total_minor, allocated_minor)
        after = with_reading(before[note_id], LEDGER, reading)
        change = credit_note_change(row, before[note_id], after)
        try:
            view = await update_credit_note(session, note_id, change, now)
        except AppError:  # refused before anything was written
            continue
        if not view.remaining_minor:
            done.add(note_id)
            await statements.keep_documents(session, {note_id: after})
    return done
