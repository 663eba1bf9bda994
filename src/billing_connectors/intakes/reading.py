"""Read what has come in: the job that brings its documents in and writes the report."""

import asyncio
from collections import Counter
from typing import Final
from uuid import UUID

import msgspec

from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.importing import desk_of, import_file
from billing_connectors.intakes import events
from billing_connectors.intakes.mails import File, files_of
from billing_connectors.intakes.models import Channel, IntakeState
from billing_connectors.intakes.receiving import RETENTION, intake
from billing_connectors.intakes.views import INTAKE, IntakeReport, IntakeView, ReportLine
from kernel import ids
from kernel.errors import AppError
from storage.blobs import PostgresBlobs
from storage.clocks import now_of
from storage.events import emit
from storage.jobs import JOBS, JobContext
from storage.queues import Claim, still_held
from storage.session import Cause, TenantSession

MAX_LINES: Final = 5_000  # of a report; what is counted is everything


async def read_intake(context: JobContext) -> None:
    """Bring the documents of an intake in; run again, what was brought in is passed over."""
    intake_id = UUID(context.params)
    cause = Cause(kind="job", id=ids.encode(INTAKE, intake_id))
    blobs = PostgresBlobs(context.database.keys)
    async with context.database.tenant(context.tenant_id, cause) as session:
        row = await intake(session, intake_id)
        if row.state is not IntakeState.RECEIVED:
            return
        content = await blobs.get(session, row.blob_id)
        channel, name, creditor_id = row.channel, row.name, row.creditor_id
    files = await asyncio.to_thread(files_of, content) if channel is Channel.MAIL else [File(name or "file", content)]
    counts: Counter[str] = Counter()
    lines: list[ReportLine] = []
    reason = None if files else "no_attachment"
    with ConfinedReader() as reader:
        desk = desk_of(context.database, context.tenant_id, reader, cause=cause, creditor_id=creditor_id)
        try:
            for file in files:
                async for one in import_file(desk, file.name, file.content):
                    counts[one.verdict.status] += 1
                    if len(lines) < MAX_LINES:
                        lines.append(ReportLine(verdict=one.verdict, line=one.line, detail=one.detail))
        except AppError as error:
            reason = error.code
    report = IntakeReport(
        intake_id=ids.encode(INTAKE, intake_id), reason=reason, is_cut=counts.total() > len(lines), documents=lines
    )
    async with context.database.tenant(context.tenant_id, cause) as session:
        if await still_held(session, JOBS, [Claim(context.tenant_id, context.job_id, context.fence)]):
            await _finish(session, blobs, intake_id, report, counts)


async def _finish(
    session: TenantSession, blobs: PostgresBlobs, intake_id: UUID, report: IntakeReport, counts: Counter[str]
) -> None:
    row, now = await intake(session, intake_id), await now_of(session)
    if row.state is not IntakeState.RECEIVED:
        return
    before = IntakeView.of(row)
    ref = await blobs.put(session, content=msgspec.json.encode(report), kind="intake_report", retention=RETENTION)
    row.report_id, row.finished_at, row.version = ref.id, now, row.version + 1
    row.state = IntakeState.READ if report.reason is None else IntakeState.FAILED
    for status in ("imported", "updated", "unchanged", "rejected", "quarantined"):
        setattr(row, status, counts[status])
    after = IntakeView.of(row)
    kind = events.IntakeRead if report.reason is None else events.IntakeFailed
    emit(session, kind(after, before, now))
