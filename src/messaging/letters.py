"""What one message says: the facts that the gate let through, as plain values.

A letter carries every notice that is due to one recipient, a section per currency, in the tone of the highest level.
It is checked as it is made: a letter whose sums are wrong cannot exist.
"""

from datetime import date
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from msgspec import Struct

from kernel.money import MAX_MINOR

Tone = Literal["courteous", "firm", "formal"]
Purpose = Literal["dunning", "service", "payment", "manual"]

TONES: Final[tuple[Tone, ...]] = get_args(Tone)  # from the mildest to the gravest
LANGUAGES: Final = ("fr", "en")
MAX_LINES: Final = 500  # of one letter: some 200 kB of HTML
MAX_URL: Final = 900  # a header line has at most 998 characters
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class LetterRefused(ValueError):
    """The letter contradicts itself, or lacks what its language or purpose asks for."""


class LegalId(Struct, frozen=True):
    """A registered number of a company as documents state it: scheme `siren`, `siret`, `vat` or an ISO 6523 code."""

    scheme: str
    value: str


class BankDetails(Struct, frozen=True, kw_only=True):
    """Where a transfer goes."""

    holder: str
    iban: str
    bic: str | None = None
    bank_name: str | None = None


class Creditor(Struct, frozen=True, kw_only=True):
    """Who is owed, as the letter names it; `reply_to` is where answers go."""

    name: str
    address: tuple[str, ...]
    legal_ids: tuple[LegalId, ...]
    reply_to: str
    language: str
    bank: BankDetails | None = None


class Debtor(Struct, frozen=True, kw_only=True):
    """Who owes."""

    name: str


class Recipient(Struct, frozen=True, kw_only=True):
    """Who reads the letter."""

    email: str
    name: str | None = None


class Line(Struct, frozen=True, kw_only=True):
    """One instalment of an invoice; `days_late` is counted on the letter's day and negative before the due date."""

    number: str
    due_on: date
    days_late: int
    amount_due_minor: int
    total_minor: int
    issued_on: date | None = None
    part: int | None = None  # 2 of 3: an invoice payable in several instalments
    parts: int | None = None


class Section(Struct, frozen=True, kw_only=True):
    """What is due in one currency."""

    currency: str
    lines: tuple[Line, ...]
    total_minor: int

    def __post_init__(self) -> None:
        if not self.lines:
            raise LetterRefused(f"nothing is asked for in {self.currency}")
        if any(line.amount_due_minor <= 0 for line in self.lines):
            raise LetterRefused("a settled invoice is not asked for")
        if sum(line.amount_due_minor for line in self.lines) != self.total_minor:
            raise LetterRefused(f"the lines in {self.currency} do not sum to their total")
        if self.total_minor > MAX_MINOR:
            raise LetterRefused("an amount has at most 2^53-1 minor units")


class Letter(Struct, frozen=True, kw_only=True):
    """The whole message; `day` is its date in the debtor's zone, `level` 0 is preventive."""

    creditor: Creditor
    debtor: Debtor
    recipient: Recipient
    language: str
    tone: Tone
    purpose: Purpose
    level: int
    day: date
    sections: tuple[Section, ...]
    message_ref: str
    unsubscribe_url: str | None = None  # a dunning letter always has one
    pay_url: str | None = None
    # Set where the creditor's law and the debtor's quality allow it: the formal tone then recalls article L. 441-10.
    late_fees_notice: bool = False

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise LetterRefused(f"no letter can be written in {self.language!r}")
        currencies = [section.currency for section in self.sections]
        if not currencies or len(set(currencies)) != len(currencies):
            raise LetterRefused("a letter has one section for each currency, and at least one")
        if sum(len(section.lines) for section in self.sections) > MAX_LINES:
            raise LetterRefused(f"a letter has at most {MAX_LINES} lines")
        if self.purpose == "dunning" and self.unsubscribe_url is None:
            raise LetterRefused("a reminder offers a way to opt out")
        for url in (self.unsubscribe_url, self.pay_url):
            check_url(url)


def check_url(url: str | None) -> None:
    """Refuse a link that a mail must not carry: anything but https, save on the loopback of a demo."""
    if url is None:
        return
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    plain = url.isascii() and url.isprintable() and not set(url) & set(' <>"')
    if not (secure and parts.hostname and plain and len(url) <= MAX_URL):
        raise LetterRefused("a link is an https URL of at most 900 ASCII characters")
