"""Aged receivables as the world sees them. Amounts are minor units of the currency beside them."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from receivables.periods import Basis, Period


class Credits(StrEnum):
    """What becomes of money and credit notes that settle nothing yet."""

    SEPARATE = "separate"  # in columns of their own
    CURRENT = "current"  # taken off what is youngest
    OLDEST = "oldest"  # taken off the oldest first, as far as they reach; what they do not is youngest


class GroupBy(StrEnum):
    """What one row of the report stands for."""

    DEBTOR = "debtor"
    CREDITOR = "creditor"
    CURRENCY = "currency"


class AgedFigures(Struct, frozen=True, kw_only=True):
    """Open amounts of one currency by age.

    `balance_minor` is what the ledger says: `open_minor` and `charges_minor` less `unapplied_minor` and
    `credit_minor`. It is also the sum of `periods_minor`, `undated_minor` and `charges_minor`, less what stands in the
    columns of credits. Disputed and promised amounts are part of the open ones, not taken off them.
    """

    currency: str
    periods_minor: tuple[int, ...]  # one for each of the report's periods
    undated_minor: int  # open without a due date: never late
    open_minor: int  # of invoices, before any netting
    overdue_minor: int  # due before the day of the report, before any netting
    not_due_minor: int  # the rest of what is open
    charges_minor: int  # open interest, fees and costs
    unapplied_minor: int  # money that settles nothing yet; 0 where it was netted
    credit_minor: int  # credit notes that settle nothing yet; 0 where they were netted
    balance_minor: int
    disputed_minor: int
    promised_minor: int


class Rate(Struct, frozen=True, kw_only=True):
    """One unit of a currency in the currency of the report, by the caller's word."""

    currency: str
    rate: Decimal


class Converted(Struct, frozen=True, kw_only=True):
    """Amounts of all currencies in one, by rates that the caller gave; each currency is rounded half up by itself.

    Amounts are null while a currency has no rate.
    """

    currency: str
    open_minor: int | None
    overdue_minor: int | None
    balance_minor: int | None
    without_rate: tuple[str, ...]


class AgedRow(Struct, frozen=True, kw_only=True):
    """One debtor, creditor or currency. A debtor stands for everybody merged into it."""

    debtor_id: str | None
    creditor_id: str | None
    name: str | None
    currencies: tuple[AgedFigures, ...]
    converted: Converted | None


class CreditorDay(Struct, frozen=True, kw_only=True):
    """A creditor for whom it is already another day."""

    creditor_id: str
    as_of: date


class AgedTerms(Struct, frozen=True, kw_only=True):
    """By which terms a report was made: asked again with them, it says the same."""

    as_of: date
    as_known_at: datetime
    creditor_days: tuple[CreditorDay, ...]  # those whose day differs from `as_of`; empty when a day was asked for
    basis: Basis
    credits: Credits
    periods: tuple[Period, ...]
    converted_to: str | None
    rates_on: date | None
    rates: tuple[Rate, ...]


class AgedSummary(Struct, frozen=True, kw_only=True):
    """The totals of everything that the filters leave."""

    terms: AgedTerms
    totals: tuple[AgedFigures, ...]
    converted: Converted | None


class AgedReport(Struct, frozen=True, kw_only=True):
    """One page of aged receivables; `totals` are those of all pages."""

    terms: AgedTerms
    totals: tuple[AgedFigures, ...]
    converted: Converted | None
    data: list[AgedRow]
    has_more: bool
    next_cursor: str | None


class AgedItem(Struct, frozen=True, kw_only=True):
    """An instalment on which something was open."""

    invoice_id: str
    instalment_id: str
    creditor_id: str
    number: str
    place: int
    issued_on: date
    due_on: date | None  # as it was known then
    days_late: int  # after the due date; 0 on it and before it
    period: str | None  # the code of its column; null without a day to count from
    currency: str
    amount_minor: int
    open_minor: int
    disputed_minor: int
    promised_minor: int


class AgedDebtor(Struct, frozen=True, kw_only=True):
    """What one debtor owes, invoice by invoice, the oldest first."""

    terms: AgedTerms
    debtor_id: str
    name: str
    totals: tuple[AgedFigures, ...]
    data: list[AgedItem]
    has_more: bool
    next_cursor: str | None
