"""Write the open invoices as accounting tools export them: two tools, two layouts."""

import csv
import io
from collections.abc import Sequence
from datetime import date

from making.books import Invoice
from making.parties import siret_of

SALES_JOURNAL = (
    "Type de pièce", "N° de pièce", "Date de pièce", "Échéance", "Compte auxiliaire", "Raison sociale", "SIREN",
    "N° TVA intracommunautaire", "Contact", "E-mail facturation", "Téléphone", "Adresse", "Code postal", "Ville",
    "Pays", "Devise", "Montant TTC", "Déjà réglé", "Solde restant dû", "Mode de règlement",
)  # fmt: skip
AGED_BALANCE = (
    "Code client", "Client", "SIRET", "E-mail", "Facture n°", "Date", "Échéance", "Montant TTC", "Restant dû",
)  # fmt: skip


def sales_journal(invoices: Sequence[Invoice]) -> bytes:
    """Semicolons, Windows-1252, decimal comma, credit notes negative, a space between thousands."""
    rows = [_sales_row(invoice) for invoice in invoices]
    # What a person left behind: a date that is none, an amount in words, and a payment among the invoices.
    spoilt = list(_sales_row(invoices[3]))
    spoilt[1], spoilt[3] = "FA-2026-9001", "31/02/2026"
    words = list(_sales_row(invoices[5]))
    words[1], words[16], words[18] = "FA-2026-9002", "à déterminer", "à déterminer"
    payment = list(_sales_row(invoices[7]))
    payment[0], payment[1] = "Règlement", "RG-2026-0412"
    rows[40:40] = [spoilt]
    rows[90:90] = [words]
    rows[150:150] = [payment]
    return _written(SALES_JOURNAL, rows, ";").encode("windows-1252")


def aged_balance(invoices: Sequence[Invoice]) -> bytes:
    """Tabs, UTF-8 with its mark, titles above the header, non-breaking spaces between thousands, a total below."""
    rows = [
        [
            invoice.buyer.code, invoice.buyer.name, _siret(invoice), invoice.buyer.email, invoice.number,
            _day(invoice.issued_on), _day(invoice.due_on), _amount(invoice.total_cents, invoice, "\u00a0"),
            _amount(invoice.due_cents, invoice, "\u00a0"),
        ]
        for invoice in invoices
    ]  # fmt: skip
    nameless = list(rows[2])
    nameless[4] = ""
    rows[30:30] = [nameless]
    total, left = (sum(getattr(one, name) for one in invoices) for name in ("total_cents", "due_cents"))
    rows.append(["Total", *[""] * 6, _amount(total, invoices[0], "\u00a0"), _amount(left, invoices[0], "\u00a0")])
    title = "Balance âgée clients\r\nArrêtée au 01/03/2026\tDevise : EUR\r\n\r\n"
    return ("\ufeff" + title + _written(AGED_BALANCE, rows, "\t")).encode()


def _sales_row(invoice: Invoice) -> list[str]:
    buyer = invoice.buyer
    french = buyer.country == "FR"
    return [
        "Avoir" if invoice.credit else "Facture", invoice.number, _day(invoice.issued_on), _day(invoice.due_on),
        buyer.code, buyer.name, buyer.siren if french else "", buyer.vat, buyer.contact, buyer.email, buyer.phone,
        buyer.street, buyer.postcode, buyer.city, buyer.country, "EUR", _amount(invoice.total_cents, invoice, " "),
        _amount(invoice.paid_cents, invoice, " "), _amount(invoice.due_cents, invoice, " "),
        "Prélèvement" if invoice.direct_debit else "Virement",
    ]  # fmt: skip


def _siret(invoice: Invoice) -> str:
    return siret_of(invoice.buyer.siren) if invoice.buyer.country == "FR" else ""


def _amount(cents: int, invoice: Invoice, group: str) -> str:
    sign = "-" if invoice.credit and cents else ""
    return sign + f"{cents // 100:,}".replace(",", group) + f",{cents % 100:02}"


def _day(day: date) -> str:
    return f"{day:%d/%m/%Y}"


def _written(header: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str) -> str:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return written.getvalue()
