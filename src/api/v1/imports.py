"""Imports: a file of rows brought in, tried before and taken back after."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.exchange import Exchange
from api.fields import IdText, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from billing_connectors.csv_files.mapping import BadMapping, CsvMapping
from billing_connectors.documents.canonical import Document
from billing_connectors.file_imports import access, asking, closing, exporting, queries
from billing_connectors.file_imports.asking import NewImport, Preview
from billing_connectors.file_imports.closing import Choice
from billing_connectors.file_imports.errors import (
    FileUnreadable,
    ImportNotEnded,
    ImportNotFound,
    ImportNotReady,
    ImportNotRunning,
    ImportNotUndoable,
    MappingNotFound,
    UploadNotFound,
    UploadRemoved,
)
from billing_connectors.file_imports.models import (
    ClosingState,
    ImportKind,
    ImportMode,
    ImportState,
    RowStatus,
    UndoOutcome,
)
from billing_connectors.file_imports.queries import RowFilter
from billing_connectors.file_imports.views import (
    ImportClosingView,
    ImportRowView,
    ImportView,
)
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import Fault, Invalid
from receivables.errors import CreditorNotFound
from storage.session import TenantSession
from tenants.caller import Caller

SHOWN = 100
MAX_DECIDED = 1_000


class ImportIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An import to be laid out. Without a mapping the one that the upload's detection proposes is taken."""

    upload_id: IdText
    kind: ImportKind = ImportKind.INVOICES
    mode: ImportMode = ImportMode.DELTA
    creditor_id: IdText | None = None  # whose sales these are, where the file does not say; a snapshot's whole
    mapping_id: IdText | None = None
    mapping: CsvMapping | None = None
    dry_run: bool = False  # every row is judged as it would be, and nothing is brought in
    backfill: bool = False  # bulk history: its events are not delivered to webhooks by themselves


class PreviewRow(Struct, kw_only=True):
    """One row as it would be read, and what would become of it."""

    line: int
    status: RowStatus
    document: Document | None
    reason: str | None
    column: str | None
    detail: str | None
    warnings: list[str]


class PreviewOut(Struct, kw_only=True):
    """The first rows of an import, tried and rolled back."""

    rows_tried: int
    is_whole: bool  # there are no more rows than these
    counts: dict[str, int]  # rows by status
    reasons: dict[str, int]  # rows that would not be taken, by reason
    rows: list[PreviewRow]  # the first of them
    not_taken: list[PreviewRow]  # the first that would not be


