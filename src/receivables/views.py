"""Receivables as the world sees them, in answers and in events. Stored facts only: nothing here depends on today."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Struct

from kernel import ids
from receivables.identifiers import Identifier
from receivables.models import (
    Allocation,
    AllocationRule,
    Contact,
    CreditNote,
    Creditor,
    Debtor,
    DebtorKind,
    DocumentState,
    DueOnSource,
    Instalment,
    Invoice,
    Receipt,
    ReceiptState,
    VoidReason,
)
from receivables.party_models import ContactRole
from receivables.party_views import Address, BankAccountView, Beside
from receivables.taxes import ExchangeRate, TaxLine, taxes_read
from storage.events import PERSONAL


def encoded(prefix: str, value: UUID | None) -> str | None:
    """An id for the world, where there is one."""
    return None if value is None else ids.encode(prefix, value)


class CreditorView(Struct, frozen=True, kw_only=True):
    """A legal entity of the tenant, in whose name invoices stand."""

    id: str
    version: int
    external_id: str | None
    name: str
    zone: str
    language: str
    country: str
    currency: str
    address: str | None
    reply_to: str | None
    iban: str | None
    bic: str | None
    allocation_rule: AllocationRule  # what `auto` means
    bank_accounts: tuple[BankAccountView, ...]
    payment_terms: str | None
    eom_reading: str | None
    logo_id: str | None
    identifiers: tuple[Identifier, ...]

    @classmethod
    def of(
        cls, row: Creditor, identifiers: Sequence[Identifier], accounts: Sequence[BankAccountView] = ()
    ) -> "CreditorView":
        """Show a creditor with its legal ids and the accounts that it uses."""
        return cls(
            id=ids.encode("crd", row.id),
            version=row.version,
            external_id=row.external_id,
            name=row.name,
            zone=row.zone,
            language=row.language,
            country=row.country,
            currency=row.currency,
            address=row.address,
            reply_to=row.reply_to,
            iban=row.iban,
            bic=row.bic,
            allocation_rule=row.allocation_rule,
            bank_accounts=tuple(accounts),
            payment_terms=row.payment_terms,
            eom_reading=row.eom_reading,
            logo_id=encoded("blb", row.logo_id),
            identifiers=tuple(identifiers),
        )


class DebtorView(Struct, frozen=True, kw_only=True):
    """Who owes. What tells of a person is null once the debtor has been erased."""

    id: str
    version: int
    external_id: str | None
    kind: DebtorKind
    name: Annotated[str | None, PERSONAL]
    language: str | None
    zone: str | None
    country: str | None
    address: Annotated[str | None, PERSONAL]
    addresses: Annotated[tuple[Address, ...] | None, PERSONAL]
    email: Annotated[str | None, PERSONAL]
    phone: Annotated[str | None, PERSONAL]
    payment_terms: str | None
    parent_id: str | None
    merged_into_id: str | None
    insolvent_on: date | None
    archived_at: datetime | None
    erased_at: datetime | None
    labels: Annotated[dict[str, str] | None, PERSONAL]  # the tenant's own words may tell of a person too
    identifiers: Annotated[tuple[Identifier, ...] | None, PERSONAL]

    @classmethod
    def of(cls, row: Debtor, beside: Beside) -> "DebtorView":
        """Show a debtor with its legal ids, addresses and labels."""
        return cls(
            id=ids.encode("dbt", row.id),
            version=row.version,
            external_id=row.external_id,
            kind=row.kind,
            name=row.name or None,
            language=row.language,
            zone=row.zone,
            country=row.country,
            address=row.address,
            addresses=beside.addresses,
            email=row.email,
            phone=row.phone,
            payment_terms=row.payment_terms,
            parent_id=encoded("dbt", row.parent_id),
            merged_into_id=encoded("dbt", row.merged_into_id),
            insolvent_on=row.insolvent_on,
            archived_at=row.archived_at,
            erased_at=row.erased_at,
            labels=beside.labels,
            identifiers=beside.identifiers,
        )


class ContactView(Struct, frozen=True, kw_only=True):
    """A person or mailbox of a debtor that messages go to."""

    id: str
    version: int
    debtor_id: str
    name: Annotated[str | None, PERSONAL]
    email: Annotated[str | None, PERSONAL]
    phone: Annotated[str | None, PERSONAL]
    language: str | None
    zone: str | None
    roles: tuple[ContactRole, ...]
    billing: bool  # receives reminders: it has that role
    primary: bool  # written to before all others
    position: int  # then the lowest first
    archived_at: datetime | None

    @classmethod
    def of(cls, row: Contact) -> "ContactView":
        """Show a contact."""
        return cls(
            id=ids.encode("ctc", row.id),
            version=row.version,
            debtor_id=ids.encode("dbt", row.debtor_id),
            name=row.name,
            email=row.email,
            phone=row.phone,
            language=row.language,
            zone=row.zone,
            roles=tuple(ContactRole(role) for role in row.roles.split()),
            billing=row.billing,
            primary=row.is_primary,
            position=row.position,
            archived_at=row.archived_at,
        )


class InstalmentView(Struct, frozen=True, kw_only=True):
    """A due line of an invoice: what is chased."""

    id: str
    place: int
    due_on: date | None
    amount_minor: int
    balance_minor: int
    discount_minor: int | None = None  # taken off when the rest is paid by `discount_until`
    discount_until: date | None = None

    @classmethod
    def of(cls, row: Instalment) -> "InstalmentView":
        """Show an instalment."""
        return cls(
            id=ids.encode("ins", row.id),
            place=row.place,
            due_on=row.due_on,
            amount_minor=row.amount_minor,
            balance_minor=row.balance_minor,
            discount_minor=row.discount_minor,
            discount_until=row.discount_until,
        )


class InvoiceView(Struct, frozen=True, kw_only=True):
    """What a creditor has billed a debtor, and what is left of it to pay."""

    id: str
    version: int
    external_id: str | None
    creditor_id: str
    debtor_id: str
    number: str
    issued_on: date
    due_on: date | None
    due_on_source: DueOnSource
    currency: str
    total_minor: int
    prepaid_minor: int
    balance_minor: int
    document: DocumentState
    void_reason: VoidReason | None
    purchase_order: str | None
    payment_terms: str | None
    direct_debit_on: date | None
    contract: str | None = None
    project: str | None = None
    delivery_note: str | None = None
    buyer_reference: str | None = None
    taxes: tuple[TaxLine, ...] = ()
    exchange_rate: ExchangeRate | None = None
    source: str
    known_at: datetime
    instalments: tuple[InstalmentView, ...]

    @classmethod
    def of(cls, row: Invoice, instalments: Sequence[Instalment]) -> "InvoiceView":
        """Show an invoice with its instalments in order; lines that a correction has emptied are left out."""
        shown = [line for line in instalments if line.amount_minor or line.place == 1]
        return cls(
            id=ids.encode("inv", row.id),
            version=row.version,
            external_id=row.external_id,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            number=row.number,
            issued_on=row.issued_on,
            due_on=row.due_on,
            due_on_source=row.due_on_source,
            currency=row.currency,
            total_minor=row.total_minor,
            prepaid_minor=row.prepaid_minor,
            balance_minor=row.balance_minor,
            document=row.document,
            void_reason=row.void_reason,
            purchase_order=row.purchase_order,
            payment_terms=row.payment_terms,
            direct_debit_on=row.direct_debit_on,
            contract=row.contract,
            project=row.project,
            delivery_note=row.delivery_note,
            buyer_reference=row.buyer_reference,
            taxes=taxes_read(row.taxes),
            exchange_rate=ExchangeRate.of(row.reporting_currency, row.exchange_rate, row.exchange_rate_on),
            source=row.source,
            known_at=row.known_at,
            instalments=tuple(InstalmentView.of(line) for line in shown),
        )


class CreditNoteView(Struct, frozen=True, kw_only=True):
    """What a creditor gives back, and what is left of it to use."""

    id: str
    version: int
    external_id: str | None
    creditor_id: str
    debtor_id: str
    number: str
    issued_on: date
    currency: str
    total_minor: int
    used_minor: int
    remaining_minor: int
    document: DocumentState
    void_reason: VoidReason | None
    source: str
    known_at: datetime

    @classmethod
    def of(cls, row: CreditNote) -> "CreditNoteView":
        """Show a credit note."""
        return cls(
            id=ids.encode("crn", row.id),
            version=row.version,
            external_id=row.external_id,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            number=row.number,
            issued_on=row.issued_on,
            currency=row.currency,
            total_minor=row.total_minor,
            used_minor=row.used_minor,
            remaining_minor=row.remaining_minor,
            document=row.document,
            void_reason=row.void_reason,
            source=row.source,
            known_at=row.known_at,
        )


class ReceiptView(Struct, frozen=True, kw_only=True):
    """Money that arrived, what of it went back, and what nobody has allocated."""

    id: str
    version: int
    external_id: str | None
    creditor_id: str
    debtor_id: str
    currency: str
    amount_minor: int
    reversed_minor: int
    unapplied_minor: int
    state: ReceiptState
    method: str | None
    reference: Annotated[str | None, PERSONAL]
    named_invoice_ids: tuple[str, ...]  # what the debtor said that it pays
    source: str
    effective_on: date
    known_at: datetime

    @classmethod
    def of(cls, row: Receipt) -> "ReceiptView":
        """Show a receipt."""
        return cls(
            id=ids.encode("rcp", row.id),
            version=row.version,
            external_id=row.external_id,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            currency=row.currency,
            amount_minor=row.amount_minor,
            reversed_minor=row.reversed_minor,
            unapplied_minor=row.unapplied_minor,
            state=row.state,
            method=row.method,
            reference=row.reference,
            named_invoice_ids=tuple(ids.encode("inv", each) for each in row.named_invoice_ids),
            source=row.source,
            effective_on=row.effective_on,
            known_at=row.known_at,
        )


class AllocationView(Struct, frozen=True, kw_only=True):
    """Which receipt, credit note or write-off settles which instalment or charge.

    One that undoes another is negative and names it. `rule` is the rule that chose the debt, null where a person did.
    """

    id: str
    version: int
    receipt_id: str | None
    credit_note_id: str | None
    write_off_id: str | None
    debtor_id: str
    invoice_id: str | None
    instalment_id: str | None
    charge_id: str | None
    currency: str
    amount_minor: int
    undoes_id: str | None
    rule: AllocationRule | None
    effective_on: date
    known_at: datetime

    @classmethod
    def of(cls, row: Allocation, currency: str) -> "AllocationView":
        """Show an allocation in the currency of what it settles."""
        return cls(
            id=ids.encode("alc", row.id),
            version=row.version,
            receipt_id=encoded("rcp", row.receipt_id),
            credit_note_id=encoded("crn", row.credit_note_id),
            write_off_id=encoded("wof", row.write_off_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            invoice_id=encoded("inv", row.invoice_id),
            instalment_id=encoded("ins", row.instalment_id),
            charge_id=encoded("chg", row.charge_id),
            currency=currency,
            amount_minor=row.amount_minor,
            undoes_id=encoded("alc", row.undoes_id),
            rule=row.rule,
            effective_on=row.effective_on,
            known_at=row.known_at,
        )
