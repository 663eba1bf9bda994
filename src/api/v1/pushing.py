"""Push: a program sends what it knows, under its own names, as often as it likes; the same again changes nothing.

One object, or up to a hundred of which each is answered on its own account, all in one transaction.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Generic, Literal, TypeVar

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from api.fields import AmountMinor, Country, Currency, ExternalId, Language, Name, PositiveMinor
from api.problems import Problem, problem_of, problems
from api.resources import ApiSettings
from api.routes import needs
from api.v1.creditors import Address, Email, Identifiers, Zone, identifiers_of
from api.v1.invoices import LineIn, Lines, Number, Terms
from api.v1.naming import OfDebtor, OfParties, parties_of
from kernel.errors import AppError
from receivables.drafts import Line, NewCreditNote, NewInvoice, NewReceipt, Preceding
from receivables.errors import (
    AmountBelowAllocated,
    ContactArchived,
    CreditNoteNotOpen,
    CreditorNotFound,
    DebtorNotFound,
    DocumentConflict,
    ExternalIdTaken,
    IdentifierTaken,
    InvoiceNotOpen,
)
from receivables.models import DebtorKind, ReceiptState
from receivables.outcomes import Outcome, Status
from receivables.pushing import (
    MAX_BATCH,
    ContactPut,
    DebtorPut,
    put_contacts,
    put_debtors,
)
from receivables.receipts import record_receipts
from receivables.upserting import put_credit_notes, put_invoices
from receivables.views import ContactView, CreditNoteView, DebtorView, InvoiceView, ReceiptView
from storage.session import TenantSession

T = TypeVar("T")
V = TypeVar("V")
D = TypeVar("D")


class DebtorPush(Struct, kw_only=True, forbid_unknown_fields=True):
    """A debtor under the caller's own name for it. What is not sent stays; null empties."""

    external_id: ExternalId
    name: Name
    kind: DebtorKind | UnsetType = UNSET
    language: Language | UnsetType | None = UNSET
    zone: Zone | UnsetType | None = UNSET
    country: Country | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    identifiers: Identifiers | UnsetType = UNSET


class ContactPush(OfDebtor, kw_only=True, forbid_unknown_fields=True):
    """A contact of a debtor, known by its e-mail address. What is not sent stays; null empties."""

    email: Email
    name: Name | UnsetType | None = UNSET
    language: Language | UnsetType | None = UNSET
    zone: Zone | UnsetType | None = UNSET
    billing: bool | UnsetType = UNSET


class InvoicePush(OfParties, kw_only=True, forbid_unknown_fields=True):
    """An invoice under the caller's own name for it; an absent field never empties a known one."""

    external_id: ExternalId
    number: Number
    issued_on: date
    currency: Currency
    total_minor: AmountMinor
    prepaid_minor: AmountMinor = 0  # settled before Relance knew the invoice
    due_on: date | None = None
    instalments: Lines = []
    purchase_order: Name | None = None
    payment_terms: Terms | None = None
    direct_debit_on: date | None = None


class CreditNotePush(OfParties, kw_only=True, forbid_unknown_fields=True):
    """A credit note under the caller's own name for it; it settles the invoice that it names."""

    external_id: ExternalId
    number: Number
    issued_on: date
    currency: Currency
    total_minor: AmountMinor
    used_minor: AmountMinor = 0  # used or paid out before Relance knew it
    preceding_number: Number | None = None


class ReceiptPush(OfParties, kw_only=True, forbid_unknown_fields=True):
    """Money that arrived, under the caller's own name for it; another amount under a known name is refused."""

    external_id: ExternalId
    currency: Currency
    amount_minor: PositiveMinor
    state: Literal["provisional", "final"] = "final"
    effective_on: date | None = None  # the creditor's today unless given
    method: Name | None = None
    reference: Name | None = None
    allocate: Literal["auto", "none"] = "none"  # by the creditor's own rule, or left unapplied


class Pushes(Struct, Generic[T], kw_only=True, forbid_unknown_fields=True):
    """Up to a hundred objects, each on its own account."""

    items: Annotated[list[T], Meta(min_length=1, max_length=MAX_BATCH)]


class Pushed(Struct, Generic[V], kw_only=True):
    """What became of one object: the object, or the problem that it alone would have been answered with."""

    status: Status
    object: V | None
    problem: Problem | None


class PushedAll(Struct, Generic[V], kw_only=True):
    """What became of each object, in order."""

    data: list[Pushed[V]]


NAMED = (DebtorNotFound, CreditorNotFound)


async def _put(
    items: Sequence[T], read: Callable[[T], D], put: Callable[[list[D]], Awaitable[list[Outcome[V]]]]
) -> list[Outcome[V]]:
    """Read each item, and put those that could be read."""
    outcomes: dict[int, Outcome[V]] = {}
    drafts: dict[int, D] = {}
    for place, item in enumerate(items):
        try:
            drafts[place] = read(item)
        except AppError as error:
            outcomes[place] = Outcome("refused", error=error)
    if drafts:
        outcomes |= dict(zip(drafts, await put(list(drafts.values())), strict=True))
    return [outcomes[place] for place in range(len(items))]


