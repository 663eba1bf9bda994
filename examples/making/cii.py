"""Write an invoice as UN/CEFACT CII, in the Factur-X profiles that the examples show."""

from datetime import date

from lxml import etree
from lxml.builder import ElementMaker

from making.books import VAT_PERCENT, Invoice, Line
from making.parties import Buyer, Company, french_iban

GUIDELINES = {
    "minimum": "urn:factur-x.eu:1p0:minimum",
    "basic": "urn:cen.eu:en16931:2017#compliant#urn:factur-x.eu:1p0:basic",
    "en16931": "urn:cen.eu:en16931:2017",
}
NAMESPACES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
}
RSM, RAM, UDT, QDT = (ElementMaker(namespace=uri, nsmap=NAMESPACES) for uri in NAMESPACES.values())


def write(company: Company, invoice: Invoice, level: str) -> bytes:
    """The XML of one invoice or credit note."""
    document = RSM.CrossIndustryInvoice(
        RSM.ExchangedDocumentContext(RAM.GuidelineSpecifiedDocumentContextParameter(RAM.ID(GUIDELINES[level]))),
        RSM.ExchangedDocument(
            RAM.ID(invoice.number),
            RAM.TypeCode("381" if invoice.credit else "380"),
            RAM.IssueDateTime(UDT.DateTimeString(_day(invoice.issued_on), format="102")),
        ),
        RSM.SupplyChainTradeTransaction(
            *([] if level == "minimum" else [_line(at, line, level) for at, line in enumerate(invoice.lines, 1)]),
            RAM.ApplicableHeaderTradeAgreement(
                *([RAM.BuyerReference(invoice.buyer.code)] if level != "minimum" else []),
                _seller(company, level),
                _buyer(invoice.buyer, level),
            ),
            RAM.ApplicableHeaderTradeDelivery(),
            _settlement(company, invoice, level),
        ),
    )
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def money(cents: int) -> str:
    """Cents as a decimal of two places."""
    return f"{cents // 100}.{cents % 100:02}"


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")


def _line(at: int, line: Line, level: str) -> etree._Element:
    return RAM.IncludedSupplyChainTradeLineItem(
        RAM.AssociatedDocumentLineDocument(RAM.LineID(str(at))),
        RAM.SpecifiedTradeProduct(RAM.Name(line.text)),
        RAM.SpecifiedLineTradeAgreement(RAM.NetPriceProductTradePrice(RAM.ChargeAmount(money(line.unit_cents)))),
        RAM.SpecifiedLineTradeDelivery(RAM.BilledQuantity(str(line.quantity), unitCode="C62")),
        RAM.SpecifiedLineTradeSettlement(
            RAM.ApplicableTradeTax(
                RAM.TypeCode("VAT"), RAM.CategoryCode("S"), RAM.RateApplicablePercent(f"{VAT_PERCENT}.00")
            ),
            RAM.SpecifiedTradeSettlementLineMonetarySummation(RAM.LineTotalAmount(money(line.cents))),
        ),
    )


def _seller(company: Company, level: str) -> etree._Element:
    full = level != "minimum"
    contact = RAM.DefinedTradeContact(
        RAM.PersonName("Service comptabilité"),
        RAM.TelephoneUniversalCommunication(RAM.CompleteNumber(company.phone)),
        RAM.EmailURIUniversalCommunication(RAM.URIID(company.email)),
    )
    return RAM.SellerTradeParty(
        *([RAM.GlobalID(company.siret, schemeID="0009")] if full else []),
        RAM.Name(company.name),
        RAM.SpecifiedLegalOrganization(RAM.ID(company.siren, schemeID="0002")),
        *([contact] if level == "en16931" else []),
        _address(company.postcode, company.street, company.city, "FR", full=full),
        RAM.SpecifiedTaxRegistration(RAM.ID(company.vat, schemeID="VA")),
    )


