"""What stands in an e-invoice, before anyone asks what it means: the texts of its business terms."""

from msgspec import Struct

from billing_connectors.documents.canonical import Party


class Figure(Struct, frozen=True):
    """An amount as it is written, with the currency beside it where there is one."""

    text: str
    currency: str | None


class Reference(Struct, frozen=True):
    """The number and the day of another invoice, as written (BT-25, BT-26)."""

    number: str
    issued_on: str | None


class Term(Struct, frozen=True):
    """A day to pay, and the part to pay on it where one is stated."""

    due_on: str | None
    amount: Figure | None


class Found(Struct, frozen=True, kw_only=True):
    """The business terms of EN 16931 that receivables need, as texts."""

    format: str
    is_credit_root: bool | None  # what a UBL root element says; CII has one root for both
    number: str | None  # BT-1
    issued_on: str | None  # BT-2
    type_code: str | None  # BT-3
    currency: str | None  # BT-5
    due_on: str | None  # BT-9, where the syntax has one place for it
    terms: list[Term]  # BT-9 elsewhere, and the days of parts
    buyer_reference: str | None  # BT-10
    purchase_order: str | None  # BT-13
    terms_texts: list[str]  # BT-20
    preceding: list[Reference]  # BG-3
    seller: Party  # BG-4
    buyer: Party  # BG-7
    payee: Party | None  # BG-10
    payment_means: list[str]  # BT-81
    remittance: str | None  # BT-83
    iban: str | None  # BT-84
    mandate_reference: str | None  # BT-89
    direct_debit_creditor_id: str | None  # BT-90
    debited_account: str | None  # BT-91
    net: list[Figure]  # BT-109
    tax: list[Figure]  # BT-110
    total: list[Figure]  # BT-112
    prepaid: list[Figure]  # BT-113
    rounding: list[Figure]  # BT-114
    amount_due: list[Figure]  # BT-115
    is_copy: bool
    is_test: bool
    warnings: list[str]
