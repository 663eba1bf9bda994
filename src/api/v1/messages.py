"""Messages, what they said, opt-outs, and the mails that a sandbox captured."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from api.fields import ID, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from kernel import ids
from kernel.cursors import CursorInvalid
from messaging import captured, copies, queries, resolving
from messaging.captured import Mail
from messaging.errors import CopyErased, MessageNotFound, MessageNotUnknown
from messaging.resolving import Resolution
from messaging.views import MessageView, OptOutView
from storage.session import TenantSession

DebtorFilter = Annotated[str | None, QueryParameter(name="debtor", pattern=ID, description="Only of this debtor.")]


class Shown(StrEnum):
    """A message's states as the world sees them."""

    PLANNED = "planned"
    DISPATCHING = "dispatching"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"


StateFilter = Annotated[Shown | None, QueryParameter(name="state")]


class MessageCopyView(Struct, frozen=True, kw_only=True):
    """What a message said, word for word."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str


class ResolutionIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person found out about a message whose fate was unknown."""

    resolution: Resolution


class Messages(Controller):
    """One message goes to one recipient on one day and carries every notice due."""

    path = "/v1/messages"
    tags = ["Messages"]

    @get(operation_id="listMessages", opt=needs("messages:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        debtor: DebtorFilter = None,
        in_state: StateFilter = None,
    ) -> PageOf[MessageView]:
        """List messages, the newest first."""
        rows = await queries.messages(
            session,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            state=None if in_state is None else in_state.value,
            after=page.after_id(),
            limit=page.fetch,
        )
        return page.of(rows, MessageView.of, lambda row: [row.id.hex])

    @get(
        "/{message_id:str}",
        operation_id="getMessage",
        opt=needs("messages:read"),
        responses=problems(MessageNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], message_id: FromPath[str]) -> MessageView:
        """Read one message."""
        return MessageView.of(await queries.message(session, ids.decode("msg", message_id)))

    @get(
        "/{message_id:str}/copy",
        operation_id="getMessageCopy",
        opt=needs("messages:read"),
        responses=problems(MessageNotFound, CopyErased),
    )
    async def copy(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        message_id: FromPath[str],
    ) -> MessageCopyView:
        """Read what a message said."""
        row = await queries.message(session, ids.decode("msg", message_id))
        said = await copies.read(session, resources.database.keys, row.id)
        return MessageCopyView(
            message_id=ids.encode("msg", row.id),
            recipient=said.recipient,
            subject=said.subject,
            text=said.text,
            html=said.html,
        )

    @post(
        "/{message_id:str}/resolve",
        operation_id="resolveMessage",
        status_code=200,
        opt=needs("messages:write", key="required"),
        responses=problems(MessageNotFound, MessageNotUnknown),
    )
    async def resolve(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        now: NamedDependency[datetime],
        message_id: FromPath[str],
        data: JSONBody[ResolutionIn],
    ) -> MessageView:
        """Say whether a message was received of which nobody knew."""
        gate = resources.database.registry.gate
        return await resolving.resolve(session, gate, ids.decode("msg", message_id), data.resolution, now)


class OptOuts(Controller):
    """A contact that closed a channel; the chase goes on by a task."""

    path = "/v1/opt_outs"
    tags = ["Messages"]

    @get(operation_id="listOptOuts", opt=needs("opt_outs:read"), responses=problems(CursorInvalid))
    async def index(
        self, session: NamedDependency[TenantSession], page: NamedDependency[Page], debtor: DebtorFilter = None
    ) -> PageOf[OptOutView]:
        """List opt-outs, the newest first."""
        rows = await queries.opt_outs(
            session, debtor_id=id_filter(debtor, "debtor", "dbt"), after=page.after_id(), limit=page.fetch
        )
        return page.of(rows, OptOutView.of, lambda row: [row.id.hex])


class Mails(Controller):
    """What a sandbox sent: kept here, delivered to nobody."""

    path = "/v1/test_helpers/mails"
    tags = ["Test helpers"]

    @get(operation_id="listCapturedMails", opt=needs("test_helpers:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        page: NamedDependency[Page],
    ) -> PageOf[Mail]:
        """List captured mails, the oldest first."""
        rows = await captured.mails(session, resources.database.keys, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda row: row, lambda row: [ids.decode("mai", row.id).hex])
