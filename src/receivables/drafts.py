"""What callers hand in: new objects and changes of old ones. `UNSET` leaves a field as it is, None empties it."""

from datetime import date
from typing import Final, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from receivables.identifiers import Identifier
from receivables.ledger import ChargeKind, WriteOffReason
from receivables.models import AllocationRule, DebtorKind, DueOnSource, ReceiptState, ReversalKind
from receivables.party_models import ContactRole
from receivables.party_views import Address
from receivables.taxes import ExchangeRate, TaxLine

API_RANK: Final = 100  # what a program says about its own invoice; poorer sources (a listing) rank lower

Auto = Literal["auto"]  # by the creditor's rule, over debts of the same creditor, debtor and currency


class NewCreditor(Struct, frozen=True, kw_only=True):
    """A legal entity in whose name invoices stand."""

    name: str
    zone: str = "Europe/Paris"
    language: str = "fr"
    country: str = "FR"
    currency: str = "EUR"
    address: str | None = None
    reply_to: str | None = None
    iban: str | None = None
    bic: str | None = None
    allocation_rule: AllocationRule = AllocationRule.OLDEST_DUE
    payment_terms: str | None = None
    eom_reading: str | None = None
    external_id: str | None = None
    identifiers: tuple[Identifier, ...] = ()


class CreditorChange(Struct, frozen=True, kw_only=True):
    """What changes about a creditor."""

    name: str | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    address: str | UnsetType | None = UNSET
    reply_to: str | UnsetType | None = UNSET
    iban: str | UnsetType | None = UNSET
    bic: str | UnsetType | None = UNSET
    allocation_rule: AllocationRule | UnsetType = UNSET
    payment_terms: str | UnsetType | None = UNSET
    eom_reading: str | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    identifiers: tuple[Identifier, ...] | UnsetType = UNSET


class NewDebtor(Struct, frozen=True, kw_only=True):
    """Who owes. An e-mail address becomes a billing contact."""

    name: str
    kind: DebtorKind = DebtorKind.COMPANY
    language: str | None = None
    zone: str | None = None
    country: str | None = None
    address: str | None = None
    addresses: tuple[Address, ...] = ()
    email: str | None = None
    phone: str | None = None
    payment_terms: str | None = None
    parent_id: UUID | None = None
    labels: dict[str, str] = {}
    external_id: str | None = None
    identifiers: tuple[Identifier, ...] = ()


class DebtorChange(Struct, frozen=True, kw_only=True):
    """What changes about a debtor."""

    name: str | UnsetType = UNSET
    kind: DebtorKind | UnsetType = UNSET
    language: str | UnsetType | None = UNSET
    zone: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET
    addresses: tuple[Address, ...] | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    payment_terms: str | UnsetType | None = UNSET
    parent_id: UUID | UnsetType | None = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    insolvent_on: date | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    identifiers: tuple[Identifier, ...] | UnsetType = UNSET


class NewContact(Struct, frozen=True, kw_only=True):
    """A person or mailbox of a debtor."""

    debtor_id: UUID
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    language: str | None = None
    zone: str | None = None
    roles: tuple[ContactRole, ...] | None = None  # unless given, `billing` or none
    billing: bool = True
    primary: bool = False
    position: int = 0


class ContactChange(Struct, frozen=True, kw_only=True):
    """What changes about a contact."""

    name: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    zone: str | UnsetType | None = UNSET
    roles: tuple[ContactRole, ...] | UnsetType = UNSET
    billing: bool | UnsetType = UNSET  # the role of that name, given or taken
    primary: bool | UnsetType = UNSET
    position: int | UnsetType = UNSET


class Line(Struct, frozen=True, kw_only=True):
    """One due line of an invoice."""

    amount_minor: int
    due_on: date | None = None
    discount_minor: int | None = None  # taken off when the rest is paid by `discount_until`
    discount_until: date | None = None


class NewInvoice(Struct, frozen=True, kw_only=True):
    """An invoice to open. Without `instalments` the amount due is one instalment, due on `due_on`."""

    creditor_id: UUID
    debtor_id: UUID
    number: str
    issued_on: date
    currency: str
    total_minor: int
    prepaid_minor: int = 0  # settled before we knew the invoice
    due_on: date | None = None
    due_on_source: DueOnSource | None = None
    instalments: tuple[Line, ...] = ()
    external_id: str | None = None
    purchase_order: str | None = None
    payment_terms: str | None = None
    direct_debit_on: date | None = None
    contract: str | None = None
    project: str | None = None
    delivery_note: str | None = None
    buyer_reference: str | None = None
    taxes: tuple[TaxLine, ...] = ()
    exchange_rate: ExchangeRate | None = None
    source: str = "api"
    source_rank: int = API_RANK


