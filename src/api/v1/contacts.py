"""Contacts: the people and mailboxes of a debtor that messages go to."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from api.fields import IdText, Language, Name, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.creditors import Email, Phone, Zone
from api.v1.drafting import sent
from api.v1.filters import DebtorFilter
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, queries
from receivables.contacts import MAX_POSITION, archive_contact, create_contact, update_contact
from receivables.drafts import ContactChange, NewContact
from receivables.errors import ContactArchived, ContactNotFound, DebtorErased, DebtorNotFound
from receivables.party_models import ContactRole
from receivables.views import ContactView
from storage.session import TenantSession

Roles = Annotated[list[ContactRole], Meta(max_length=len(ContactRole))]
Position = Annotated[int, Meta(ge=0, le=MAX_POSITION, description="Of several contacts the lowest comes first.")]


def changed_roles(given: list[ContactRole] | UnsetType | None) -> tuple[ContactRole, ...] | UnsetType | None:
    """Read roles, where they were sent."""
    return tuple(given) if isinstance(given, list) else given


class ContactIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A contact to be made."""

    debtor_id: IdText
    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None
    language: Language | None = None
    zone: Zone | None = None
    roles: Roles | None = None  # unless given, billing
    billing: bool | UnsetType = UNSET  # the role of that name: receives reminders
    primary: bool = False
    position: Position = 0


class ContactPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a contact can be changed."""

    name: Name | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    language: Language | UnsetType | None = UNSET
    zone: Zone | UnsetType | None = UNSET
    roles: Roles | UnsetType = UNSET
    billing: bool | UnsetType = UNSET
    primary: bool | UnsetType = UNSET
    position: Position | UnsetType = UNSET


class Contacts(Controller):
    """Reminders go to the first contact with the role of billing whose channel is open, the primary one before all.

    A debtor into whom others were merged has their contacts too.
    """

    path = "/v1/contacts"
    tags = ["Contacts"]

    @post(operation_id="createContact", opt=needs("contacts:write"), responses=problems(DebtorNotFound, DebtorErased))
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[ContactIn]
    ) -> ContactView:
        """Give a debtor a contact."""
        roles = changed_roles(data.roles)
        new = NewContact(**sent(data, debtor_id=body_id(data.debtor_id, "dbt", "debtor_id"), roles=roles))
        return await create_contact(session, new, now)

    @get(operation_id="listContacts", opt=needs("contacts:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        role: Annotated[ContactRole | None, QueryParameter(name="role")] = None,
        archived: Annotated[bool | None, QueryParameter(name="archived")] = None,
    ) -> PageOf[ContactView]:
        """List contacts, the newest first."""
        rows = await queries.contacts(
            session,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            role=role,
            archived=archived,
            after=page.after_id(),
            limit=page.fetch,
        )
        return page.of(rows, lambda view: view, lambda view: [ids.decode("ctc", view.id).hex])

    @get(
        "/{contact_id:str}",
        operation_id="getContact",
        opt=needs("contacts:read"),
        responses=problems(ContactNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], contact_id: FromPath[str]) -> ContactView:
        """Read one contact."""
        return ContactView.of(await access.contact(session, ids.decode("ctc", contact_id)))

    @patch(
        "/{contact_id:str}",
        operation_id="updateContact",
        opt=needs("contacts:write"),
        responses=problems(ContactNotFound, ContactArchived, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        contact_id: FromPath[str],
        data: JSONBody[ContactPatch],
    ) -> ContactView:
        """Change a contact."""
        change = ContactChange(**sent(data, roles=changed_roles(data.roles)))
        wanted = ids.decode("ctc", contact_id)
        return await update_contact(session, wanted, change, now, expected_version=expected_version)

    @post(
        "/{contact_id:str}/archive",
        operation_id="archiveContact",
        status_code=200,
        opt=needs("contacts:write"),
        responses=problems(ContactNotFound, PreconditionFailed),
    )
    async def archive(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        contact_id: FromPath[str],
    ) -> ContactView:
        """Send nothing to this contact any more."""
        return await archive_contact(session, ids.decode("ctc", contact_id), now, expected_version=expected_version)
