"""Read one file: what it is decides its content, never its name."""

from typing import Final

from billing_connectors.documents import cii, markup, pdf, ubl
from billing_connectors.documents.canonical import Document, Rejected
from billing_connectors.documents.found import Found
from billing_connectors.documents.markup import Node
from billing_connectors.documents.meaning import document_of

_ZUGFERD_1: Final = ("urn:ferd:CrossIndustryDocument:invoice:1p0", "CrossIndustryDocument")
_ZUGFERD_1_PARTS: Final = {
    "rsm": _ZUGFERD_1[0],
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:12",
}
_ZUGFERD_1_LEVEL: Final = "rsm:SpecifiedExchangedDocumentContext/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID"
# Documents of the same families that are no invoice: an order, a status message, any other UBL document.
_OTHERS: Final = frozenset({"SCRDMCCBDACIOMessageStructure", "CrossDomainAcknowledgementAndResponse"})
_OTHER_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_UBL_CLAIMS: Final = frozenset({"DebitNote", "SelfBilledInvoice", "SelfBilledCreditNote", "FreightInvoice"})
# The names that Factur-X, ZUGFeRD 2 and XRechnung give to the invoice inside a PDF, the surest first.
_EMBEDDED_NAMES: Final = ("factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml")


def read_document(content: bytes) -> Document:
    """The invoice or credit note in a file; raises `Rejected` with a stable reason.

    >>> read_document(b"hello")
    Traceback (most recent call last):
    billing_connectors.documents.canonical.Rejected: unsupported_format: neither a PDF nor XML
    """
    if not content:
        raise Rejected("empty_file", "the file has no content")
    if markup.looks_like_xml(content):
        return document_of(_found(markup.parse(content), embedded=False))
    if pdf.looks_like_pdf(content):
        return _from_pdf(content)
    raise Rejected("unsupported_format", "neither a PDF nor XML")


def _from_pdf(content: bytes) -> Document:
    files = sorted(pdf.attachments(content), key=lambda one: _rank(one.name))
    refused: Rejected | None = None
    for file in files:
        try:
            return document_of(_found(markup.parse(file.content), embedded=True))
        except Rejected as rejected:
            # What the invoice's own file says counts; another XML file is an annex until all have been tried.
            if _rank(file.name) < len(_EMBEDDED_NAMES):
                raise
            refused = refused or rejected
    if refused is not None and refused.refusal.reason != "unsupported_format":
        raise refused
    raise Rejected("no_structured_data", "the PDF carries no e-invoice; its printed text is not read", format="pdf")


def _rank(name: str) -> int:
    lowered = name.lower()
    return _EMBEDDED_NAMES.index(lowered) if lowered in _EMBEDDED_NAMES else len(_EMBEDDED_NAMES)


def _found(root: Node, *, embedded: bool) -> Found:
    kind = (root.namespace, root.name)
    if kind == cii.ROOT:
        return cii.read(root, embedded=embedded)
    if kind in {ubl.INVOICE, ubl.CREDIT_NOTE}:
        return ubl.read(root)
    if kind == _ZUGFERD_1:
        level = (root.bound(_ZUGFERD_1_PARTS).text_at(_ZUGFERD_1_LEVEL) or "").rsplit(":", 1)[-1]
        suffix = f"-{level}" if level.isalpha() else ""
        raise Rejected("unsupported_format", "ZUGFeRD 1 is another standard", format=f"zugferd1{suffix}"[:40])
    if root.name in _OTHERS or (root.namespace.startswith(_OTHER_UBL) and root.name not in _UBL_CLAIMS):
        raise Rejected("not_an_invoice", f"a {root.name[:60]} is no invoice")
    raise Rejected("unsupported_format", f"XML with the root element {root.name[:60]}")
