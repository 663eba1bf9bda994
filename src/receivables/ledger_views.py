"""What the ledger holds besides documents and money, as the world sees it. Stored facts only."""

from datetime import date, datetime

from msgspec import Struct

from kernel import ids
from receivables.ledger import Charge, ChargeKind, EntryKind, LedgerEntry, Standing, WriteOff, WriteOffReason
from receivables.models import Receipt, Reversal, ReversalKind
from receivables.views import encoded


class ReversalView(Struct, frozen=True, kw_only=True):
    """How money of a receipt went back, wholly or in part."""

    id: str
    version: int
    receipt_id: str
    debtor_id: str
    kind: ReversalKind
    external_id: str | None
    currency: str
    amount_minor: int
    reason: str
    effective_on: date
    known_at: datetime

    @classmethod
    def of(cls, row: Reversal, receipt: Receipt) -> "ReversalView":
        """Show a reversal of this receipt."""
        return cls(
            id=ids.encode("rev", row.id),
            version=row.version,
            receipt_id=ids.encode("rcp", row.receipt_id),
            debtor_id=ids.encode("dbt", receipt.debtor_id),
            kind=row.kind,
            external_id=row.external_id,
            currency=receipt.currency,
            amount_minor=row.amount_minor,
            reason=row.reason,
            effective_on=row.effective_on,
            known_at=row.known_at,
        )


class WriteOffView(Struct, frozen=True, kw_only=True):
    """A debt, or part of one, that is given up."""

    id: str
    version: int
    creditor_id: str
    debtor_id: str
    invoice_id: str
    instalment_id: str | None
    receipt_id: str | None  # the payment in time that has earned a discount
    currency: str
    amount_minor: int
    reason: WriteOffReason
    note: str | None
    state: Standing
    effective_on: date
    known_at: datetime

    @classmethod
    def of(cls, row: WriteOff) -> "WriteOffView":
        """Show a write-off."""
        return cls(
            id=ids.encode("wof", row.id),
            version=row.version,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            invoice_id=ids.encode("inv", row.invoice_id),
            instalment_id=encoded("ins", row.instalment_id),
            receipt_id=encoded("rcp", row.receipt_id),
            currency=row.currency,
            amount_minor=row.amount_minor,
            reason=row.reason,
            note=row.note,
            state=row.state,
            effective_on=row.effective_on,
            known_at=row.known_at,
        )


class ChargeView(Struct, frozen=True, kw_only=True):
    """Interest, compensation, a fee or a cost: a line of its own, never part of an invoice's balance."""

    id: str
    version: int
    external_id: str | None
    creditor_id: str
    debtor_id: str
    invoice_id: str | None
    kind: ChargeKind
    description: str | None
    currency: str
    amount_minor: int
    waived_minor: int
    waive_reason: str | None
    balance_minor: int
    due_on: date
    effective_on: date
    known_at: datetime

    @classmethod
    def of(cls, row: Charge) -> "ChargeView":
        """Show a charge."""
        return cls(
            id=ids.encode("chg", row.id),
            version=row.version,
            external_id=row.external_id,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            invoice_id=encoded("inv", row.invoice_id),
            kind=row.kind,
            description=row.description,
            currency=row.currency,
            amount_minor=row.amount_minor,
            waived_minor=row.waived_minor,
            waive_reason=row.waive_reason,
            balance_minor=row.balance_minor,
            due_on=row.due_on,
            effective_on=row.effective_on,
            known_at=row.known_at,
        )


class LedgerEntryView(Struct, frozen=True, kw_only=True):
    """One change of what a debtor owes: positive where it owes more."""

    id: str
    kind: EntryKind
    creditor_id: str
    debtor_id: str
    currency: str
    amount_minor: int
    invoice_id: str | None
    instalment_id: str | None
    credit_note_id: str | None
    receipt_id: str | None
    charge_id: str | None
    write_off_id: str | None
    due_on: date | None  # of the instalment, as known from this entry on
    effective_on: date
    known_at: datetime
    recorded_at: datetime

    @classmethod
    def of(cls, row: LedgerEntry) -> "LedgerEntryView":
        """Show an entry."""
        return cls(
            id=ids.encode("lge", row.id),
            kind=row.kind,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            currency=row.currency,
            amount_minor=row.amount_minor,
            invoice_id=encoded("inv", row.invoice_id),
            instalment_id=encoded("ins", row.instalment_id),
            credit_note_id=encoded("crn", row.credit_note_id),
            receipt_id=encoded("rcp", row.receipt_id),
            charge_id=encoded("chg", row.charge_id),
            write_off_id=encoded("wof", row.write_off_id),
            due_on=row.due_on,
            effective_on=row.effective_on,
            known_at=row.known_at,
            recorded_at=row.recorded_at,
        )