class InvoiceChange(Struct, frozen=True, kw_only=True):
    """What changes about an invoice."""

    issued_on: date | UnsetType = UNSET  # within its year, which identifies it
    due_on: date | UnsetType | None = UNSET
    due_on_source: DueOnSource | UnsetType = UNSET
    total_minor: int | UnsetType = UNSET
    prepaid_minor: int | UnsetType = UNSET
    instalments: tuple[Line, ...] | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    purchase_order: str | UnsetType | None = UNSET
    payment_terms: str | UnsetType | None = UNSET
    direct_debit_on: date | UnsetType | None = UNSET
    contract: str | UnsetType | None = UNSET
    project: str | UnsetType | None = UNSET
    delivery_note: str | UnsetType | None = UNSET
    buyer_reference: str | UnsetType | None = UNSET
    taxes: tuple[TaxLine, ...] | UnsetType = UNSET
    exchange_rate: ExchangeRate | UnsetType | None = UNSET
    source: str | UnsetType = UNSET
    source_rank: int | UnsetType = UNSET


class Share(Struct, frozen=True, kw_only=True):
    """How much goes to one instalment, to one invoice's instalments (the earliest due first), or to one charge."""

    amount_minor: int
    instalment_id: UUID | None = None
    invoice_id: UUID | None = None
    charge_id: UUID | None = None


class Preceding(Struct, frozen=True, kw_only=True):
    """The invoice that a credit note corrects, as the document names it."""

    number: str
    issued_on: date | None = None


class NewCreditNote(Struct, frozen=True, kw_only=True):
    """A credit note to record; it settles the invoice that it names as preceding, and what is left stays to use."""

    creditor_id: UUID
    debtor_id: UUID
    number: str
    issued_on: date
    currency: str
    total_minor: int
    used_minor: int = 0  # used or paid out before we knew the credit note
    preceding: Preceding | None = None
    allocations: tuple[Share, ...] | Auto | AllocationRule = ()
    external_id: str | None = None
    source: str = "api"
    source_rank: int = API_RANK


class CreditNoteChange(Struct, frozen=True, kw_only=True):
    """What changes about a credit note."""

    issued_on: date | UnsetType = UNSET  # within its year, which identifies it
    total_minor: int | UnsetType = UNSET
    used_minor: int | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    source: str | UnsetType = UNSET
    source_rank: int | UnsetType = UNSET


class NewReceipt(Struct, frozen=True, kw_only=True):
    """Money that arrived, or is on its way (provisional)."""

    creditor_id: UUID
    debtor_id: UUID
    currency: str
    amount_minor: int
    state: Literal[ReceiptState.PROVISIONAL, ReceiptState.FINAL] = ReceiptState.FINAL
    effective_on: date | None = None  # the creditor's today unless given
    method: str | None = None
    reference: str | None = None
    named_invoice_ids: tuple[UUID, ...] = ()  # the debts that the debtor said it pays, which every rule settles first
    allocations: tuple[Share, ...] | Auto | AllocationRule = ()
    external_id: str | None = None
    source: str = "api"


class NewReversal(Struct, frozen=True, kw_only=True):
    """Why and when money went back, and how much of it: all that is left, unless said."""

    reason: str
    kind: ReversalKind = ReversalKind.BOUNCE
    amount_minor: int | None = None
    effective_on: date | None = None  # the creditor's today unless given; a mistake's is the receipt's own day
    external_id: str | None = None


class NewWriteOff(Struct, frozen=True, kw_only=True):
    """What of an invoice is given up: all that is left of it or of one instalment, unless an amount is named."""

    invoice_id: UUID
    reason: WriteOffReason
    instalment_id: UUID | None = None
    amount_minor: int | None = None
    note: str | None = None
    effective_on: date | None = None  # the creditor's today unless given


class NewCharge(Struct, frozen=True, kw_only=True):
    """Interest, compensation, a fee or a cost, on an invoice or on the debtor."""

    kind: ChargeKind
    amount_minor: int
    invoice_id: UUID | None = None
    creditor_id: UUID | None = None  # these three follow from the invoice where there is one
    debtor_id: UUID | None = None
    currency: str | None = None
    description: str | None = None
    due_on: date | None = None  # the day from which it is owed unless given
    effective_on: date | None = None  # the creditor's today unless given
    external_id: str | None = None
