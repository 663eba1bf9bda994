"""UN/CEFACT Cross Industry Invoice, alone or inside a Factur-X or ZUGFeRD 2 PDF: where each business term stands."""

from collections.abc import Iterator
from typing import Final

from facturx.facturx import FACTURX_LEVEL2xsd

from billing_connectors.documents.canonical import Party
from billing_connectors.documents.found import Figure, Found, Reference, Term
from billing_connectors.documents.markup import Node
from billing_connectors.documents.parties import party

ROOT: Final = ("urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100", "CrossIndustryInvoice")
_NAMESPACES: Final = {
    "rsm": ROOT[0],
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
}
_CONTEXT: Final = "rsm:ExchangedDocumentContext"
_HEAD: Final = "rsm:ExchangedDocument"
_AGREEMENT: Final = "rsm:SupplyChainTradeTransaction/ram:ApplicableHeaderTradeAgreement"
_SETTLEMENT: Final = "rsm:SupplyChainTradeTransaction/ram:ApplicableHeaderTradeSettlement"
_MEANS: Final = f"{_SETTLEMENT}/ram:SpecifiedTradeSettlementPaymentMeans"
_TERMS: Final = f"{_SETTLEMENT}/ram:SpecifiedTradePaymentTerms"
_SUMS: Final = f"{_SETTLEMENT}/ram:SpecifiedTradeSettlementHeaderMonetarySummation"
# A day is a DateTimeString with its format, or a plain xsd:date(Time).
_DAY: Final = ("udt:DateTimeString", "qdt:DateTimeString", "udt:DateTime", "udt:Date")
# CCYYMMDD, alone or with hours: the formats that begin with a calendar day as `fields.day` reads it.
_DAY_FORMATS: Final = frozenset({None, "102", "203", "204"})
_EMBEDDED: Final = "facturx"
_VAT: Final = "VA"


def read(root: Node, *, embedded: bool) -> Found:
    """The texts of a CII document; `embedded` tells a Factur-X from a bare CII file."""
    doc = root.bound(_NAMESPACES)
    level = _level(doc.text_at(f"{_CONTEXT}/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID") or "")
    seller = doc.first(f"{_AGREEMENT}/ram:SellerTradeParty")
    buyer = doc.first(f"{_AGREEMENT}/ram:BuyerTradeParty")
    payee = doc.first(f"{_SETTLEMENT}/ram:PayeeTradeParty")
    return Found(
        format=(f"{_EMBEDDED}-{level}" if level else _EMBEDDED) if embedded else "cii",
        is_credit_root=None,
        number=doc.text_at(f"{_HEAD}/ram:ID"),
        issued_on=_day(doc.first(f"{_HEAD}/ram:IssueDateTime")),
        type_code=doc.text_at(f"{_HEAD}/ram:TypeCode"),
        currency=doc.text_at(f"{_SETTLEMENT}/ram:InvoiceCurrencyCode"),
        due_on=None,
        terms=[_term(node) for node in doc.all(_TERMS)],
        buyer_reference=doc.text_at(f"{_AGREEMENT}/ram:BuyerReference"),
        purchase_order=doc.text_at(f"{_AGREEMENT}/ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID"),
        terms_texts=doc.texts(f"{_TERMS}/ram:Description"),
        preceding=[*_references(doc)],
        seller=_party(seller, "seller") if seller else Party(),
        buyer=_party(buyer, "buyer") if buyer else Party(),
        payee=_party(payee, "payee") if payee else None,
        payment_means=doc.texts(f"{_MEANS}/ram:TypeCode"),
        remittance=doc.text_at(f"{_SETTLEMENT}/ram:PaymentReference"),
        iban=doc.text_at(f"{_MEANS}/ram:PayeePartyCreditorFinancialAccount/ram:IBANID"),
        mandate_reference=doc.text_at(f"{_TERMS}/ram:DirectDebitMandateID"),
        direct_debit_creditor_id=doc.text_at(f"{_SETTLEMENT}/ram:CreditorReferenceID"),
        debited_account=doc.text_at(f"{_MEANS}/ram:PayerPartyDebtorFinancialAccount/ram:IBANID"),
        net=_figures(doc, f"{_SUMS}/ram:TaxBasisTotalAmount"),
        tax=_figures(doc, f"{_SUMS}/ram:TaxTotalAmount"),
        total=_figures(doc, f"{_SUMS}/ram:GrandTotalAmount"),
        prepaid=_figures(doc, f"{_SUMS}/ram:TotalPrepaidAmount"),
        rounding=_figures(doc, f"{_SUMS}/ram:RoundingAmount"),
        amount_due=_figures(doc, f"{_SUMS}/ram:DuePayableAmount"),
        is_copy=_is_true(doc.text_at(f"{_HEAD}/ram:CopyIndicator/udt:Indicator")),
        is_test=_is_true(doc.text_at(f"{_CONTEXT}/ram:TestIndicator/udt:Indicator")),
        warnings=[*_schema_warnings(root, level)],
    )


