"""Print an invoice as a page of PDF, with the mentions that a French invoice bears, and put its XML inside."""

import io
from pathlib import Path

import facturx
import facturx.facturx
import reportlab
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from making.books import VAT_PERCENT, Invoice
from making.parties import Company

REGULAR, BOLD = "Vera", "VeraBd"
LEFT, RIGHT = 18 * mm, A4[0] - 18 * mm
GREY = (0.38, 0.38, 0.40)
_STAMP = "20260302080000"

for _name in (REGULAR, BOLD):
    pdfmetrics.registerFont(TTFont(_name, Path(reportlab.__file__).parent / "fonts" / f"{_name}.ttf"))


def euros(cents: int) -> str:
    """Cents as a Frenchman reads them."""
    return f"{cents // 100:,}".replace(",", "\u00a0") + f",{cents % 100:02}\u00a0€"


def embed(page: bytes, xml: bytes, level: str, title: str, author: str) -> bytes:
    """A Factur-X file: the page with its XML inside, the same bytes at every run."""
    # The package stamps the current time; a document that is made again must not differ.
    facturx.facturx._get_pdf_timestamp = lambda date=None: f"D:{_STAMP}+00'00'"
    facturx.facturx._get_metadata_timestamp = lambda: "2026-03-02T08:00:00+00:00"
    metadata = {"author": author, "keywords": "Factur-X", "title": title, "subject": title}
    return facturx.generate_from_binary(
        page, xml, flavor="factur-x", level=level, lang="fr-FR", pdf_metadata=metadata, check_xsd=True
    )


def draw(company: Company, invoice: Invoice) -> bytes:
    """The printed page."""
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=A4, invariant=1, pageCompression=1)
    what = "Avoir" if invoice.credit else "Facture"
    canvas.setTitle(f"{what} {invoice.number}")
    canvas.setAuthor(company.name)
    _head(canvas, company, invoice, what)
    bottom = _table(canvas, company, invoice, top=A4[1] - 112 * mm)
    bottom = _sums(canvas, company, invoice, bottom)
    _payment(canvas, company, invoice, bottom)
    _foot(canvas, company)
    canvas.showPage()
    canvas.save()
    return written.getvalue()


def _text(canvas: Canvas, x: float, y: float, text: str, *, size: float = 9, font: str = REGULAR, colour=(0, 0, 0)) -> None:
    canvas.setFont(font, size)
    canvas.setFillColorRGB(*colour)
    canvas.drawString(x, y, text)


def _right(canvas: Canvas, x: float, y: float, text: str, *, size: float = 9, font: str = REGULAR, colour=(0, 0, 0)) -> None:
    canvas.setFont(font, size)
    canvas.setFillColorRGB(*colour)
    canvas.drawRightString(x, y, text)


def _head(canvas: Canvas, company: Company, invoice: Invoice, what: str) -> None:
    top = A4[1]
    canvas.setFillColorRGB(*company.colour)
    canvas.rect(0, top - 9 * mm, A4[0], 9 * mm, stroke=0, fill=1)
    _text(canvas, LEFT, top - 24 * mm, company.name, size=16, font=BOLD, colour=company.colour)
    _text(canvas, LEFT, top - 30 * mm, company.activity, colour=GREY)
    for at, line in enumerate((company.street, f"{company.postcode} {company.city}", company.phone, company.email)):
        _text(canvas, LEFT, top - (38 + 4.6 * at) * mm, line, size=8.5)
    _right(canvas, RIGHT, top - 24 * mm, what.upper(), size=18, font=BOLD)
    facts = [("Numéro", invoice.number), ("Date", f"{invoice.issued_on:%d/%m/%Y}")]
    if invoice.preceding:
        facts.append(("Sur facture", invoice.preceding.number))
    elif not invoice.credit:
        facts.append(("Échéance", f"{invoice.due_on:%d/%m/%Y}"))
    facts.append(("Code client", invoice.buyer.code))
    for at, (label, value) in enumerate(facts):
        _text(canvas, RIGHT - 62 * mm, top - (33 + 5 * at) * mm, label, colour=GREY)
        _right(canvas, RIGHT, top - (33 + 5 * at) * mm, value, font=BOLD)
    buyer = invoice.buyer
    y = top - 68 * mm
    _text(canvas, RIGHT - 78 * mm, y, "Adressé à", size=8, colour=GREY)
    country = {"BE": "Belgique", "CH": "Suisse"}.get(buyer.country, "")
    block = [buyer.name, buyer.street, f"{buyer.postcode} {buyer.city}", country, buyer.vat and f"TVA {buyer.vat}"]
    for at, line in enumerate(line for line in block if line):
        _text(canvas, RIGHT - 78 * mm, y - (6 + 5 * at) * mm, line, size=10, font=BOLD if at == 0 else REGULAR)


