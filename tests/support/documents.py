"""Documents for tests: e-invoices of both syntaxes, PDFs that carry them, and the files of others."""

import io
import os
from pathlib import Path
from typing import Final

import pytest
from pypdf import PdfWriter

from billing_connectors.documents.canonical import Document, Refusal, Rejected
from billing_connectors.documents.reading import read_document

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"

CII: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
 xmlns:ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
 xmlns:udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"
 xmlns:qdt="urn:un:unece:uncefact:data:standard:QualifiedDataType:100">
 <rsm:ExchangedDocumentContext>
  <ram:GuidelineSpecifiedDocumentContextParameter><ram:ID>{guideline}</ram:ID></ram:GuidelineSpecifiedDocumentContextParameter>
 </rsm:ExchangedDocumentContext>
 <rsm:ExchangedDocument>
  <ram:ID>{number}</ram:ID>
  <ram:TypeCode>{type_code}</ram:TypeCode>
  <ram:IssueDateTime><udt:DateTimeString format="102">{issued_on}</udt:DateTimeString></ram:IssueDateTime>
 </rsm:ExchangedDocument>
 <rsm:SupplyChainTradeTransaction>
  <ram:ApplicableHeaderTradeAgreement>
   <ram:SellerTradeParty>
    {seller_ids}
    <ram:Name>Atelier Belleville SARL</ram:Name>
    <ram:PostalTradeAddress><ram:CountryID>FR</ram:CountryID></ram:PostalTradeAddress>
    <ram:SpecifiedTaxRegistration><ram:ID schemeID="VA">FR40903821654</ram:ID></ram:SpecifiedTaxRegistration>
   </ram:SellerTradeParty>
   <ram:BuyerTradeParty>
    <ram:Name>Boulangerie Marchal</ram:Name>
    {buyer_contact}
    <ram:PostalTradeAddress><ram:CountryID>FR</ram:CountryID></ram:PostalTradeAddress>
   </ram:BuyerTradeParty>
  </ram:ApplicableHeaderTradeAgreement>
  <ram:ApplicableHeaderTradeDelivery/>
  <ram:ApplicableHeaderTradeSettlement>
   {settlement}
   <ram:InvoiceCurrencyCode>{currency}</ram:InvoiceCurrencyCode>
   {terms}
   <ram:SpecifiedTradeSettlementHeaderMonetarySummation>
    {sums}
   </ram:SpecifiedTradeSettlementHeaderMonetarySummation>
  </ram:ApplicableHeaderTradeSettlement>
 </rsm:SupplyChainTradeTransaction>
</rsm:CrossIndustryInvoice>
"""
UBL: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<{root} xmlns="urn:oasis:names:specification:ubl:schema:xsd:{root}-2"
 xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
 xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
 <cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID>
 <cbc:ID>{number}</cbc:ID>
 <cbc:IssueDate>{issued_on}</cbc:IssueDate>
 {dates}
 {type_code}
 <cbc:DocumentCurrencyCode>{currency}</cbc:DocumentCurrencyCode>
 <cac:AccountingSupplierParty><cac:Party>
  {seller_ids}
  <cac:PartyLegalEntity><cbc:RegistrationName>Atelier Belleville SARL</cbc:RegistrationName></cac:PartyLegalEntity>
 </cac:Party></cac:AccountingSupplierParty>
 <cac:AccountingCustomerParty><cac:Party>
  {buyer_endpoint}
  <cac:PartyLegalEntity><cbc:RegistrationName>Boulangerie Marchal</cbc:RegistrationName></cac:PartyLegalEntity>
 </cac:Party></cac:AccountingCustomerParty>
 {means}
 {terms}
 <cac:LegalMonetaryTotal>{sums}</cac:LegalMonetaryTotal>
</{root}>
"""


def make_cii(*, total: str = "120.00", due: str | None = "120.00", prepaid: str | None = None, **changes: str) -> bytes:
    """A CII document; what is not named is an invoice of 120 euros due on 2 April 2026."""
    sums = [
        f"<ram:GrandTotalAmount>{total}</ram:GrandTotalAmount>" if total else "",
        f"<ram:TotalPrepaidAmount>{prepaid}</ram:TotalPrepaidAmount>" if prepaid else "",
        f"<ram:DuePayableAmount>{due}</ram:DuePayableAmount>" if due else "",
    ]
    values = {
        "guideline": "urn:cen.eu:en16931:2017",
        "number": "FA-2026-0107",
        "type_code": "380",
        "issued_on": "20260302",
        "currency": "EUR",
        "seller_ids": "",
        "buyer_contact": "",
        "settlement": "",
        "terms": cii_term("20260402"),
        "sums": "".join(sums),
    }
    return CII.format(**values | changes).encode()


def cii_term(due_on: str, *, amount: str = "", form: str = ' format="102"') -> str:
    """Payment terms with a day, and the part to pay on it."""
    part = f"<ram:PartialPaymentAmount>{amount}</ram:PartialPaymentAmount>" if amount else ""
    day = f"<udt:DateTimeString{form}>{due_on}</udt:DateTimeString>"
    return (
        f"<ram:SpecifiedTradePaymentTerms><ram:DueDateDateTime>{day}</ram:DueDateDateTime>{part}"
        "</ram:SpecifiedTradePaymentTerms>"
    )


def make_ubl(*, root: str = "Invoice", type_code: str | None = "380", total: str = "120.00", **changes: str) -> bytes:
    """A UBL document; what is not named is an invoice of 120 euros due on 2 April 2026."""
    code = f"<cbc:{root}TypeCode>{type_code}</cbc:{root}TypeCode>" if type_code else ""
    values = {
        "number": "FA-2026-0107",
        "issued_on": "2026-03-02",
        "dates": "<cbc:DueDate>2026-04-02</cbc:DueDate>" if root == "Invoice" else "",
        "currency": "EUR",
        "seller_ids": "",
        "buyer_endpoint": "",
        "means": "",
        "terms": "",
        "sums": (
            f'<cbc:TaxInclusiveAmount currencyID="EUR">{total}</cbc:TaxInclusiveAmount>'
            f'<cbc:PayableAmount currencyID="EUR">{total}</cbc:PayableAmount>'
        ),
    }
    return UBL.format(root=root, **values | {"type_code": code} | changes).encode()


def make_pdf(*files: tuple[str, bytes], password: str | None = None) -> bytes:
    """A PDF of one empty page with files embedded."""
    writer = PdfWriter()
    writer.add_blank_page(width=595, height=842)
    for name, content in files:
        writer.add_attachment(name, content)
    if password is not None:
        writer.encrypt("", owner_password="owner", algorithm="AES-256") if not password else writer.encrypt(password)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def refusal_of(content: bytes) -> Refusal:
    """Why a file is not read; a test that gets a document instead fails."""
    with pytest.raises(Rejected) as caught:
        read_document(content)
    return caught.value.refusal


def warnings_of(content: bytes) -> set[str]:
    """What reading warned of, apart from the schema: these documents are shorter than it allows."""
    return set(read_document(content).warnings) - {"xsd_invalid"}


def seller_ids(document: Document) -> set[str]:
    """The seller's identifiers as `scheme:value`."""
    return {f"{one.scheme}:{one.value}" for one in document.seller.legal_ids}


def reference_folder(name: str) -> Path:
    """A folder of the files of others, which the project does not carry; without it the test is skipped."""
    place = Path(os.environ.get("RELANCE_REFERENCE", ROOT.parent / "shared" / "reference")) / name
    if not place.is_dir():
        pytest.skip(f"the files of others are not at {place}; RELANCE_REFERENCE says where they are")
    return place