class ClosingDecision(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which of the items that a snapshot no longer names are closed, and which stay open."""

    accept: Literal["all"] | Annotated[list[IdText], Meta(max_length=MAX_DECIDED)] = []
    reject: Literal["all"] | Annotated[list[IdText], Meta(max_length=MAX_DECIDED)] = []


class ClosingsDecided(Struct, kw_only=True):
    """How many were decided on now; the job closes those that were accepted."""

    accepted: int
    rejected: int
    job_id: str | None


class Imports(Controller):
    """Laid out, tried, run by a worker a thousand rows at a time, stopped and undone."""

    path = "/v1/imports"
    tags = ["Imports"]

    @post(
        operation_id="createImport",
        opt=needs("imports:write"),
        responses=problems(
            UploadNotFound, UploadRemoved, MappingNotFound, CreditorNotFound, BadMapping, FileUnreadable
        ),
    )
    async def create(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        resources: NamedDependency[Resources],
        data: JSONBody[ImportIn],
    ) -> ImportView:
        """Lay out an import of an upload; nothing is brought in before it is run."""
        new = NewImport(
            upload_id=body_id(data.upload_id, "upl", "upload_id"),
            kind=data.kind,
            mode=data.mode,
            creditor_id=None if data.creditor_id is None else body_id(data.creditor_id, "crd", "creditor_id"),
            mapping_id=None if data.mapping_id is None else body_id(data.mapping_id, "imm", "mapping_id"),
            mapping=data.mapping,
            dry_run=data.dry_run,
            backfill=data.backfill,
        )
        return await asking.create(session, resources.database.keys, new, now)

    @get(operation_id="listImports", opt=needs("imports:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        upload: Annotated[str | None, QueryParameter(name="upload", description="Of this upload.")] = None,
        stage: Annotated[ImportState | None, QueryParameter(name="state", description="In this state.")] = None,
    ) -> PageOf[ImportView]:
        """List imports, the newest first."""
        upload_id = id_filter(upload, "upload", "upl")
        rows = await queries.imports(session, upload_id=upload_id, state=stage, after=page.after_id(), limit=page.fetch)
        return page.of(rows, ImportView.of, lambda row: [row.id.hex])

    @get("/{import_id:str}", operation_id="getImport", opt=needs("imports:read"), responses=problems(ImportNotFound))
    async def read(self, session: NamedDependency[TenantSession], import_id: FromPath[str]) -> ImportView:
        """Read how far an import is and what has come of it."""
        return ImportView.of(await access.import_run(session, ids.decode("imp", import_id)))

    @post(
        "/{import_id:str}/preview",
        operation_id="previewImport",
        status_code=200,
        opt=needs("imports:write"),
        responses=problems(ImportNotFound, UploadRemoved, FileUnreadable),
    )
    async def preview(
        self,
        session: NamedDependency[TenantSession],
        exchange: NamedDependency[Exchange],
        resources: NamedDependency[Resources],
        import_id: FromPath[str],
    ) -> PreviewOut:
        """Try the first thousand rows as they would be brought in; nothing is kept of it."""
        exchange.looks_only = True
        return _preview(await asking.preview(session, resources.database.keys, ids.decode("imp", import_id)))

    @post(
        "/{import_id:str}/run",
        operation_id="runImport",
        status_code=202,
        opt=needs("imports:write"),
        responses=problems(ImportNotFound, ImportNotReady, UploadRemoved),
    )
    async def run(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        caller: NamedDependency[Caller],
        exchange: NamedDependency[Exchange],
        import_id: FromPath[str],
    ) -> ImportView:
        """Have a worker bring the rows in."""
        view = await asking.start(session, ids.decode("imp", import_id), now, caller=caller.id)
        exchange.say("Location", f"/v1/imports/{view.id}")
        return view

    @post(
        "/{import_id:str}/cancel",
        operation_id="cancelImport",
        status_code=200,
        opt=needs("imports:write"),
        responses=problems(ImportNotFound, ImportNotRunning),
    )
    async def cancel(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], import_id: FromPath[str]
    ) -> ImportView:
        """Stop after the batch that is under way; what has been brought in stays, until it is undone."""
        return await asking.cancel(session, ids.decode("imp", import_id), now)

    @post(
        "/{import_id:str}/undo",
        operation_id="undoImport",
        status_code=202,
        opt=needs("imports:write"),
        responses=problems(ImportNotFound, ImportNotUndoable),
    )
    async def undo(
        self,
        session: NamedDependency[TenantSession],
        caller: NamedDependency[Caller],
        exchange: NamedDependency[Exchange],
        import_id: FromPath[str],
    ) -> ImportView:
        """Void what the import created and nothing has touched since; the rest is listed by `?undo=kept`."""
        view = await asking.undo(session, ids.decode("imp", import_id), caller=caller.id)
        exchange.say("Location", f"/v1/imports/{view.id}")
        return view

    @get(
        "/{import_id:str}/mapping",
        operation_id="getImportsMapping",
        opt=needs("imports:read"),
        responses=problems(ImportNotFound),
    )
    async def mapping(self, session: NamedDependency[TenantSession], import_id: FromPath[str]) -> CsvMapping:
        """Read the mapping as it was when the import was made."""
        return asking.mapping_of(await access.import_run(session, ids.decode("imp", import_id)))

    @get(
        "/{import_id:str}/rows",
        operation_id="listImportRows",
        opt=needs("imports:read"),
        responses=problems(ImportNotFound, CursorInvalid),
    )
    async def rows(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        import_id: FromPath[str],
        status: Annotated[RowStatus | None, QueryParameter(name="status")] = None,
        undo: Annotated[UndoOutcome | None, QueryParameter(name="undo")] = None,
    ) -> PageOf[ImportRowView]:
        """List what became of the rows, in the order of the file."""
        run = await access.import_run(session, ids.decode("imp", import_id))
        wanted = RowFilter(statuses=() if status is None else (status,), undo=undo)
        rows = await queries.rows(session, run.id, wanted, after=page.after_int(), limit=page.fetch)
        return page.of(rows, ImportRowView.of, lambda row: [row.line])

    @get(
        "/{import_id:str}/not_taken",
        operation_id="exportImportRows",
        opt=needs("imports:read"),
        media_type="text/csv",
        responses=problems(ImportNotFound),
    )
    async def not_taken(
        self,
        session: NamedDependency[TenantSession],
        exchange: NamedDependency[Exchange],
        resources: NamedDependency[Resources],
        import_id: FromPath[str],
        after: Annotated[
            int | None, QueryParameter(name="after", ge=0, le=2**53 - 1, description="Rows after this line.")
        ] = None,
    ) -> Response[bytes]:
        """Download the rows that were refused or quarantined as CSV with the reason, to correct and send again.

        At most 10,000 at once; `Link: rel="next"` says where to go on.
        """
        wanted = ids.decode("imp", import_id)
        content, last = await exporting.not_taken(session, resources.database.keys, wanted, after=after)
        if last is not None:
            exchange.say("Link", f'<{exchange.path}?after={last}>; rel="next"')
        headers = {"Content-Disposition": 'attachment; filename="not-taken.csv"'}
        return Response(content, media_type="text/csv", headers=headers)

    @get(
        "/{import_id:str}/closings",
        operation_id="listImportClosings",
        opt=needs("imports:read"),
        responses=problems(ImportNotFound, CursorInvalid),
    )
    async def closings(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        import_id: FromPath[str],
        stage: Annotated[ClosingState | None, QueryParameter(name="state")] = None,
    ) -> PageOf[ImportClosingView]:
        """List the open items that a snapshot no longer names, to be closed or not."""
        run = await access.import_run(session, ids.decode("imp", import_id))
        rows = await queries.closings(session, run.id, stage, after=page.after_id(), limit=page.fetch)
        return page.of(rows, ImportClosingView.of, lambda row: [row.object_id.hex])

    @post(
        "/{import_id:str}/closings/decide",
        operation_id="decideImportClosings",
        status_code=202,
        opt=needs("imports:write"),
        responses=problems(ImportNotFound, ImportNotEnded),
    )
    async def decide(
        self,
        session: NamedDependency[TenantSession],
        caller: NamedDependency[Caller],
        exchange: NamedDependency[Exchange],
        import_id: FromPath[str],
        data: JSONBody[ClosingDecision],
    ) -> ClosingsDecided:
        """Close what was accepted, in one call for all or some; what was decided before stays as it was."""
        run = await access.import_run(session, ids.decode("imp", import_id), lock=True)
        if run.state is not ImportState.DONE or run.mode is not ImportMode.SNAPSHOT:
            raise ImportNotEnded
        accept, reject = _chosen(data.accept, "accept"), _chosen(data.reject, "reject")
        found = await closing.decide(session, run, accept=accept, reject=reject, caller=caller.id)
        job_id = None if found.job_id is None else ids.encode("job", found.job_id)
        exchange.say("Location", f"/v1/imports/{ids.encode('imp', run.id)}" if job_id is None else f"/v1/jobs/{job_id}")
        return ClosingsDecided(accepted=found.accepted, rejected=found.rejected, job_id=job_id)


def _chosen(given: Literal["all"] | list[str], name: str) -> Choice:
    if given == "all":
        return "all"
    return [_document_id(each, f"/body/{name}/{place}") for place, each in enumerate(given)]


def _document_id(text: str, pointer: str) -> UUID:
    found = ids.read("inv", text) or ids.read("crn", text)
    if found is None:
        raise Invalid(errors=[Fault(pointer=pointer, code="invalid_value", message="not such an id")])
    return found


def _preview(found: Preview) -> PreviewOut:
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    shown: list[PreviewRow] = []
    not_taken: list[PreviewRow] = []
    for one in found.verdicts:
        counts[one.status] = counts.get(one.status, 0) + 1
        row = PreviewRow(
            line=one.row.line,
            status=one.status,
            document=found.documents.get(one.row.line),
            reason=one.reason,
            column=one.header,
            detail=one.detail,
            warnings=list(one.warnings),
        )
        if len(shown) < SHOWN:
            shown.append(row)
        if one.status in asking.NOT_TAKEN:
            reasons[one.reason or ""] = reasons.get(one.reason or "", 0) + 1
            if len(not_taken) < SHOWN:
                not_taken.append(row)
    return PreviewOut(
        rows_tried=len(found.verdicts),
        is_whole=found.is_whole,
        counts=counts,
        reasons=reasons,
        rows=shown,
        not_taken=not_taken,
    )
