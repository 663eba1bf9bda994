"""Debtors: who owes."""

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from api.fields import ID, Country, ExternalId, IdText, Language, Name, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.creditors import Address as AddressText
from api.v1.creditors import Email, Identifiers, Phone, Terms, Zone, changed_identifiers, identifiers_of
from api.v1.drafting import sent
from api.v1.filters import ExternalIdFilter
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, queries
from receivables.beside import MAX_LABELS
from receivables.debtors import archive_debtor, create_debtor, restore_debtor, update_debtor
from receivables.drafts import DebtorChange, NewDebtor
from receivables.errors import (
    DebtorErased,
    DebtorNotFound,
    DebtorOwes,
    ExternalIdTaken,
    IdentifierTaken,
    ParentInvalid,
)
from receivables.identifiers import Identifier
from receivables.models import DebtorKind
from receivables.party_models import AddressKind
from receivables.party_views import Address
from receivables.queries import DebtorFilter
from receivables.views import DebtorView
from storage.session import TenantSession

NamePrefix = Annotated[
    str | None,
    QueryParameter(name="name", min_length=1, max_length=100, description="Names that begin like this."),
]

IdentifierFilter = Annotated[
    str | None,
    QueryParameter(
        name="identifier",
        min_length=3,
        max_length=91,
        pattern="^[^:]+:.+$",
        description="Who has this legal id: siren:552100554.",
    ),
]
LabelFilter = Annotated[
    str | None,
    QueryParameter(
        name="label",
        min_length=3,
        max_length=1_000,
        pattern="^[^:,]+:[^,]+(,[^:,]+:[^,]+)*$",
        description="Who bears these labels, all of them: region:north,segment:retail.",
    ),
]
ParentFilter = Annotated[
    str | None, QueryParameter(name="parent", pattern=ID, description="Only parts of this debtor.")
]
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=60)], Annotated[str, Meta(min_length=1, max_length=200)]],
    Meta(max_length=MAX_LABELS, description="The tenant's own words, key by key; lists can ask for them."),
]


class AddressIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """One address of a debtor; there is one of each kind at most."""

    kind: AddressKind = AddressKind.BILLING
    street: AddressText | None = None
    postcode: Annotated[str, Meta(max_length=20)] | None = None
    city: Annotated[str, Meta(max_length=200)] | None = None
    country: Country | None = None


Addresses = Annotated[list[AddressIn], Meta(max_length=len(AddressKind))]


def addresses_of(given: list[AddressIn] | UnsetType) -> tuple[Address, ...] | UnsetType:
    """Read addresses, where they were sent."""
    if isinstance(given, UnsetType):
        return given
    return tuple(
        Address(kind=each.kind, street=each.street, postcode=each.postcode, city=each.city, country=each.country)
        for each in given
    )


class DebtorIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A debtor to be made known. An e-mail address becomes a billing contact."""

    name: Name
    kind: DebtorKind = DebtorKind.COMPANY
    language: Language | None = None
    zone: Zone | None = None
    country: Country | None = None
    address: AddressText | None = None
    addresses: Addresses = []
    email: Email | None = None
    phone: Phone | None = None
    payment_terms: Terms | None = None
    parent_id: IdText | None = None
    labels: Labels = {}
    external_id: ExternalId | None = None
    identifiers: Identifiers = []


class DebtorPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a debtor can be changed. `insolvent_on` ends every reminder; addresses and labels change as a whole."""

    name: Name | UnsetType = UNSET
    kind: DebtorKind | UnsetType = UNSET
    language: Language | UnsetType | None = UNSET
    zone: Zone | UnsetType | None = UNSET
    country: Country | UnsetType | None = UNSET
    address: AddressText | UnsetType | None = UNSET
    addresses: Addresses | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    payment_terms: Terms | UnsetType | None = UNSET
    parent_id: IdText | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    insolvent_on: date | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    identifiers: Identifiers | UnsetType = UNSET