def _level(guideline: str) -> str | None:
    """The profile that the guideline (BT-24) names, such as minimum or en16931.

    `facturx.get_level` knows the same words and fails on national guidelines of EN 16931, such as XRechnung.
    """
    last = guideline.rsplit(":", 1)[-1].lower()
    if last in FACTURX_LEVEL2xsd:
        return last
    return "en16931" if guideline.lower().startswith("urn:cen.eu:en16931") else None


def _schema_warnings(root: Node, level: str | None) -> Iterator[str]:
    if level is None:
        yield "profile_unknown"
        return
    valid = root.is_valid(FACTURX_LEVEL2xsd[level])
    if valid is None:
        yield "xsd_unchecked"
    elif not valid:
        yield "xsd_invalid"


def _day(holder: Node | None) -> str | None:
    node = holder and holder.first(*_DAY)
    if node is None or not node.text:
        return None
    # A week, a month or a reversed date must not pass for a day: with its format it is unreadable further on.
    stated = node.attribute("format")
    return node.text if stated in _DAY_FORMATS else f"{node.text} in format {stated}"


def _term(node: Node) -> Term:
    parts = _figures(node, "ram:PartialPaymentAmount")
    return Term(_day(node.first("ram:DueDateDateTime")), parts[0] if parts else None)


def _references(doc: Node) -> Iterator[Reference]:
    for node in doc.all(f"{_SETTLEMENT}/ram:InvoiceReferencedDocument"):
        number = node.text_at("ram:IssuerAssignedID")
        if number:
            yield Reference(number, _day(node.first("ram:FormattedIssueDateTime")))


def _figures(node: Node, path: str) -> list[Figure]:
    return [Figure(one.text, one.attribute("currencyID")) for one in node.all(path) if one.text]


def _is_true(text: str | None) -> bool:
    return text in {"true", "1"}


def _party(node: Node, unschemed: str) -> Party:
    contact = node.first("ram:DefinedTradeContact")
    address = node.first("ram:PostalTradeAddress")
    endpoint = node.first("ram:URIUniversalCommunication/ram:URIID")
    return party(
        registered_name=node.text_at("ram:Name"),
        trading_name=node.text_at("ram:SpecifiedLegalOrganization/ram:TradingBusinessName"),
        legal_ids=_ids(node, unschemed),
        endpoint=(endpoint.attribute("schemeID"), endpoint.text) if endpoint and endpoint.text else None,
        contact_name=contact and (contact.text_at("ram:PersonName") or contact.text_at("ram:DepartmentName")),
        email=contact and contact.text_at("ram:EmailURIUniversalCommunication/ram:URIID"),
        phone=contact and contact.text_at("ram:TelephoneUniversalCommunication/ram:CompleteNumber"),
        address_lines=[
            line
            for name in ("ram:LineOne", "ram:LineTwo", "ram:LineThree")
            if address is not None
            for line in address.texts(name)
        ],
        postcode=address and address.text_at("ram:PostcodeCode"),
        city=address and address.text_at("ram:CityName"),
        country=address and address.text_at("ram:CountryID"),
        language=None,
    )


def _ids(node: Node, unschemed: str) -> Iterator[tuple[str, str]]:
    """Tax ids, then the registration (BT-30), then what else the party is known by (BT-29)."""
    for tax_id in node.all("ram:SpecifiedTaxRegistration/ram:ID"):
        yield "vat" if tax_id.attribute("schemeID") == _VAT else "tax", tax_id.text
    for legal in node.all("ram:SpecifiedLegalOrganization/ram:ID"):
        yield legal.attribute("schemeID") or "legal", legal.text
    for other in node.all("ram:GlobalID", "ram:ID"):
        yield other.attribute("schemeID") or unschemed, other.text
