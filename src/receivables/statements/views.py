"""A statement of account as the world sees it. Amounts are minor units of the account's currency."""

from datetime import date, datetime

from msgspec import Struct

from receivables.ledger import ChargeKind, EntryKind
from receivables.periods import Period


class Movement(Struct, frozen=True, kw_only=True):
    """One change of what is owed, with the balance that it led to."""

    effective_on: date
    known_at: datetime
    kind: EntryKind
    number: str | None  # of the invoice or credit note
    reference: str | None  # of the money
    charge_kind: ChargeKind | None
    invoice_id: str | None
    credit_note_id: str | None
    receipt_id: str | None
    charge_id: str | None
    write_off_id: str | None
    due_on: date | None  # the first of an invoice's
    amount_minor: int  # more is owed by it, or less where it is negative
    balance_minor: int


class OpenItem(Struct, frozen=True, kw_only=True):
    """An instalment on which something was open at the end of the period."""

    invoice_id: str
    instalment_id: str
    number: str
    place: int
    issued_on: date
    due_on: date | None
    days_late: int
    amount_minor: int
    open_minor: int


class OpenCharge(Struct, frozen=True, kw_only=True):
    """Interest, a fee or a cost that was open at the end of the period."""

    charge_id: str
    kind: ChargeKind
    number: str | None  # of the invoice that it was booked on
    effective_on: date
    due_on: date
    amount_minor: int
    open_minor: int


class UnusedCredit(Struct, frozen=True, kw_only=True):
    """Money or a credit note of which something settled nothing at the end of the period."""

    receipt_id: str | None
    credit_note_id: str | None
    number: str | None
    reference: str | None
    effective_on: date
    amount_minor: int
    left_minor: int


class StatementAccount(Struct, frozen=True, kw_only=True):
    """What passed between the debtor and one creditor in one currency.

    `closing_minor` is `opening_minor` with all movements, and it is `open_minor` and `charges_minor` less
    `unused_minor`.
    """

    creditor_id: str
    creditor_name: str
    currency: str
    opening_minor: int
    debit_minor: int  # what raised the balance
    credit_minor: int  # what lowered it, as a positive amount
    closing_minor: int
    movements: tuple[Movement, ...]
    open_minor: int
    overdue_minor: int
    charges_minor: int
    unused_minor: int
    periods_minor: tuple[int, ...]  # what is open by its age, in the statement's periods
    undated_minor: int
    open_items: tuple[OpenItem, ...]
    open_charges: tuple[OpenCharge, ...]
    unused: tuple[UnusedCredit, ...]


class StatementView(Struct, frozen=True, kw_only=True):
    """A debtor's statement of account. A debtor stands for everybody merged into it."""

    debtor_id: str
    debtor_name: str
    from_on: date
    to_on: date
    as_known_at: datetime
    language: str  # in which the debtor is written to
    periods: tuple[Period, ...]
    accounts: tuple[StatementAccount, ...]