def _buyer(buyer: Buyer, level: str) -> etree._Element:
    full = level != "minimum"
    mail = [RAM.EmailURIUniversalCommunication(RAM.URIID(buyer.email))] if buyer.email else []
    legal = [RAM.SpecifiedLegalOrganization(RAM.ID(buyer.siren, schemeID="0002"))] if buyer.country == "FR" else []
    contact = [RAM.DefinedTradeContact(RAM.PersonName(buyer.contact), *mail)] if level == "en16931" else []
    address = [_address(buyer.postcode, buyer.street, buyer.city, buyer.country, full=True)] if full else []
    vat = [RAM.SpecifiedTaxRegistration(RAM.ID(buyer.vat, schemeID="VA"))] if full and buyer.vat else []
    return RAM.BuyerTradeParty(RAM.Name(buyer.name), *legal, *contact, *address, *vat)


def _address(postcode: str, street: str, city: str, country: str, *, full: bool) -> etree._Element:
    if not full:
        return RAM.PostalTradeAddress(RAM.CountryID(country))
    return RAM.PostalTradeAddress(
        RAM.PostcodeCode(postcode), RAM.LineOne(street), RAM.CityName(city), RAM.CountryID(country)
    )


def _settlement(company: Company, invoice: Invoice, level: str) -> etree._Element:
    sums = [
        RAM.TaxBasisTotalAmount(money(invoice.net_cents)),
        RAM.TaxTotalAmount(money(invoice.tax_cents), currencyID="EUR"),
        RAM.GrandTotalAmount(money(invoice.total_cents)),
    ]
    due = RAM.DuePayableAmount(money(invoice.due_cents))
    if level == "minimum":
        return RAM.ApplicableHeaderTradeSettlement(
            RAM.InvoiceCurrencyCode("EUR"),
            RAM.SpecifiedTradeSettlementHeaderMonetarySummation(*sums, due),
        )
    terms = [] if invoice.credit else [_terms(invoice)]
    return RAM.ApplicableHeaderTradeSettlement(
        *([RAM.CreditorReferenceID("FR12ZZZ999999")] if invoice.direct_debit else []),
        RAM.PaymentReference(invoice.number),
        RAM.InvoiceCurrencyCode("EUR"),
        _means(company, invoice),
        RAM.ApplicableTradeTax(
            RAM.CalculatedAmount(money(invoice.tax_cents)),
            RAM.TypeCode("VAT"),
            RAM.BasisAmount(money(invoice.net_cents)),
            RAM.CategoryCode("S"),
            RAM.RateApplicablePercent(f"{VAT_PERCENT}.00"),
        ),
        *terms,
        RAM.SpecifiedTradeSettlementHeaderMonetarySummation(
            RAM.LineTotalAmount(money(invoice.net_cents)),
            *sums,
            *([RAM.TotalPrepaidAmount(money(invoice.paid_cents))] if invoice.paid_cents else []),
            due,
        ),
        *([_preceding(invoice.preceding)] if invoice.preceding else []),
    )


def _means(company: Company, invoice: Invoice) -> etree._Element:
    if invoice.direct_debit:
        return RAM.SpecifiedTradeSettlementPaymentMeans(
            RAM.TypeCode("59"),
            RAM.PayerPartyDebtorFinancialAccount(RAM.IBANID(french_iban("00099999999"))),
        )
    return RAM.SpecifiedTradeSettlementPaymentMeans(
        RAM.TypeCode("58"), RAM.PayeePartyCreditorFinancialAccount(RAM.IBANID(company.iban))
    )


def _terms(invoice: Invoice) -> etree._Element:
    mandate = [RAM.DirectDebitMandateID(f"RUM-{invoice.buyer.code}")] if invoice.direct_debit else []
    return RAM.SpecifiedTradePaymentTerms(
        RAM.DueDateDateTime(UDT.DateTimeString(_day(invoice.due_on), format="102")), *mandate
    )


def _preceding(invoice: Invoice) -> etree._Element:
    return RAM.InvoiceReferencedDocument(
        RAM.IssuerAssignedID(invoice.number),
        RAM.FormattedIssueDateTime(QDT.DateTimeString(_day(invoice.issued_on), format="102")),
    )
