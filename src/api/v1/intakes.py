"""What comes in: documents sent here, import addresses, and what became of each."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from api.exchange import Exchange
from api.fields import IdText, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from api.v1.filters import CreditorFilter
from api.v1.uploads import FileName
from billing_connectors.intakes import inboxes, queries
from billing_connectors.intakes.errors import (
    BadSender,
    InboxClosed,
    InboxNotFound,
    IntakeNotFound,
    IntakeNotRead,
    NoContent,
)
from billing_connectors.intakes.models import Channel, IntakeState
from billing_connectors.intakes.queries import IntakeFilter
from billing_connectors.intakes.receiving import Arrival, intake, receive
from billing_connectors.intakes.reports import report_of
from billing_connectors.intakes.views import INBOX, INTAKE, InboxView, IntakeReport, IntakeView
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access
from receivables.errors import CreditorNotFound
from storage.blobs import MAX_BYTES, BlobTooLarge, PostgresBlobs
from storage.session import TenantSession

Sender = Annotated[str, Meta(min_length=3, max_length=254, description="name@example.com, or example.com.")]
Senders = Annotated[list[Sender], Meta(max_length=inboxes.MAX_SENDERS)]


class InboxIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An import address to be opened; without senders everybody who knows it may send."""

    senders: Senders = []
    creditor_id: IdText | None = None


class InboxPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of an import address can be changed."""

    senders: Senders | UnsetType = UNSET


class Inboxes(Controller):
    """An import address is its id before the at sign, at the deployment's own domain."""

    path = "/v1/inboxes"
    tags = ["Documents in"]

    @post(operation_id="createInbox", opt=needs("documents:write"), responses=problems(CreditorNotFound, BadSender))
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[InboxIn]
    ) -> InboxView:
        """Open an import address."""
        creditor_id = None if data.creditor_id is None else body_id(data.creditor_id, "crd", "creditor_id")
        return await inboxes.open_inbox(session, creditor_id, data.senders, now)

    @get(operation_id="listInboxes", opt=needs("documents:read"), responses=problems(CursorInvalid))
    async def index(self, session: NamedDependency[TenantSession], page: NamedDependency[Page]) -> PageOf[InboxView]:
        """List import addresses, the newest first."""
        rows = await queries.inboxes(session, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode(INBOX, view.id).hex])

    @get("/{inbox_id:str}", operation_id="getInbox", opt=needs("documents:read"), responses=problems(InboxNotFound))
    async def read(self, session: NamedDependency[TenantSession], inbox_id: FromPath[str]) -> InboxView:
        """Read one import address."""
        return InboxView.of(await inboxes.inbox(session, ids.decode(INBOX, inbox_id)))

    @patch(
        "/{inbox_id:str}",
        operation_id="updateInbox",
        opt=needs("documents:write"),
        responses=problems(InboxNotFound, InboxClosed, BadSender, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        inbox_id: FromPath[str],
        data: JSONBody[InboxPatch],
    ) -> InboxView:
        """Say who may send to an import address."""
        wanted = ids.decode(INBOX, inbox_id)
        return await inboxes.update_inbox(session, wanted, data.senders, now, expected_version=expected_version)

    @post(
        "/{inbox_id:str}/close",
        operation_id="closeInbox",
        status_code=200,
        opt=needs("documents:write"),
        responses=problems(InboxNotFound, InboxClosed),
    )
    async def close(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], inbox_id: FromPath[str]
    ) -> InboxView:
        """Take nothing more at an import address, for good."""
        return await inboxes.close_inbox(session, ids.decode(INBOX, inbox_id), now)


class DocumentsIn(Controller):
    """Documents that a program sends: an e-invoice, accounting entries, or a zip archive of any number of them."""

    path = "/v1/documents"
    tags = ["Documents in"]

    @post(
        operation_id="sendDocuments",
        status_code=202,
        opt=needs("documents:write", upload=MAX_BYTES),
        responses=problems(CreditorNotFound, NoContent, BlobTooLarge),
    )
    async def create(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        exchange: NamedDependency[Exchange],
        resources: NamedDependency[Resources],
        *,
        name: FileName = None,
        creditor: CreditorFilter = None,
    ) -> IntakeView:
        """Send a file as the body, up to 50 MiB: it is kept, and a job reads it; the report says what became of it."""
        content = b"" if exchange.spool is None else exchange.spool.file.read()
        if not content:
            raise NoContent
        creditor_id = id_filter(creditor, "creditor", "crd")
        if creditor_id is not None:
            await access.creditor(session, creditor_id)
        arrival = Arrival(channel=Channel.API, content=content, name=name, creditor_id=creditor_id)
        return await receive(session, PostgresBlobs(resources.database.keys), arrival, now)


class Intakes(Controller):
    """Files that came in together, by mail or over the API."""

    path = "/v1/intakes"
    tags = ["Documents in"]

    @get(operation_id="listIntakes", opt=needs("documents:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        channel: Annotated[Channel | None, QueryParameter(name="channel")] = None,
        in_state: Annotated[IntakeState | None, QueryParameter(name="state")] = None,
        inbox: Annotated[str | None, QueryParameter(name="inbox", description="inb_…")] = None,
    ) -> PageOf[IntakeView]:
        """List what came in, the newest first."""
        wanted = IntakeFilter(channel=channel, state=in_state, inbox_id=id_filter(inbox, "inbox", INBOX))
        rows = await queries.intakes(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode(INTAKE, view.id).hex])

    @get("/{intake_id:str}", operation_id="getIntake", opt=needs("documents:read"), responses=problems(IntakeNotFound))
    async def read(self, session: NamedDependency[TenantSession], intake_id: FromPath[str]) -> IntakeView:
        """Read one intake: how far it is, and how many documents became what."""
        return IntakeView.of(await intake(session, ids.decode(INTAKE, intake_id)))

    @get(
        "/{intake_id:str}/report",
        operation_id="getIntakeReport",
        opt=needs("documents:read"),
        responses=problems(IntakeNotFound, IntakeNotRead),
    )
    async def report(self, session: NamedDependency[TenantSession], intake_id: FromPath[str]) -> IntakeReport:
        """Read what became of each document of an intake."""
        return await report_of(session, ids.decode(INTAKE, intake_id))
