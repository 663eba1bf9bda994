"""The canonical document: what every source of invoices is read into."""

from datetime import date
from typing import Final, Literal

from msgspec import Struct

Kind = Literal["invoice", "credit_note"]
DueOnSource = Literal["document", "terms", "default", "none"]

# Every text of a document is cut to one of these; what identifies (a number, an id) is refused rather than cut.
MAX_ID: Final = 100
MAX_NAME: Final = 200
MAX_TEXT: Final = 2000
MAX_EMAIL: Final = 254
MAX_DETAIL: Final = 300
MAX_LIST: Final = 50


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a document cannot become an invoice or a credit note; `reason` is a stable code."""

    reason: str
    detail: str = ""
    column: str | None = None  # of a CSV row: the header that it stands under
    format: str | None = None  # as far as it was recognised


class Rejected(Exception):
    """The document cannot become an invoice or a credit note."""

    def __init__(self, reason: str, detail: str = "", *, column: str | None = None, format: str | None = None) -> None:  # noqa: A002 -- the word of the format, in a verdict too
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.refusal = Refusal(reason=reason, detail=detail[:MAX_DETAIL], column=column, format=format)


class LegalId(Struct, frozen=True):
    """One identifier of a party.

    The scheme is `vat` (BT-31), `tax` (BT-32), the scheme that the document states ("0002" is SIREN), `legal` for
    a registration without one, and `seller` or `buyer` for another identifier without one.
    """

    scheme: str
    value: str


class Party(Struct, frozen=True, kw_only=True):
    """A seller, a buyer or a payee, as the document states it."""

    name: str = ""
    trading_name: str | None = None
    legal_ids: tuple[LegalId, ...] = ()
    endpoint: LegalId | None = None  # the electronic address (BT-34, BT-49)
    account_code: str | None = None  # the creditor's own code for the buyer, from an accounting export
    contact_name: str | None = None
    email: str | None = None
    phone: str | None = None
    address_lines: tuple[str, ...] = ()
    postcode: str | None = None
    city: str | None = None
    country: str | None = None
    language: str | None = None


class Preceding(Struct, frozen=True):
    """An earlier invoice that this document refers to (BG-3)."""

    number: str
    issued_on: date | None


class Instalment(Struct, frozen=True):
    """One part of the amount due, with its own day."""

    due_on: date
    amount_minor: int


class Document(Struct, frozen=True, kw_only=True):
    """An invoice or a credit note; amounts are never negative, the kind says the direction."""

    kind: Kind
    format: str  # facturx-en16931, cii, ubl-invoice, csv, …
    number: str
    issued_on: date
    due_on: date | None = None
    due_on_computed: date | None = None  # where no field states it: what terms make of the day of issue
    due_on_source: DueOnSource = "none"
    currency: str
    total_minor: int
    amount_due_minor: int  # of a credit note: what is left to use
    amount_due_stated: bool = True  # else nothing says what is left, and it is taken to be the total
    prepaid_minor: int | None = None
    tax_minor: int | None = None
    type_code: str | None = None  # UNTDID 1001; none from a CSV
    seller: Party
    buyer: Party
    payee: Party | None = None  # only where it is not the seller
    instalments: tuple[Instalment, ...] = ()  # only where the document states days and amounts that add up
    payment_terms_text: str | None = None
    preceding: tuple[Preceding, ...] = ()
    purchase_order: str | None = None
    buyer_reference: str | None = None
    remittance: str | None = None
    direct_debit: bool = False
    mandate_reference: str | None = None
    direct_debit_creditor_id: str | None = None
    iban: str | None = None
    external_id: str | None = None
    warnings: tuple[str, ...] = ()
