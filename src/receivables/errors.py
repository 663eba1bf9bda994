"""What a caller can do wrong with creditors, debtors, documents and money."""

from kernel.errors import Conflict, Invalid, NotFound


class CreditorNotFound(NotFound):
    """There is no such creditor."""

    code = "creditor_not_found"


class BankAccountNotFound(NotFound):
    """There is no such bank account of this creditor."""

    code = "bank_account_not_found"


class LogoNotFound(NotFound):
    """The creditor has no logo."""

    code = "logo_not_found"


class DebtorNotFound(NotFound):
    """There is no such debtor."""

    code = "debtor_not_found"


class ContactNotFound(NotFound):
    """There is no such contact."""

    code = "contact_not_found"


class InvoiceNotFound(NotFound):
    """There is no such invoice."""

    code = "invoice_not_found"


class InstalmentNotFound(NotFound):
    """There is no such instalment."""

    code = "instalment_not_found"


class CreditNoteNotFound(NotFound):
    """There is no such credit note."""

    code = "credit_note_not_found"


class ReceiptNotFound(NotFound):
    """There is no such receipt."""

    code = "receipt_not_found"


class AllocationNotFound(NotFound):
    """There is no such allocation of this receipt or credit note."""

    code = "allocation_not_found"
    remedy = "List the allocations of the receipt or credit note; one that was undone cannot be undone again."


class ChargeNotFound(NotFound):
    """There is no such charge."""

    code = "charge_not_found"


class WriteOffNotFound(NotFound):
    """There is no such write-off."""

    code = "write_off_not_found"


class ExternalIdTaken(Conflict):
    """Another object of this kind has this external_id."""

    code = "external_id_taken"
    remedy = "Look the object up by its external_id and change it, or send another external_id."


class IdentifierTaken(Conflict):
    """Another creditor or debtor has this legal id."""

    code = "identifier_taken"
    remedy = "Look up who has the legal id; two of our objects cannot be the same legal entity."


class InvoiceNumberTaken(Conflict):
    """The creditor has already issued an invoice with this number in that year."""

    code = "invoice_number_taken"
    remedy = "Change the existing invoice, which 'detail' names, or correct the number."


class CreditNoteNumberTaken(Conflict):
    """The creditor has already issued a credit note with this number in that year."""

    code = "credit_note_number_taken"
    remedy = "Change the existing credit note, which 'detail' names, or correct the number."


class DocumentConflict(Conflict):
    """The document is known with another debtor, another currency, or under two identities."""

    code = "document_conflict"
    remedy = "Compare both with the original document; void the wrong one, or correct what was sent."


class InvoiceNotOpen(Conflict):
    """The invoice is void or written off."""

    code = "invoice_not_open"
    remedy = "Only an open invoice can be changed or paid."


class CreditNoteNotOpen(Conflict):
    """The credit note is void."""

    code = "credit_note_not_open"
    remedy = "Only an open credit note can be used."


class AmountBelowAllocated(Conflict):
    """More than the new amount has already been paid or credited."""

    code = "amount_below_allocated"
    remedy = "Undo allocations first, so that what is left of them fits the new amount."


class NotEnoughLeft(Conflict):
    """The receipt or credit note has not that much left."""

    code = "not_enough_left"
    remedy = "Read what is left of it and allocate at most that."


class ExceedsBalance(Conflict):
    """The allocation is greater than what is left to pay."""

    code = "exceeds_balance"
    remedy = "Allocate at most the balance; what is over stays unapplied on the receipt."


class AllocationMismatch(Conflict):
    """Money settles debts of its own creditor, debtor and currency only."""

    code = "allocation_mismatch"
    remedy = "Allocate to an invoice of the same creditor, the same debtor and the same currency."


class ReceiptReversed(Conflict):
    """The receipt has been reversed: its money went back."""

    code = "receipt_reversed"
    remedy = "Record the money that arrived since as a receipt of its own."


class ReceiptNotProvisional(Conflict):
    """The receipt is final already."""

    code = "receipt_not_provisional"


class ContactArchived(Conflict):
    """The contact has been archived."""

    code = "contact_archived"
    remedy = "Create a new contact."


class ExceedsReceipt(Conflict):
    """More is to go back than the receipt still has."""

    code = "exceeds_receipt"
    remedy = "Reverse at most the receipt's amount less what has gone back already."


class NothingOpen(Conflict):
    """Nothing is left of the debt that could be written off or waived."""

    code = "nothing_open"
    remedy = "Read the balance first; what is settled needs no write-off."


class WriteOffNotStanding(Conflict):
    """The write-off has been reversed already."""

    code = "write_off_not_standing"


class TooMuchToReallocate(Conflict):
    """The debtor has more open debts or money than can be laid out anew at once."""

    code = "too_much_to_reallocate"
    remedy = "Allocate by hand, or undo allocations that no longer matter."


class BankAccountTaken(Conflict):
    """The creditor has this IBAN in this currency already."""

    code = "bank_account_taken"
    remedy = "Change the existing account."


class BankAccountArchived(Conflict):
    """The bank account has been archived."""

    code = "bank_account_archived"
    remedy = "Add the account anew."


class LogoRefused(Invalid):
    """The picture cannot be kept."""

    code = "logo_refused"
    remedy = "Send a PNG or JPEG of at most 512 KiB and 4,096 pixels to a side, as base64."


class ParentInvalid(Invalid):
    """A debtor's parent is another debtor, and no descendant of its own."""

    code = "parent_invalid"
    remedy = "Name another parent; at most 20 levels."


class DebtorMerged(Conflict):
    """The debtor has been merged into another one."""

    code = "debtor_merged"
    remedy = "Read merged_into_id, and unmerge the debtor first; or name the debtor that it was merged into."


class DebtorNotMerged(Conflict):
    """The debtor is not merged into another one."""

    code = "debtor_not_merged"


class MergeInvalid(Invalid):
    """The two are one debtor already, or the chain of merges would grow too long."""

    code = "merge_invalid"
    remedy = "Name two debtors that are not one yet; merge members into the root rather than into each other."


class MergeContradicts(Conflict):
    """The legal ids of the two debtors cannot be one legal entity's."""

    code = "merge_contradicts"
    remedy = "Compare their legal ids; send force: true where one of them is wrong."


class DebtorOwes(Conflict):
    """Money of the debtor is still open."""

    code = "debtor_owes"
    remedy = "Settle, write off or void what is open first; an erasure can be forced."


class DebtorErased(Conflict):
    """What was known of the debtor has been erased."""

    code = "debtor_erased"
    remedy = "Nothing can be added to an erased debtor: make a new one."


class MatchNotFound(NotFound):
    """There is no such match."""

    code = "debtor_match_not_found"


class MatchNotOpen(Conflict):
    """The match has been decided, or its debtors have changed so that it is no question any more."""

    code = "debtor_match_not_open"
