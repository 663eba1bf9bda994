"""The line that an import answers for each document."""

import json
from datetime import date

import msgspec

from billing_connectors.documents.reading import read_document
from billing_connectors.documents.report import judged, refused
from support.documents import make_cii, refusal_of

FIELDS = [
    "file", "status", "reason", "kind", "number", "issued_on", "due_on", "due_on_source",
    "due_on_computed", "currency", "total_minor",
    "amount_due_minor", "seller_ids", "buyer_name", "warnings",
]  # fmt: skip


def test_a_document_is_told_with_its_facts() -> None:
    document = read_document(make_cii(terms=""))
    told = json.loads(msgspec.json.encode(judged("a.xml", document, "imported", warnings=["seller_unchecked"])))
    assert list(told) == FIELDS
    assert told["issued_on"] == date(2026, 3, 2).isoformat()
    assert (told["due_on"], told["due_on_source"], told["total_minor"]) == (None, "none", 12000)
    assert told["seller_ids"] == [{"scheme": "vat", "value": "FR40903821654"}]
    assert told["warnings"] == ["xsd_invalid", "due_date_missing", "seller_unchecked"]
    quarantined = judged("a.xml", document, "quarantined", reason="possible_duplicate")
    assert (quarantined.status, quarantined.reason) == ("quarantined", "possible_duplicate")


def test_a_file_that_was_not_read_is_told_with_its_reason_and_nothing_else() -> None:
    told = json.loads(msgspec.json.encode(refused("../../x\n.pdf", refusal_of(b""))))
    assert list(told) == FIELDS
    assert (told["status"], told["reason"]) == ("rejected", "empty_file")
    assert [key for key, value in told.items() if value is not None] == ["file", "status", "reason"]
