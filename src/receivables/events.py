"""What happens to receivables: one event per changed object, with its version."""

from typing import ClassVar

from receivables.ledger_views import ChargeView, ReversalView, WriteOffView
from receivables.party_views import DebtorMatchView
from receivables.views import (
    AllocationView,
    ContactView,
    CreditNoteView,
    CreditorView,
    DebtorView,
    InvoiceView,
    ReceiptView,
)
from storage.events import Event


class CreditorCreated(Event[CreditorView], frozen=True):
    """A legal entity of the tenant is known."""

    type: ClassVar[str] = "creditor.created"


class CreditorUpdated(Event[CreditorView], frozen=True):
    """Something about a creditor has changed."""

    type: ClassVar[str] = "creditor.updated"


class DebtorCreated(Event[DebtorView], frozen=True):
    """Somebody who may owe is known."""

    type: ClassVar[str] = "debtor.created"


class DebtorUpdated(Event[DebtorView], frozen=True):
    """Something about a debtor has changed."""

    type: ClassVar[str] = "debtor.updated"


class DebtorArchived(Event[DebtorView], frozen=True):
    """A debtor who owes nothing is put aside."""

    type: ClassVar[str] = "debtor.archived"


class DebtorRestored(Event[DebtorView], frozen=True):
    """An archived debtor is back."""

    type: ClassVar[str] = "debtor.restored"


class DebtorMerged(Event[DebtorView], frozen=True):
    """The debtor is one with the one that it names as merged_into_id, from now on."""

    type: ClassVar[str] = "debtor.merged"


class DebtorUnmerged(Event[DebtorView], frozen=True):
    """The debtor is one of its own again, with everybody who had been merged into it."""

    type: ClassVar[str] = "debtor.unmerged"


class PersonErased(Event[DebtorView], frozen=True):
    """What told of a person is gone for good; what is owed and paid stays."""

    type: ClassVar[str] = "debtor.erased"


class DebtorMatchSuggested(Event[DebtorMatchView], frozen=True):
    """Two debtors may be one: somebody should look."""

    type: ClassVar[str] = "debtor_match.suggested"


class DebtorMatchAccepted(Event[DebtorMatchView], frozen=True):
    """The two were one: the younger has been merged into the older."""

    type: ClassVar[str] = "debtor_match.accepted"


class DebtorMatchRejected(Event[DebtorMatchView], frozen=True):
    """The two are two, and are never suggested again."""

    type: ClassVar[str] = "debtor_match.rejected"


class DebtorMatchWithdrawn(Event[DebtorMatchView], frozen=True):
    """The suggestion is no question any more: the two were merged, erased or told apart by other means."""

    type: ClassVar[str] = "debtor_match.withdrawn"


class ContactCreated(Event[ContactView], frozen=True):
    """A debtor has a new contact."""

    type: ClassVar[str] = "contact.created"


class ContactUpdated(Event[ContactView], frozen=True):
    """Something about a contact has changed."""

    type: ClassVar[str] = "contact.updated"


class ContactArchived(Event[ContactView], frozen=True):
    """Nothing is sent to the contact any more."""

    type: ClassVar[str] = "contact.archived"


class InvoiceOpened(Event[InvoiceView], frozen=True):
    """A debt is known."""

    type: ClassVar[str] = "invoice.opened"


class InvoiceUpdated(Event[InvoiceView], frozen=True):
    """The document was corrected: its dates, amounts or references."""

    type: ClassVar[str] = "invoice.updated"


class InvoicePaymentUpdated(Event[InvoiceView], frozen=True):
    """The balance has changed and something is still to pay."""

    type: ClassVar[str] = "invoice.payment_updated"


class InvoiceSettled(Event[InvoiceView], frozen=True):
    """Nothing is left to pay."""

    type: ClassVar[str] = "invoice.settled"