def _table(canvas: Canvas, company: Company, invoice: Invoice, top: float) -> float:
    columns = (LEFT + 2 * mm, RIGHT - 72 * mm, RIGHT - 44 * mm, RIGHT - 28 * mm, RIGHT - 2 * mm)
    canvas.setFillColorRGB(*company.colour)
    canvas.rect(LEFT, top - 2 * mm, RIGHT - LEFT, 7 * mm, stroke=0, fill=1)
    white = (1, 1, 1)
    _text(canvas, columns[0], top, "Désignation", size=8.5, font=BOLD, colour=white)
    for x, label in zip(columns[1:], ("Quantité", "Prix unit. HT", "TVA", "Total HT"), strict=True):
        _right(canvas, x, top, label, size=8.5, font=BOLD, colour=white)
    y = top - 9 * mm
    for line in invoice.lines:
        _text(canvas, columns[0], y, line.text)
        cells = (str(line.quantity), euros(line.unit_cents), f"{VAT_PERCENT} %", euros(line.cents))
        for x, cell in zip(columns[1:], cells, strict=True):
            _right(canvas, x, y, cell)
        canvas.setStrokeColorRGB(0.85, 0.85, 0.87)
        canvas.line(LEFT, y - 2.6 * mm, RIGHT, y - 2.6 * mm)
        y -= 8 * mm
    return y


def _sums(canvas: Canvas, company: Company, invoice: Invoice, top: float) -> float:
    rows = [
        ("Total HT", invoice.net_cents),
        (f"TVA {VAT_PERCENT} %", invoice.tax_cents),
        ("Total TTC", invoice.total_cents),
    ]
    if invoice.paid_cents:
        rows.append(("Déjà réglé", -invoice.paid_cents))
    y = top - 3 * mm
    for label, cents in rows:
        _text(canvas, RIGHT - 72 * mm, y, label)
        _right(canvas, RIGHT - 2 * mm, y, ("− " if cents < 0 else "") + euros(abs(cents)))
        y -= 6 * mm
    canvas.setFillColorRGB(*company.colour)
    canvas.rect(RIGHT - 76 * mm, y - 7 * mm, 76 * mm, 9 * mm, stroke=0, fill=1)
    label = "À votre crédit" if invoice.credit else "Net à payer"
    _text(canvas, RIGHT - 72 * mm, y - 4 * mm, label, size=11, font=BOLD, colour=(1, 1, 1))
    _right(canvas, RIGHT - 2 * mm, y - 4 * mm, euros(invoice.due_cents), size=11, font=BOLD, colour=(1, 1, 1))
    return y - 20 * mm


def _payment(canvas: Canvas, company: Company, invoice: Invoice, top: float) -> None:
    if invoice.credit:
        return
    _text(canvas, LEFT, top, "Règlement", size=10, font=BOLD, colour=company.colour)
    if invoice.direct_debit:
        lines = [f"Prélèvement SEPA le {invoice.due_on:%d/%m/%Y}, mandat RUM-{invoice.buyer.code}."]
    else:
        iban = " ".join(company.iban[at : at + 4] for at in range(0, len(company.iban), 4))
        lines = [
            f"Par virement avant le {invoice.due_on:%d/%m/%Y}, en rappelant la référence {invoice.number}.",
            f"IBAN {iban}",
        ]
    small = [
        "Pas d'escompte pour paiement anticipé. En cas de retard : pénalités au taux de trois fois l'intérêt légal,",
        "exigibles sans rappel, et indemnité forfaitaire pour frais de recouvrement de 40 € (C. com. art. L441-10).",
    ]
    for at, line in enumerate(lines):
        _text(canvas, LEFT, top - (6 + 5 * at) * mm, line)
    for at, line in enumerate(small):
        _text(canvas, LEFT, top - (8 + 5 * len(lines) + 4 * at) * mm, line, size=7.5, colour=GREY)


def _foot(canvas: Canvas, company: Company) -> None:
    canvas.setStrokeColorRGB(*company.colour)
    canvas.line(LEFT, 20 * mm, RIGHT, 20 * mm)
    words = f"{company.name} au capital de {company.capital} · SIRET {company.siret} · TVA {company.vat}"
    canvas.setFont(REGULAR, 7.5)
    canvas.setFillColorRGB(*GREY)
    canvas.drawCentredString(A4[0] / 2, 15 * mm, words)
    canvas.drawCentredString(A4[0] / 2, 11 * mm, "Document d'exemple : sociétés, numéros et adresses inventés.")