def _answer(outcomes: Sequence[Outcome[V]], settings: ApiSettings) -> PushedAll[V]:
    return PushedAll(data=[_pushed(place, outcome, settings) for place, outcome in enumerate(outcomes)])


def _pushed(place: int, outcome: Outcome[V], settings: ApiSettings) -> Pushed[V]:
    if outcome.error is None:
        return Pushed(status=outcome.status, object=outcome.view, problem=None)
    problem = problem_of(outcome.error, settings.public_url)
    errors = tuple(
        structs.replace(fault, pointer=f"/body/items/{place}/{fault.pointer.removeprefix('/body/').lstrip('/')}")
        for fault in problem.errors
    )
    return Pushed(status="refused", object=None, problem=structs.replace(problem, errors=errors))


async def _debtors(session: TenantSession, items: Sequence[DebtorPush], now: datetime) -> list[Outcome[DebtorView]]:
    def read(item: DebtorPush) -> DebtorPut:
        fields = {
            name: value
            for name, value in structs.asdict(item).items()
            if value is not UNSET and name not in {"external_id", "name", "identifiers"}
        }
        given = item.identifiers
        forms = UNSET if isinstance(given, UnsetType) else identifiers_of(given)
        return DebtorPut(external_id=item.external_id, name=item.name, fields=fields, identifiers=forms)

    return await _put(items, read, lambda drafts: put_debtors(session, drafts, now))


async def _contacts(session: TenantSession, items: Sequence[ContactPush], now: datetime) -> list[Outcome[ContactView]]:
    parties = await parties_of(session, items)

    def read(item: ContactPush) -> ContactPut:
        sent = {name: getattr(item, name) for name in ("name", "language", "zone", "billing")}
        fields = {name: value for name, value in sent.items() if value is not UNSET}
        return ContactPut(debtor_id=parties.debtor(item), email=item.email, fields=fields)

    return await _put(items, read, lambda drafts: put_contacts(session, drafts, now))


async def _invoices(session: TenantSession, items: Sequence[InvoicePush], now: datetime) -> list[Outcome[InvoiceView]]:
    parties = await parties_of(session, items)

    def read(item: InvoicePush) -> NewInvoice:
        return NewInvoice(
            creditor_id=parties.creditor(item),
            debtor_id=parties.debtor(item),
            external_id=item.external_id,
            number=item.number,
            issued_on=item.issued_on,
            currency=item.currency,
            total_minor=item.total_minor,
            prepaid_minor=item.prepaid_minor,
            due_on=item.due_on,
            instalments=tuple(_line(line) for line in item.instalments),
            purchase_order=item.purchase_order,
            payment_terms=item.payment_terms,
            direct_debit_on=item.direct_debit_on,
        )

    return await _put(items, read, lambda drafts: put_invoices(session, drafts, now))


def _line(line: LineIn) -> Line:
    return Line(**structs.asdict(line))


async def _notes(
    session: TenantSession, items: Sequence[CreditNotePush], now: datetime
) -> list[Outcome[CreditNoteView]]:
    parties = await parties_of(session, items)

    def read(item: CreditNotePush) -> NewCreditNote:
        return NewCreditNote(
            creditor_id=parties.creditor(item),
            debtor_id=parties.debtor(item),
            external_id=item.external_id,
            number=item.number,
            issued_on=item.issued_on,
            currency=item.currency,
            total_minor=item.total_minor,
            used_minor=item.used_minor,
            preceding=None if item.preceding_number is None else Preceding(number=item.preceding_number),
        )

    return await _put(items, read, lambda drafts: put_credit_notes(session, drafts, now))


async def _receipts(session: TenantSession, items: Sequence[ReceiptPush], now: datetime) -> list[Outcome[ReceiptView]]:
    parties = await parties_of(session, items)

    def read(item: ReceiptPush) -> NewReceipt:
        return NewReceipt(
            creditor_id=parties.creditor(item),
            debtor_id=parties.debtor(item),
            external_id=item.external_id,
            currency=item.currency,
            amount_minor=item.amount_minor,
            state=ReceiptState.PROVISIONAL if item.state == "provisional" else ReceiptState.FINAL,
            effective_on=item.effective_on,
            method=item.method,
            reference=item.reference,
            allocations="auto" if item.allocate == "auto" else (),
        )

    return await _put(items, read, lambda drafts: record_receipts(session, drafts, now))


def _first(outcomes: Sequence[Outcome[V]]) -> Pushed[V]:
    outcomes[0].get()
    return Pushed(status=outcomes[0].status, object=outcomes[0].view, problem=None)