class InvoiceReopened(Event[InvoiceView], frozen=True):
    """A settled invoice is to be paid again: money went back, or an allocation was undone."""

    type: ClassVar[str] = "invoice.reopened"


class InvoiceVoided(Event[InvoiceView], frozen=True):
    """The invoice no longer counts; what had settled it is free again."""

    type: ClassVar[str] = "invoice.voided"


class InvoiceWrittenOff(Event[InvoiceView], frozen=True):
    """All that was left to pay is given up. Whatever opens it again is told as `invoice.reopened`."""

    type: ClassVar[str] = "invoice.written_off"


class CreditNoteCreated(Event[CreditNoteView], frozen=True):
    """A creditor gives something back."""

    type: ClassVar[str] = "credit_note.created"


class CreditNoteUpdated(Event[CreditNoteView], frozen=True):
    """The document was corrected."""

    type: ClassVar[str] = "credit_note.updated"


class CreditNoteAllocated(Event[CreditNoteView], frozen=True):
    """Some of the credit note settles instalments; the allocations are events of their own."""

    type: ClassVar[str] = "credit_note.allocated"


class CreditNoteUnallocated(Event[CreditNoteView], frozen=True):
    """Some of the credit note is free again."""

    type: ClassVar[str] = "credit_note.unallocated"


class CreditNoteVoided(Event[CreditNoteView], frozen=True):
    """The credit note no longer counts; what it had settled is to be paid again."""

    type: ClassVar[str] = "credit_note.voided"


class ReceiptRecorded(Event[ReceiptView], frozen=True):
    """Money has arrived, or is on its way (provisional)."""

    type: ClassVar[str] = "receipt.recorded"


class ReceiptFinalised(Event[ReceiptView], frozen=True):
    """Money that was on its way has arrived."""

    type: ClassVar[str] = "receipt.finalised"


class ReceiptAllocated(Event[ReceiptView], frozen=True):
    """Some of the receipt settles instalments; the allocations are events of their own."""

    type: ClassVar[str] = "receipt.allocated"


class ReceiptUnallocated(Event[ReceiptView], frozen=True):
    """Some of the receipt is unapplied again."""

    type: ClassVar[str] = "receipt.unallocated"


class ReceiptReversed(Event[ReceiptView], frozen=True):
    """The money went back: what it had settled is to be paid again."""

    type: ClassVar[str] = "receipt.reversed"


class ReceiptPartlyReversed(Event[ReceiptView], frozen=True):
    """Some of the money went back: as much of what it had settled is to be paid again."""

    type: ClassVar[str] = "receipt.partly_reversed"


class ReversalRecorded(Event[ReversalView], frozen=True):
    """Money of a receipt went back: how much, how and why."""

    type: ClassVar[str] = "reversal.recorded"


class WriteOffRecorded(Event[WriteOffView], frozen=True):
    """A debt, or part of one, is given up."""

    type: ClassVar[str] = "write_off.recorded"


class WriteOffReversed(Event[WriteOffView], frozen=True):
    """What was given up is to be paid again."""

    type: ClassVar[str] = "write_off.reversed"


class ChargeBooked(Event[ChargeView], frozen=True):
    """Interest, compensation, a fee or a cost is owed."""

    type: ClassVar[str] = "charge.booked"


class ChargeWaived(Event[ChargeView], frozen=True):
    """What was left of the charge is no longer asked for."""

    type: ClassVar[str] = "charge.waived"


class ChargePaymentUpdated(Event[ChargeView], frozen=True):
    """What is left of the charge has changed: it was paid, or money went back."""

    type: ClassVar[str] = "charge.payment_updated"


class AllocationMade(Event[AllocationView], frozen=True):
    """A receipt, credit note or write-off settles an instalment or charge, wholly or in part."""

    type: ClassVar[str] = "allocation.made"


class AllocationUndone(Event[AllocationView], frozen=True):
    """An allocation was taken back by this one, which is negative and names it."""

    type: ClassVar[str] = "allocation.undone"
