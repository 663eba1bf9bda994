"""UBL 2 Invoice and CreditNote: where each business term stands."""

from collections.abc import Iterator
from typing import Final

from facturx.facturx import UBL_21_xsd

from billing_connectors.documents.canonical import Party
from billing_connectors.documents.found import Figure, Found, Reference, Term
from billing_connectors.documents.markup import Node
from billing_connectors.documents.parties import party

_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
INVOICE: Final = (f"{_UBL}Invoice-2", "Invoice")
CREDIT_NOTE: Final = (f"{_UBL}CreditNote-2", "CreditNote")
_NAMESPACES: Final = {"cac": f"{_UBL}CommonAggregateComponents-2", "cbc": f"{_UBL}CommonBasicComponents-2"}
_MEANS: Final = "cac:PaymentMeans"
_SUMS: Final = "cac:LegalMonetaryTotal"
# BT-90 stands among the identifiers of the seller or the payee: it names who debits, not who sells.
_DEBIT_SCHEME: Final = "SEPA"
_DEBIT_CREDITOR: Final = tuple(
    f"{path}/cac:PartyIdentification/cbc:ID[@schemeID='{_DEBIT_SCHEME}']"
    for path in ("cac:AccountingSupplierParty/cac:Party", "cac:PayeeParty")
)
_VAT: Final = "VAT"
# Peppol asks for an order reference where only the seller's own order number is known.
_NO_ORDER: Final = "NA"


def read(root: Node) -> Found:
    """The texts of a UBL invoice or credit note."""
    doc = root.bound(_NAMESPACES)
    credit = (root.namespace, root.name) == CREDIT_NOTE
    format_ = "ubl-creditnote" if credit else "ubl-invoice"
    seller = doc.first("cac:AccountingSupplierParty/cac:Party")
    buyer = doc.first("cac:AccountingCustomerParty/cac:Party")
    payee = doc.first("cac:PayeeParty")
    order = doc.text_at("cac:OrderReference/cbc:ID")
    return Found(
        format=format_,
        is_credit_root=credit,
        number=doc.text_at("cbc:ID"),
        issued_on=doc.text_at("cbc:IssueDate"),
        type_code=doc.text_at("cbc:CreditNoteTypeCode" if credit else "cbc:InvoiceTypeCode"),
        currency=doc.text_at("cbc:DocumentCurrencyCode"),
        due_on=doc.text_at("cbc:DueDate"),
        terms=_terms(doc),
        buyer_reference=doc.text_at("cbc:BuyerReference"),
        purchase_order=None if order == _NO_ORDER else order,
        terms_texts=doc.texts("cac:PaymentTerms/cbc:Note"),
        preceding=[*_references(doc)],
        seller=_party(seller, "seller") if seller else Party(),
        buyer=_party(buyer, "buyer") if buyer else Party(),
        payee=_party(payee, "payee") if payee else None,
        payment_means=doc.texts(f"{_MEANS}/cbc:PaymentMeansCode"),
        remittance=doc.text_at(f"{_MEANS}/cbc:PaymentID"),
        iban=doc.text_at(f"{_MEANS}/cac:PayeeFinancialAccount/cbc:ID"),
        mandate_reference=doc.text_at(f"{_MEANS}/cac:PaymentMandate/cbc:ID"),
        direct_debit_creditor_id=doc.text_at(*_DEBIT_CREDITOR),
        debited_account=doc.text_at(f"{_MEANS}/cac:PaymentMandate/cac:PayerFinancialAccount/cbc:ID"),
        net=_figures(doc, f"{_SUMS}/cbc:TaxExclusiveAmount"),
        tax=_figures(doc, "cac:TaxTotal/cbc:TaxAmount"),
        total=_figures(doc, f"{_SUMS}/cbc:TaxInclusiveAmount"),
        prepaid=_figures(doc, f"{_SUMS}/cbc:PrepaidAmount"),
        rounding=_figures(doc, f"{_SUMS}/cbc:PayableRoundingAmount"),
        amount_due=_figures(doc, f"{_SUMS}/cbc:PayableAmount"),
        is_copy=doc.text_at("cbc:CopyIndicator") in {"true", "1"},
        is_test=False,
        warnings=[*_schema_warnings(root, f"ubl-2.1-{format_.removeprefix('ubl-')}")],
    )


def _schema_warnings(root: Node, flavour: str) -> Iterator[str]:
    valid = root.is_valid(UBL_21_xsd[flavour])
    if valid is None:
        yield "xsd_unchecked"
    elif not valid:
        yield "xsd_invalid"


def _terms(doc: Node) -> list[Term]:
    """Days beside the document's own; a credit note of UBL 2.1 has BT-9 only here, with its payment means."""
    terms = [
        Term(
            node.text_at("cbc:InstallmentDueDate") or node.text_at("cbc:PaymentDueDate"),
            next(iter(_figures(node, "cbc:Amount")), None),
        )
        for node in doc.all("cac:PaymentTerms")
    ]
    return [*terms, *(Term(text, None) for text in doc.texts(f"{_MEANS}/cbc:PaymentDueDate"))]


def _references(doc: Node) -> Iterator[Reference]:
    for node in doc.all("cac:BillingReference/cac:InvoiceDocumentReference"):
        number = node.text_at("cbc:ID")
        if number:
            yield Reference(number, node.text_at("cbc:IssueDate"))


def _figures(node: Node, path: str) -> list[Figure]:
    return [Figure(one.text, one.attribute("currencyID")) for one in node.all(path) if one.text]


def _party(node: Node, unschemed: str) -> Party:
    contact = node.first("cac:Contact")
    address = node.first("cac:PostalAddress")
    endpoint = node.first("cbc:EndpointID")
    person = " ".join([*node.texts("cac:Person/cbc:FirstName"), *node.texts("cac:Person/cbc:FamilyName")])
    return party(
        registered_name=node.text_at("cac:PartyLegalEntity/cbc:RegistrationName"),
        trading_name=node.text_at("cac:PartyName/cbc:Name") or person,
        legal_ids=_ids(node, unschemed),
        endpoint=(endpoint.attribute("schemeID"), endpoint.text) if endpoint and endpoint.text else None,
        contact_name=contact and contact.text_at("cbc:Name"),
        email=contact and contact.text_at("cbc:ElectronicMail"),
        phone=contact and contact.text_at("cbc:Telephone"),
        address_lines=[
            line
            for name in ("cbc:StreetName", "cbc:AdditionalStreetName", "cac:AddressLine/cbc:Line")
            if address is not None
            for line in address.texts(name)
        ],
        postcode=address and address.text_at("cbc:PostalZone"),
        city=address and address.text_at("cbc:CityName"),
        country=address and address.text_at("cac:Country/cbc:IdentificationCode"),
        language=node.text_at("cac:Language/cbc:ID"),
    )


def _ids(node: Node, unschemed: str) -> Iterator[tuple[str, str]]:
    """Tax ids, then the registration (BT-30), then what else the party is known by (BT-29)."""
    for scheme in node.all("cac:PartyTaxScheme"):
        number = scheme.text_at("cbc:CompanyID")
        if number:
            is_vat = (scheme.text_at("cac:TaxScheme/cbc:ID") or "").upper() == _VAT
            yield "vat" if is_vat else "tax", number
    for legal in node.all("cac:PartyLegalEntity/cbc:CompanyID"):
        yield legal.attribute("schemeID") or "legal", legal.text
    for other in node.all("cac:PartyIdentification/cbc:ID"):
        scheme_id = other.attribute("schemeID")
        if scheme_id != _DEBIT_SCHEME:
            yield scheme_id or unschemed, other.text