Session = NamedDependency[TenantSession]
Now = NamedDependency[datetime]
Settings = NamedDependency[ApiSettings]
_INVOICE = (*NAMED, DocumentConflict, ExternalIdTaken, InvoiceNotOpen, AmountBelowAllocated)
_NOTE = (*NAMED, DocumentConflict, ExternalIdTaken, CreditNoteNotOpen, AmountBelowAllocated)


class Pushing(Controller):
    """What a program knows, under its own names."""

    path = "/v1"
    tags = ["Push"]

    @post("/debtors/upsert", operation_id="upsertDebtor", status_code=200, opt=needs("debtors:write"),
          responses=problems(IdentifierTaken))  # fmt: skip
    async def debtor(self, session: Session, now: Now, data: JSONBody[DebtorPush]) -> Pushed[DebtorView]:
        """Make a debtor known, or bring the one of this external_id up to date."""
        return _first(await _debtors(session, [data], now))

    @post("/debtors/upsert/batch", operation_id="upsertDebtors", status_code=207, opt=needs("debtors:write"),
          responses=problems())  # fmt: skip
    async def debtors(
        self, session: Session, now: Now, settings: Settings, data: JSONBody[Pushes[DebtorPush]]
    ) -> PushedAll[DebtorView]:
        """The same for up to a hundred; one that is refused does not stop the others."""
        return _answer(await _debtors(session, data.items, now), settings)

    @post("/contacts/upsert", operation_id="upsertContact", status_code=200, opt=needs("contacts:write"),
          responses=problems(DebtorNotFound, ContactArchived))  # fmt: skip
    async def contact(self, session: Session, now: Now, data: JSONBody[ContactPush]) -> Pushed[ContactView]:
        """Give a debtor a contact, or bring the one of this e-mail address up to date."""
        return _first(await _contacts(session, [data], now))

    @post("/contacts/upsert/batch", operation_id="upsertContacts", status_code=207, opt=needs("contacts:write"),
          responses=problems())  # fmt: skip
    async def contacts(
        self, session: Session, now: Now, settings: Settings, data: JSONBody[Pushes[ContactPush]]
    ) -> PushedAll[ContactView]:
        """The same for up to a hundred; one that is refused does not stop the others."""
        return _answer(await _contacts(session, data.items, now), settings)

    @post("/invoices/upsert", operation_id="upsertInvoice", status_code=200, opt=needs("invoices:write"),
          responses=problems(*_INVOICE))  # fmt: skip
    async def invoice(self, session: Session, now: Now, data: JSONBody[InvoicePush]) -> Pushed[InvoiceView]:
        """Open an invoice, or correct the one of this external_id or number."""
        return _first(await _invoices(session, [data], now))

    @post("/invoices/upsert/batch", operation_id="upsertInvoices", status_code=207, opt=needs("invoices:write"),
          responses=problems(ExternalIdTaken))  # fmt: skip
    async def invoices(
        self, session: Session, now: Now, settings: Settings, data: JSONBody[Pushes[InvoicePush]]
    ) -> PushedAll[InvoiceView]:
        """The same for up to a hundred; one that is refused does not stop the others."""
        return _answer(await _invoices(session, data.items, now), settings)

    @post("/credit_notes/upsert", operation_id="upsertCreditNote", status_code=200, opt=needs("credit_notes:write"),
          responses=problems(*_NOTE))  # fmt: skip
    async def credit_note(self, session: Session, now: Now, data: JSONBody[CreditNotePush]) -> Pushed[CreditNoteView]:
        """Record a credit note, or correct the one of this external_id or number."""
        return _first(await _notes(session, [data], now))

    @post("/credit_notes/upsert/batch", operation_id="upsertCreditNotes", status_code=207,
          opt=needs("credit_notes:write"), responses=problems(ExternalIdTaken))  # fmt: skip
    async def credit_notes(
        self, session: Session, now: Now, settings: Settings, data: JSONBody[Pushes[CreditNotePush]]
    ) -> PushedAll[CreditNoteView]:
        """The same for up to a hundred; one that is refused does not stop the others."""
        return _answer(await _notes(session, data.items, now), settings)

    @post("/receipts/upsert", operation_id="upsertReceipt", status_code=200, opt=needs("receipts:write"),
          responses=problems(*NAMED, ExternalIdTaken))  # fmt: skip
    async def receipt(self, session: Session, now: Now, data: JSONBody[ReceiptPush]) -> Pushed[ReceiptView]:
        """Record money that arrived, once for each external_id."""
        return _first(await _receipts(session, [data], now))

    @post("/receipts/upsert/batch", operation_id="upsertReceipts", status_code=207, opt=needs("receipts:write"),
          responses=problems(ExternalIdTaken))  # fmt: skip
    async def receipts(
        self, session: Session, now: Now, settings: Settings, data: JSONBody[Pushes[ReceiptPush]]
    ) -> PushedAll[ReceiptView]:
        """The same for up to a hundred; one that is refused does not stop the others."""
        return _answer(await _receipts(session, data.items, now), settings)
