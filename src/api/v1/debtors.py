"""Debtors: who owes."""

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from api.fields import Country, ExternalId, Language, Name
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.creditors import Address, Email, Identifiers, Zone, changed_identifiers, identifiers_of
from api.v1.drafting import sent
from api.v1.filters import ExternalIdFilter
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, queries
from receivables.debtors import create_debtor, update_debtor
from receivables.drafts import DebtorChange, NewDebtor
from receivables.errors import DebtorNotFound, ExternalIdTaken, IdentifierTaken
from receivables.identifiers import Identifier
from receivables.models import DebtorKind
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


class DebtorIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A debtor to be made known. An e-mail address becomes a billing contact."""

    name: Name
    kind: DebtorKind = DebtorKind.COMPANY
    language: Language | None = None
    zone: Zone | None = None
    country: Country | None = None
    address: Address | None = None
    email: Email | None = None
    external_id: ExternalId | None = None
    identifiers: Identifiers = []


class DebtorPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a debtor can be changed. `insolvent_on` ends every reminder."""

    name: Name | UnsetType = UNSET
    kind: DebtorKind | UnsetType = UNSET
    language: Language | UnsetType | None = UNSET
    zone: Zone | UnsetType | None = UNSET
    country: Country | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    insolvent_on: date | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    identifiers: Identifiers | UnsetType = UNSET


class Debtors(Controller):
    """Who owes; found again by legal id, by the caller's own name, or by the beginning of the name."""

    path = "/v1/debtors"
    tags = ["Debtors"]

    @post(
        operation_id="createDebtor",
        opt=needs("debtors:write"),
        responses=problems(ExternalIdTaken, IdentifierTaken),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[DebtorIn]
    ) -> DebtorView:
        """Make a debtor known."""
        new = NewDebtor(**sent(data, identifiers=identifiers_of(data.identifiers)))
        return await create_debtor(session, new, now)

    @get(operation_id="listDebtors", opt=needs("debtors:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        name: NamePrefix = None,
        external_id: ExternalIdFilter = None,
        identifier: IdentifierFilter = None,
    ) -> PageOf[DebtorView]:
        """List debtors, the newest first."""
        scheme, _, value = (identifier or "").partition(":")
        legal_id = None if identifier is None else Identifier(scheme, value)
        wanted = DebtorFilter(name_prefix=name, external_id=external_id, identifier=legal_id)
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
        responses=problems(DebtorNotFound, ExternalIdTaken, IdentifierTaken, PreconditionFailed),
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
        change = DebtorChange(**sent(data, identifiers=changed_identifiers(data.identifiers)))
        wanted = ids.decode("dbt", debtor_id)
        return await update_debtor(session, wanted, change, now, expected_version=expected_version)
