"""Creditors: the legal entities in whose name invoices stand."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api.fields import Country, Currency, ExternalId, Language, Name
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.drafting import sent
from api.v1.filters import ExternalIdFilter
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, queries
from receivables.creditors import create_creditor, update_creditor
from receivables.drafts import CreditorChange, NewCreditor
from receivables.errors import CreditorNotFound, ExternalIdTaken, IdentifierTaken
from receivables.identifiers import MAX_IDENTIFIERS, Identifier
from receivables.models import AllocationRule
from receivables.views import CreditorView
from storage.session import TenantSession

Zone = Annotated[str, Meta(min_length=1, max_length=60, description="An IANA time zone: whose day a due date is.")]
Address = Annotated[str, Meta(max_length=1_000)]
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Iban = Annotated[str, Meta(min_length=15, max_length=42)]
EomReading = Literal["net_eom", "eom_net"]  # "45 jours fin de mois": 45 days, then month end; or the other way round
Terms = Annotated[str, Meta(min_length=1, max_length=200, description="Payment terms such as net:30.")]
Code = Annotated[str, Meta(min_length=1, max_length=60)]
Phone = Annotated[str, Meta(min_length=4, max_length=40)]
Bic = Annotated[str, Meta(min_length=8, max_length=11)]


class IdentifierIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A legal id: `siren`, `siret`, `vat`, or a scheme of ISO 6523."""

    scheme: Annotated[str, Meta(min_length=1, max_length=30)]
    value: Annotated[str, Meta(min_length=1, max_length=60)]


Identifiers = Annotated[list[IdentifierIn], Meta(max_length=MAX_IDENTIFIERS)]


def identifiers_of(given: list[IdentifierIn]) -> tuple[Identifier, ...]:
    """Read legal ids of a body."""
    return tuple(Identifier(each.scheme, each.value) for each in given)


def changed_identifiers(given: list[IdentifierIn] | UnsetType) -> tuple[Identifier, ...] | UnsetType:
    """Read legal ids of a change, where it names them."""
    return given if isinstance(given, UnsetType) else identifiers_of(given)


class CreditorIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A creditor to be made."""

    name: Name
    zone: Zone = "Europe/Paris"
    language: Language = "fr"
    country: Country = "FR"
    currency: Currency = "EUR"
    address: Address | None = None
    reply_to: Email | None = None
    iban: Iban | None = None
    bic: Bic | None = None
    allocation_rule: AllocationRule = AllocationRule.OLDEST_DUE  # what `auto` means
    payment_terms: Terms | None = None
    eom_reading: EomReading | None = None
    external_id: ExternalId | None = None
    identifiers: Identifiers = []


class CreditorPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a creditor can be changed."""

    name: Name | UnsetType = UNSET
    zone: Zone | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    address: Address | UnsetType | None = UNSET
    reply_to: Email | UnsetType | None = UNSET
    iban: Iban | UnsetType | None = UNSET
    bic: Bic | UnsetType | None = UNSET
    allocation_rule: AllocationRule | UnsetType = UNSET
    payment_terms: Terms | UnsetType | None = UNSET
    eom_reading: EomReading | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    identifiers: Identifiers | UnsetType = UNSET


class Creditors(Controller):
    """Whose invoices they are."""

    path = "/v1/creditors"
    tags = ["Creditors"]

    @post(
        operation_id="createCreditor",
        opt=needs("creditors:write"),
        responses=problems(ExternalIdTaken, IdentifierTaken),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[CreditorIn]
    ) -> CreditorView:
        """Make a creditor known."""
        new = NewCreditor(**sent(data, identifiers=identifiers_of(data.identifiers)))
        return await create_creditor(session, new, now)

    @get(operation_id="listCreditors", opt=needs("creditors:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        external_id: ExternalIdFilter = None,
    ) -> PageOf[CreditorView]:
        """List creditors, the newest first."""
        rows = await queries.creditors(session, external_id=external_id, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("crd", view.id).hex])

    @get(
        "/{creditor_id:str}",
        operation_id="getCreditor",
        opt=needs("creditors:read"),
        responses=problems(CreditorNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], creditor_id: FromPath[str]) -> CreditorView:
        """Read one creditor."""
        return await access.creditor_view(session, ids.decode("crd", creditor_id))

    @patch(
        "/{creditor_id:str}",
        operation_id="updateCreditor",
        opt=needs("creditors:write"),
        responses=problems(CreditorNotFound, ExternalIdTaken, IdentifierTaken, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        creditor_id: FromPath[str],
        data: JSONBody[CreditorPatch],
    ) -> CreditorView:
        """Change a creditor."""
        change = CreditorChange(**sent(data, identifiers=changed_identifiers(data.identifiers)))
        wanted = ids.decode("crd", creditor_id)
        return await update_creditor(session, wanted, change, now, expected_version=expected_version)
