"""Uploads: files to be imported, sent as they are; and what they look like."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.exchange import Exchange
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from billing_connectors.file_imports import access, asking, queries, uploads
from billing_connectors.file_imports.detecting import Detection
from billing_connectors.file_imports.errors import (
    FileUnreadable,
    UploadEmpty,
    UploadNotFound,
    UploadRemoved,
    UploadTooLarge,
    UploadUnsupported,
)
from billing_connectors.file_imports.views import UploadView
from kernel import ids
from kernel.cursors import CursorInvalid
from storage.session import TenantSession

FileName = Annotated[
    str | None,
    QueryParameter(
        name="name", min_length=1, max_length=200, description="What the file is called; its content says what it is."
    ),
]


class Uploads(Controller):
    """A file is sent once, as it is, and imported as often as is needed until it reads rightly."""

    path = "/v1/uploads"
    tags = ["Imports"]

    @post(
        operation_id="createUpload",
        opt=needs("uploads:write", upload=uploads.MAX_BYTES),
        responses=problems(UploadEmpty, UploadTooLarge, UploadUnsupported),
    )
    async def create(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        exchange: NamedDependency[Exchange],
        resources: NamedDependency[Resources],
        name: FileName = None,
    ) -> UploadView:
        """Send a CSV, NDJSON or XLSX file as the body, up to 256 MiB (a workbook 64 MiB)."""
        if exchange.spool is None:
            raise UploadEmpty
        return await uploads.keep(session, resources.database.keys, exchange.spool.file, now, name=name)

    @get(operation_id="listUploads", opt=needs("uploads:read"), responses=problems(CursorInvalid))
    async def index(self, session: NamedDependency[TenantSession], page: NamedDependency[Page]) -> PageOf[UploadView]:
        """List uploads, the newest first."""
        rows = await queries.uploads(session, after=page.after_id(), limit=page.fetch)
        return page.of(rows, UploadView.of, lambda row: [row.id.hex])

    @get("/{upload_id:str}", operation_id="getUpload", opt=needs("uploads:read"), responses=problems(UploadNotFound))
    async def read(self, session: NamedDependency[TenantSession], upload_id: FromPath[str]) -> UploadView:
        """Read what is known of an upload."""
        return UploadView.of(await access.upload(session, ids.decode("upl", upload_id)))

    @get(
        "/{upload_id:str}/detection",
        operation_id="detectUpload",
        opt=needs("uploads:read"),
        responses=problems(UploadNotFound, UploadRemoved, FileUnreadable),
    )
    async def detection(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        upload_id: FromPath[str],
    ) -> Detection:
        """Say how the file is written and what its columns probably mean; proposes a mapping."""
        return await asking.detect(session, resources.database.keys, ids.decode("upl", upload_id))

    @delete(
        "/{upload_id:str}",
        operation_id="deleteUpload",
        status_code=200,
        opt=needs("uploads:write"),
        responses=problems(UploadNotFound),
    )
    async def remove(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], upload_id: FromPath[str]
    ) -> UploadView:
        """Make the content unreadable for good; what was imported from it stays."""
        return await uploads.remove(session, ids.decode("upl", upload_id), now)
