"""Write an invoice or a credit note as UBL 2.1."""

from lxml import etree
from lxml.builder import ElementMaker

from making.books import VAT_PERCENT, Invoice, Line
from making.cii import money
from making.parties import Buyer, Company

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_NAMESPACES = {"cac": f"{_UBL}CommonAggregateComponents-2", "cbc": f"{_UBL}CommonBasicComponents-2"}
CAC = ElementMaker(namespace=_NAMESPACES["cac"], nsmap=_NAMESPACES)
CBC = ElementMaker(namespace=_NAMESPACES["cbc"], nsmap=_NAMESPACES)


def write(company: Company, invoice: Invoice) -> bytes:
    """The XML of one invoice or credit note."""
    kind = "CreditNote" if invoice.credit else "Invoice"
    maker = ElementMaker(namespace=f"{_UBL}{kind}-2", nsmap={None: f"{_UBL}{kind}-2", **_NAMESPACES})
    due = [] if invoice.credit else [CBC.DueDate(invoice.due_on.isoformat())]
    code = CBC.CreditNoteTypeCode("381") if invoice.credit else CBC.InvoiceTypeCode("380")
    preceding = [_preceding(invoice.preceding)] if invoice.preceding else []
    document = maker(
        kind,
        CBC.CustomizationID("urn:cen.eu:en16931:2017"),
        CBC.ID(invoice.number),
        CBC.IssueDate(invoice.issued_on.isoformat()),
        *due,
        code,
        CBC.DocumentCurrencyCode("EUR"),
        CBC.BuyerReference(invoice.buyer.code),
        *preceding,
        CAC.AccountingSupplierParty(_seller(company)),
        CAC.AccountingCustomerParty(_buyer(invoice.buyer)),
        CAC.PaymentMeans(
            CBC.PaymentMeansCode("58"),
            CBC.PaymentID(invoice.number),
            CAC.PayeeFinancialAccount(CBC.ID(company.iban)),
        ),
        CAC.TaxTotal(
            _amount("TaxAmount", invoice.tax_cents),
            CAC.TaxSubtotal(
                _amount("TaxableAmount", invoice.net_cents),
                _amount("TaxAmount", invoice.tax_cents),
                CAC.TaxCategory(CBC.ID("S"), CBC.Percent(str(VAT_PERCENT)), CAC.TaxScheme(CBC.ID("VAT"))),
            ),
        ),
        CAC.LegalMonetaryTotal(
            _amount("LineExtensionAmount", invoice.net_cents),
            _amount("TaxExclusiveAmount", invoice.net_cents),
            _amount("TaxInclusiveAmount", invoice.total_cents),
            *([_amount("PrepaidAmount", invoice.paid_cents)] if invoice.paid_cents else []),
            _amount("PayableAmount", invoice.due_cents),
        ),
        *[_line(at, line, credit=invoice.credit) for at, line in enumerate(invoice.lines, 1)],
    )
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _amount(name: str, cents: int) -> etree._Element:
    return CBC(name, money(cents), currencyID="EUR")


def _preceding(invoice: Invoice) -> etree._Element:
    return CAC.BillingReference(
        CAC.InvoiceDocumentReference(CBC.ID(invoice.number), CBC.IssueDate(invoice.issued_on.isoformat()))
    )


def _address(street: str, city: str, postcode: str, country: str) -> etree._Element:
    return CAC.PostalAddress(
        CBC.StreetName(street),
        CBC.CityName(city),
        CBC.PostalZone(postcode),
        CAC.Country(CBC.IdentificationCode(country)),
    )


def _seller(company: Company) -> etree._Element:
    return CAC.Party(
        CAC.PartyIdentification(CBC.ID(company.siret, schemeID="0009")),
        CAC.PartyName(CBC.Name(company.name)),
        _address(company.street, company.city, company.postcode, "FR"),
        CAC.PartyTaxScheme(CBC.CompanyID(company.vat), CAC.TaxScheme(CBC.ID("VAT"))),
        CAC.PartyLegalEntity(CBC.RegistrationName(company.name), CBC.CompanyID(company.siren, schemeID="0002")),
        CAC.Contact(CBC.Telephone(company.phone), CBC.ElectronicMail(company.email)),
    )


def _buyer(buyer: Buyer) -> etree._Element:
    legal = [CBC.CompanyID(buyer.siren, schemeID="0002")] if buyer.country == "FR" else []
    vat = [CAC.PartyTaxScheme(CBC.CompanyID(buyer.vat), CAC.TaxScheme(CBC.ID("VAT")))] if buyer.vat else []
    mail = [CBC.ElectronicMail(buyer.email)] if buyer.email else []
    return CAC.Party(
        CAC.PartyName(CBC.Name(buyer.name)),
        _address(buyer.street, buyer.city, buyer.postcode, buyer.country),
        *vat,
        CAC.PartyLegalEntity(CBC.RegistrationName(buyer.name), *legal),
        CAC.Contact(CBC.Name(buyer.contact), *mail),
    )


def _line(at: int, line: Line, *, credit: bool) -> etree._Element:
    quantity = "CreditedQuantity" if credit else "InvoicedQuantity"
    return CAC(
        "CreditNoteLine" if credit else "InvoiceLine",
        CBC.ID(str(at)),
        CBC(quantity, str(line.quantity), unitCode="C62"),
        _amount("LineExtensionAmount", line.cents),
        CAC.Item(
            CBC.Name(line.text),
            CAC.ClassifiedTaxCategory(CBC.ID("S"), CBC.Percent(str(VAT_PERCENT)), CAC.TaxScheme(CBC.ID("VAT"))),
        ),
        CAC.Price(_amount("PriceAmount", line.unit_cents)),
    )
