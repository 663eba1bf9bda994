"""Make the examples again: `python examples/make.py [FOLDER]`.

Two companies, each with the open invoices that its accounting tool exports and with e-invoices in the real formats.
Everything follows from what is written here: no clock, no chance, so that a second run changes nothing.
"""

import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from making import cii, page, table, ubl
from making.books import Invoice, credit_of, ledger, lines_for
from making.parties import ATELIER, MENUISERIE, SUPPLIER, Buyer, Company

HERE = Path(__file__).resolve().parent


def main(folder: Path) -> None:
    """Write both companies."""
    _atelier(folder / ATELIER.slug)
    _menuiserie(folder / MENUISERIE.slug)


def _atelier(folder: Path) -> None:
    books = ledger(ATELIER, 232)
    apart = _recent(books, 6)  # sent as e-invoices; the first is in the export too
    exported = [invoice for invoice in books if invoice not in apart[1:]]
    credits = [
        credit_of(ATELIER, invoice, f"AV-2026-{at:04}", date(2026, 2, 17 + 3 * at))
        for at, invoice in enumerate(_earlier(exported, 3), 1)
    ]
    _start(folder, ATELIER, table.sales_journal([*exported, credits[2]]))
    _factur_x(folder, ATELIER, apart[0], "en16931")
    _factur_x(folder, ATELIER, replace(apart[1], paid_cents=apart[1].total_cents * 3 // 10), "en16931")
    _factur_x(folder, ATELIER, apart[2], "basic")
    _factur_x(folder, ATELIER, apart[3], "minimum")
    _plain(folder, apart[4], ubl.write(ATELIER, apart[4]), "ubl")
    _plain(folder, apart[5], cii.write(ATELIER, apart[5], "en16931"), "cii")
    _plain(folder, credits[0], ubl.write(ATELIER, credits[0]), "ubl")
    _plain(folder, credits[1], cii.write(ATELIER, credits[1], "en16931"), "cii")
    _foreign_and_scan(folder, ATELIER, books[-1])


def _menuiserie(folder: Path) -> None:
    books = ledger(MENUISERIE, 96)
    apart = _recent(books, 5)
    exported = [invoice for invoice in books if invoice not in apart[1:]]
    credits = [
        credit_of(MENUISERIE, invoice, f"AV-2026-{at:04}", date(2026, 2, 17 + 3 * at))
        for at, invoice in enumerate(_earlier(exported, 2), 1)
    ]
    _start(folder, MENUISERIE, table.aged_balance(exported))
    _factur_x(folder, MENUISERIE, apart[0], "en16931")
    _factur_x(folder, MENUISERIE, apart[1], "basic")
    _factur_x(folder, MENUISERIE, credits[0], "en16931")
    _plain(folder, apart[2], ubl.write(MENUISERIE, apart[2]), "ubl")
    debit = replace(apart[3], direct_debit=True)
    _plain(folder, debit, cii.write(MENUISERIE, debit, "en16931"), "cii")
    _plain(folder, apart[4], cii.write(MENUISERIE, apart[4], "en16931"), "cii")
    _plain(folder, credits[1], ubl.write(MENUISERIE, credits[1]), "ubl")
    _foreign_and_scan(folder, MENUISERIE, books[-1])


def _recent(books: list[Invoice], count: int) -> list[Invoice]:
    """Invoices of buyers with a mailbox in France, each buyer once, the latest first."""
    found: dict[str, Invoice] = {}
    for invoice in reversed(books):
        if invoice.buyer.email and invoice.buyer.country == "FR" and not invoice.paid_cents:
            found.setdefault(invoice.buyer.code, invoice)
    return list(found.values())[:count]


def _earlier(books: list[Invoice], count: int) -> list[Invoice]:
    """Invoices of the export old enough to be credited since."""
    return _recent([invoice for invoice in books if invoice.issued_on <= date(2026, 2, 13)], count)


def _start(folder: Path, company: Company, export: bytes) -> None:
    (folder / "einvoices").mkdir(parents=True, exist_ok=True)
    for old in (folder / "einvoices").iterdir():
        old.unlink()
    (folder / "invoices.csv").write_bytes(export)
    facts = {
        "slug": company.slug,
        "name": company.name,
        "siren": company.siren,
        "siret": company.siret,
        "vat": company.vat,
        "address": {"lines": [company.street], "postcode": company.postcode, "city": company.city, "country": "FR"},
        "email": company.email,
        "phone": company.phone,
        "iban": company.iban,
        "zone": "Europe/Paris",
        "language": "fr",
        "currency": "EUR",
    }
    (folder / "company.json").write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _factur_x(folder: Path, company: Company, invoice: Invoice, level: str, name: str | None = None) -> None:
    title = f"{'Avoir' if invoice.credit else 'Facture'} {invoice.number}"
    made = page.embed(page.draw(company, invoice), cii.write(company, invoice, level), level, title, company.name)
    (folder / "einvoices" / f"{name or invoice.number}.{level}.pdf").write_bytes(made)


def _plain(folder: Path, invoice: Invoice, xml: bytes, syntax: str) -> None:
    (folder / "einvoices" / f"{invoice.number}.{syntax}.xml").write_bytes(xml)


def _foreign_and_scan(folder: Path, company: Company, like: Invoice) -> None:
    """An invoice that the company has to pay, and a page that carries no data."""
    us = Buyer(
        "C-4410", company.name, company.siren, company.street, company.postcode, company.city, "FR",
        "Service comptabilité", company.email, company.phone, "net30",
    )  # fmt: skip
    bought = Invoice(
        f"QL-26-{company.siren[-3:]}", False, date(2026, 2, 16), date(2026, 3, 18), us, lines_for(SUPPLIER, company.slug)
    )
    _factur_x(folder, SUPPLIER, bought, "en16931", name=f"fournisseur-{bought.number}")
    (folder / "einvoices" / f"scan-{like.number}.pdf").write_bytes(page.draw(company, like))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
