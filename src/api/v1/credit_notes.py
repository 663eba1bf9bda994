"""Credit notes: what a creditor gives back."""

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from api.fields import AmountMinor, Currency, ExternalId, IdText, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.drafting import sent
from api.v1.filters import CreditorFilter, DebtorFilter, ExternalIdFilter, IssuedFrom, IssuedTo, NumberFilter
from api.v1.invoices import Number, Voiding
from api.v1.shares import ALLOCATING, AllocationIn, Shares, UnallocationIn, shares_of
from billing_connectors import references
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, queries
from receivables.allocations import allocate_credit_note, unallocate_credit_note
from receivables.credit_notes import create_credit_note, update_credit_note, void_credit_note
from receivables.drafts import CreditNoteChange, NewCreditNote, Preceding
from receivables.errors import (
    AllocationNotFound,
    AmountBelowAllocated,
    CreditNoteNotFound,
    CreditNoteNotOpen,
    CreditNoteNumberTaken,
    CreditorNotFound,
    DebtorNotFound,
    ExternalIdTaken,
)
from receivables.models import DocumentState
from receivables.queries import CreditNoteFilter
from receivables.views import CreditNoteView
from storage.session import TenantSession


class PrecedingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """The invoice that a credit note corrects, as the document names it."""

    number: Number
    issued_on: date | None = None


class CreditNoteIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A credit note to be recorded; it settles the invoice that it names, and what is left stays to use."""

    creditor_id: IdText
    debtor_id: IdText
    number: Number
    issued_on: date
    currency: Currency
    total_minor: AmountMinor
    used_minor: AmountMinor = 0  # used or paid out before Relance knew it
    preceding: PrecedingIn | None = None
    allocations: Shares = []
    external_id: ExternalId | None = None


class CreditNotePatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a credit note can be corrected."""

    total_minor: AmountMinor | UnsetType = UNSET
    used_minor: AmountMinor | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class CreditNotes(Controller):
    """A credit note settles invoices by allocations."""

    path = "/v1/credit_notes"
    tags = ["Credit notes"]

    @post(
        operation_id="createCreditNote",
        opt=needs("credit_notes:write"),
        responses=problems(CreditorNotFound, DebtorNotFound, CreditNoteNumberTaken, ExternalIdTaken, *ALLOCATING),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[CreditNoteIn]
    ) -> CreditNoteView:
        """Record a credit note. The invoice that it names may still be to come: it is settled when it is opened."""
        before = data.preceding
        fields = sent(
            data,
            creditor_id=body_id(data.creditor_id, "crd", "creditor_id"),
            debtor_id=body_id(data.debtor_id, "dbt", "debtor_id"),
            preceding=None if before is None else Preceding(number=before.number, issued_on=before.issued_on),
            allocations=shares_of(data.allocations),
        )
        view = await create_credit_note(session, NewCreditNote(**fields), now)
        if before is None or view.remaining_minor == 0:
            return view
        note_id = ids.decode("crn", view.id)
        await references.expect_and_settle(session, note_id, before.number, before.issued_on, now)
        return CreditNoteView.of(await access.credit_note(session, note_id))

    @get(operation_id="listCreditNotes", opt=needs("credit_notes:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        creditor: CreditorFilter = None,
        document: Annotated[DocumentState | None, QueryParameter(name="document")] = None,
        used_up: Annotated[bool | None, QueryParameter(name="used_up", description="Nothing is left to use.")] = None,
        issued_from: IssuedFrom = None,
        issued_to: IssuedTo = None,
        external_id: ExternalIdFilter = None,
        number: NumberFilter = None,
    ) -> PageOf[CreditNoteView]:
        """List credit notes, the newest first."""
        wanted = CreditNoteFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            document=document,
            used_up=used_up,
            issued_from=issued_from,
            issued_to=issued_to,
            external_id=external_id,
            number_prefix=number,
        )
        rows = await queries.credit_notes(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("crn", view.id).hex])

    @get(
        "/{credit_note_id:str}",
        operation_id="getCreditNote",
        opt=needs("credit_notes:read"),
        responses=problems(CreditNoteNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], credit_note_id: FromPath[str]) -> CreditNoteView:
        """Read one credit note."""
        return CreditNoteView.of(await access.credit_note(session, ids.decode("crn", credit_note_id)))

    @patch(
        "/{credit_note_id:str}",
        operation_id="updateCreditNote",
        opt=needs("credit_notes:write"),
        responses=problems(
            CreditNoteNotFound, CreditNoteNotOpen, AmountBelowAllocated, ExternalIdTaken, PreconditionFailed
        ),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        credit_note_id: FromPath[str],
        data: JSONBody[CreditNotePatch],
    ) -> CreditNoteView:
        """Correct a credit note; what it has settled stays."""
        wanted, change = ids.decode("crn", credit_note_id), CreditNoteChange(**sent(data))
        return await update_credit_note(session, wanted, change, now, expected_version=expected_version)

    @post(
        "/{credit_note_id:str}/allocate",
        operation_id="allocateCreditNote",
        status_code=200,
        opt=needs("credit_notes:write", key="required"),
        responses=problems(CreditNoteNotFound, CreditNoteNotOpen, *ALLOCATING),
    )
    async def allocate(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        credit_note_id: FromPath[str],
        data: JSONBody[AllocationIn],
    ) -> CreditNoteView:
        """Settle debts with what the credit note has left."""
        wanted = ids.decode("crn", credit_note_id)
        return await allocate_credit_note(session, wanted, shares_of(data.allocations), now)

    @post(
        "/{credit_note_id:str}/unallocate",
        operation_id="unallocateCreditNote",
        status_code=200,
        opt=needs("credit_notes:write", key="required"),
        responses=problems(CreditNoteNotFound, CreditNoteNotOpen, AllocationNotFound),
    )
    async def unallocate(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        credit_note_id: FromPath[str],
        data: JSONBody[UnallocationIn],
    ) -> CreditNoteView:
        """Take allocations back: the debts are open again."""
        named = data.allocation_ids
        which = None if named is None else [body_id(each, "alc", "allocation_ids") for each in named]
        return await unallocate_credit_note(session, ids.decode("crn", credit_note_id), which, now)

    @post(
        "/{credit_note_id:str}/void",
        operation_id="voidCreditNote",
        status_code=200,
        opt=needs("credit_notes:write"),
        responses=problems(CreditNoteNotFound, CreditNoteNotOpen, PreconditionFailed),
    )
    async def void(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        credit_note_id: FromPath[str],
        data: JSONBody[Voiding],
    ) -> CreditNoteView:
        """Take a credit note out: what it had settled is open again."""
        wanted = ids.decode("crn", credit_note_id)
        return await void_credit_note(session, wanted, data.reason, now, expected_version=expected_version)