class Debtors(Controller):
    """Who owes; found again by legal id, by the caller's own name, by label or by the beginning of the name."""

    path = "/v1/debtors"
    tags = ["Debtors"]

    @post(
        operation_id="createDebtor",
        opt=needs("debtors:write"),
        responses=problems(ExternalIdTaken, IdentifierTaken, ParentInvalid),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[DebtorIn]
    ) -> DebtorView:
        """Make a debtor known. Legal ids with wrong check digits are refused."""
        parent_id = None if data.parent_id is None else body_id(data.parent_id, "dbt", "parent_id")
        fields = sent(
            data,
            parent_id=parent_id,
            addresses=addresses_of(data.addresses),
            identifiers=identifiers_of(data.identifiers),
        )
        return await create_debtor(session, NewDebtor(**fields), now)

    @get(operation_id="listDebtors", opt=needs("debtors:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        name: NamePrefix = None,
        external_id: ExternalIdFilter = None,
        identifier: IdentifierFilter = None,
        label: LabelFilter = None,
        parent: ParentFilter = None,
        archived: Annotated[bool | None, QueryParameter(name="archived")] = None,
        merged: Annotated[bool | None, QueryParameter(name="merged", description="Merged into another one.")] = None,
    ) -> PageOf[DebtorView]:
        """List debtors, the newest first."""
        scheme, _, value = (identifier or "").partition(":")
        wanted = DebtorFilter(
            name_prefix=name,
            external_id=external_id,
            identifier=None if identifier is None else Identifier(scheme, value),
            parent_id=id_filter(parent, "parent", "dbt"),
            labels=tuple(
                (key, word) for key, _, word in (each.partition(":") for each in (label or "").split(",")) if key
            ),
            archived=archived,
            merged=merged,
        )
        rows = await queries.debtors(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("dbt", view.id).hex])

    @get("/{debtor_id:str}", operation_id="getDebtor", opt=needs("debtors:read"), responses=problems(DebtorNotFound))
    async def read(self, session: NamedDependency[TenantSession], debtor_id: FromPath[str]) -> DebtorView:
        """Read one debtor."""
        return await access.debtor_view(session, ids.decode("dbt", debtor_id))

    @patch(
        "/{debtor_id:str}",
        operation_id="updateDebtor",
        opt=needs("debtors:write"),
        responses=problems(
            DebtorNotFound, ExternalIdTaken, IdentifierTaken, ParentInvalid, DebtorErased, PreconditionFailed
        ),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        debtor_id: FromPath[str],
        data: JSONBody[DebtorPatch],
    ) -> DebtorView:
        """Change a debtor."""
        parent_id = data.parent_id
        fields = sent(
            data,
            parent_id=body_id(parent_id, "dbt", "parent_id") if isinstance(parent_id, str) else parent_id,
            addresses=addresses_of(data.addresses),
            identifiers=changed_identifiers(data.identifiers),
        )
        wanted = ids.decode("dbt", debtor_id)
        return await update_debtor(session, wanted, DebtorChange(**fields), now, expected_version=expected_version)

    @post(
        "/{debtor_id:str}/archive",
        operation_id="archiveDebtor",
        status_code=200,
        opt=needs("debtors:write"),
        responses=problems(DebtorNotFound, DebtorOwes, PreconditionFailed),
    )
    async def archive(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        debtor_id: FromPath[str],
    ) -> DebtorView:
        """Put a debtor aside who owes nothing."""
        return await archive_debtor(session, ids.decode("dbt", debtor_id), now, expected_version=expected_version)

    @post(
        "/{debtor_id:str}/restore",
        operation_id="restoreDebtor",
        status_code=200,
        opt=needs("debtors:write"),
        responses=problems(DebtorNotFound, DebtorErased, PreconditionFailed),
    )
    async def restore(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        debtor_id: FromPath[str],
    ) -> DebtorView:
        """Bring an archived debtor back."""
        return await restore_debtor(session, ids.decode("dbt", debtor_id), now, expected_version=expected_version)
