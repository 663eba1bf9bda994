"""The books of a company on 1 March 2026, the day before the demo begins: what is open, on what terms, for what."""

import hashlib
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from making.parties import ATELIER, Buyer, Company, buyers_of

EXPORTED_ON = date(2026, 3, 1)
VAT_PERCENT = 20

_WORK = {
    "atelier-belleville": (
        ("Comptoir en chêne massif, pose comprise", 184000), ("Étagères murales sur mesure", 42500),
        ("Enseigne bandeau, lettres découpées", 96000), ("Vitrine réfrigérée, habillage bois", 131000),
        ("Banquette capitonnée (le mètre)", 38900), ("Plan de travail stratifié", 27400),
        ("Éclairage LED intégré", 15600), ("Étude et plans d'agencement", 54000),
        ("Main-d'œuvre, atelier (heure)", 5800), ("Livraison et installation", 18000),
        ("Mobilier d'accueil", 74500), ("Vinyle adhésif, vitrine", 12800),
    ),
    "menuiserie-roux": (
        ("Escalier quart tournant, frêne", 412000), ("Porte d'entrée chêne", 268000),
        ("Fenêtre bois double vitrage", 71500), ("Volets battants, la paire", 58900),
        ("Parquet massif posé (m²)", 9400), ("Placard coulissant sur mesure", 134000),
        ("Main-d'œuvre, chantier (heure)", 5400), ("Plinthes et finitions", 21000),
        ("Dépose et évacuation", 32000), ("Portail cintré, mélèze", 289000),
    ),
    "quincaillerie-lambert": (("Charnières invisibles (boîte de 50)", 8900), ("Vis à bois inox (boîte de 500)", 4200)),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of an invoice; amounts are cents without VAT."""

    text: str
    quantity: int
    unit_cents: int

    @property
    def cents(self) -> int:
        return self.quantity * self.unit_cents


@dataclass(frozen=True)
class Invoice:
    """One invoice or credit note of the books; amounts are cents and never negative."""

    number: str
    credit: bool
    issued_on: date
    due_on: date
    buyer: Buyer
    lines: tuple[Line, ...]
    paid_cents: int = 0
    preceding: "Invoice | None" = None
    direct_debit: bool = False

    @property
    def net_cents(self) -> int:
        return sum(line.cents for line in self.lines)

    @property
    def tax_cents(self) -> int:
        return (self.net_cents * VAT_PERCENT + 50) // 100

    @property
    def total_cents(self) -> int:
        return self.net_cents + self.tax_cents

    @property
    def due_cents(self) -> int:
        return self.total_cents - self.paid_cents


def pick(limit: int, *key: object) -> int:
    """A number below the limit, the same for the same key on every machine."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8]) % limit


def due_on(issued_on: date, terms: str) -> date:
    """The day on which the terms make an invoice due."""
    if terms == "eom30":
        later = issued_on + timedelta(days=30)
        return later.replace(day=monthrange(later.year, later.month)[1])
    return issued_on + timedelta(days=int(terms.removeprefix("net")))


def lines_for(company: Company, *key: object) -> tuple[Line, ...]:
    """One to four lines of the company's work, none twice."""
    work = _WORK[company.slug]
    places = dict.fromkeys(pick(len(work), company.slug, *key, at) for at in range(1 + pick(4, company.slug, *key)))
    return tuple(
        Line(work[at][0], 1 + pick(3 if work[at][1] > 50000 else 9, company.slug, *key, "quantity", at), work[at][1])
        for at in places
    )


def ledger(company: Company, count: int) -> list[Invoice]:
    """Every open invoice of a company, oldest first.

    Nearly all were issued in the last five weeks, so that sixty days from 2 March see them fall due and be chased;
    one in eight is late already, and eight are years old.
    """
    buyers = buyers_of(company)
    drafts: list[tuple[date, Buyer, int]] = []
    for at in range(count):
        # Every buyer has some; a few have many.
        buyer = buyers[at % len(buyers)] if at < 2 * len(buyers) else buyers[pick(len(buyers), company.slug, "who", at)]
        if at % 27 == 13:
            age = 120 + pick(2200, company.slug, "old", at)
        elif at % 8 == 3:
            age = 62 + pick(40, company.slug, "late", at)
        else:
            age = 2 + pick(35, company.slug, "recent", at)
        drafts.append((_working_day(EXPORTED_ON - timedelta(days=age)), buyer, at))
    drafts.sort(key=lambda draft: (draft[0], draft[2]))
    numbers: dict[int, int] = {}
    books: list[Invoice] = []
    for issued, buyer, at in drafts:
        # An old year had many invoices, of which these few are open.
        step = 1 if issued.year == EXPORTED_ON.year else 17 + pick(60, company.slug, "gap", at)
        numbers[issued.year] = numbers.get(issued.year, 0) + step
        prefix = "FA" if company is ATELIER else "F"
        number = f"{prefix}-{issued.year}-{numbers[issued.year]:04}"
        lines = lines_for(company, at)
        invoice = Invoice(number, False, issued, due_on(issued, buyer.terms), buyer, lines)
        paid = invoice.total_cents * 3 // 10 if at % 19 == 7 else 0  # a deposit of 30 %
        books.append(Invoice(number, False, issued, invoice.due_on, buyer, lines, paid_cents=paid))
    return books


def credit_of(company: Company, invoice: Invoice, number: str, issued_on: date) -> Invoice:
    """A credit note on the first line of an invoice."""
    first = invoice.lines[0]
    returned = (Line(first.text, 1, first.unit_cents // 2),)
    return Invoice(number, True, issued_on, issued_on, invoice.buyer, returned, preceding=invoice)


def _working_day(day: date) -> date:
    return day - timedelta(days=max(0, day.weekday() - 4))
