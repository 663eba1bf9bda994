"""What a readable e-invoice means: kind, sign, amounts, days, warnings."""

from datetime import date

import pytest

from billing_connectors.documents.canonical import Instalment
from billing_connectors.documents.reading import read_document
from support.documents import cii_term, make_cii, make_ubl, refusal_of, seller_ids, warnings_of

MEANS = (
    "<ram:SpecifiedTradeSettlementPaymentMeans><ram:TypeCode>{0}</ram:TypeCode>"
    "</ram:SpecifiedTradeSettlementPaymentMeans>"
)
AMOUNTS = '<cbc:TaxInclusiveAmount currencyID="{0}">{1}</cbc:TaxInclusiveAmount>'


@pytest.mark.parametrize(
    ("type_code", "total", "kind", "warning"),
    [
        ("380", "120.00", "invoice", None),
        ("380", "-120.00", "credit_note", None),
        ("384", "120.00", "invoice", "corrects_another"),
        ("384", "-120.00", "credit_note", None),
        ("386", "120.00", "invoice", None),
        ("389", "120.00", "invoice", "self_billed"),
        ("393", "120.00", "invoice", "factored"),
        ("501", "120.00", "invoice", "factored"),
        ("751", "120.00", "invoice", "accounting_only"),
        ("383", "120.00", "invoice", None),
        ("381", "120.00", "credit_note", None),
        ("396", "120.00", "credit_note", "factored"),
        ("261", "120.00", "credit_note", "self_billed"),
        ("503", "120.00", "credit_note", None),
        ("81", "120.00", "credit_note", None),
        ("381", "-120.00", "invoice", "negative_credit_note"),  # it balances a negative invoice out
    ],
)
def test_the_type_code_and_the_sign_give_the_kind(type_code: str, total: str, kind: str, warning: str | None) -> None:
    content = make_cii(type_code=type_code, total=total, due=total)
    document = read_document(content)
    assert (document.kind, document.total_minor, document.amount_due_minor) == (kind, 12000, 12000)
    assert warning is None or warning in document.warnings


@pytest.mark.parametrize("type_code", ["325", "220", "310", "38", "3800", "credit"])
def test_a_document_that_claims_nothing_is_refused(type_code: str) -> None:
    assert refusal_of(make_cii(type_code=type_code)).reason == "not_an_invoice"


def test_without_a_type_code_only_the_ubl_root_tells_the_kind() -> None:
    assert read_document(make_ubl(type_code=None)).kind == "invoice"
    assert read_document(make_ubl(root="CreditNote", type_code=None)).kind == "credit_note"
    assert refusal_of(make_cii(type_code="")).reason == "missing_type"


def test_a_root_and_a_code_that_disagree_are_a_credit() -> None:
    assert read_document(make_ubl(root="Invoice", type_code="381")).kind == "credit_note"
    content = make_ubl(root="CreditNote", type_code="380")
    assert read_document(content).kind == "credit_note"
    assert "type_code_differs" in warnings_of(content)


@pytest.mark.parametrize(
    ("total", "prepaid", "due", "left", "warnings"),
    [
        ("120.00", "20.00", "100.00", 10000, set[str]()),
        ("120", None, "100", 10000, set[str]()),  # a profile without prepaid amounts
        ("120.00", "20.00", "90.00", 9000, {"amount_due_differs"}),
        ("120.00", "150.00", "-30.00", 0, {"overpaid"}),
        ("120.00", "-20.00", "140.00", 14000, {"amount_due_above_total"}),
        ("120.00", "20.00", None, 10000, {"amount_due_missing"}),
        ("0.00", None, "0.00", 0, set[str]()),
        ("-120.00", "-20.00", "-100.00", 10000, set[str]()),
        ("-120.00", "-150.00", "30.00", 0, {"overpaid"}),
    ],
)
def test_the_amount_due_is_what_the_document_leaves_to_pay(
    total: str, prepaid: str | None, due: str | None, left: int, warnings: set[str]
) -> None:
    content = make_cii(total=total, prepaid=prepaid, due=due)
    assert read_document(content).amount_due_minor == left
    assert warnings_of(content) == warnings


def test_a_missing_total_follows_from_what_is_stated() -> None:
    net = "<ram:TaxBasisTotalAmount>100.00</ram:TaxBasisTotalAmount>"
    tax = '<ram:TaxTotalAmount currencyID="EUR">20.00</ram:TaxTotalAmount>'
    due = "<ram:DuePayableAmount>110.00</ram:DuePayableAmount>"
    assert read_document(make_cii(sums=net + tax + due)).total_minor == 12000
    assert read_document(make_cii(sums=due)).total_minor == 11000
    assert "total_missing" in warnings_of(make_cii(sums=due))
    assert refusal_of(make_cii(sums=net)).reason == "missing_total"


@pytest.mark.parametrize(
    ("total", "currency", "minor"),
    [
        ("1656.2500", "EUR", 165625),
        ("1300", "EUR", 130000),
        (".5", "EUR", 50),
        ("+12.30", "EUR", 1230),
        ("1500", "JPY", 1500),
        ("1500.00", "JPY", 1500),
        ("12.345", "TND", 12345),
        ("12.50000000000000000000", "EUR", 1250),
    ],
)
def test_an_amount_becomes_whole_minor_units(total: str, currency: str, minor: int) -> None:
    assert read_document(make_cii(total=total, due=total, currency=currency)).total_minor == minor


@pytest.mark.parametrize("total", ["12.345", "1,200.00", "1e3", "NaN", "12.5.0", "-", "1 200", "9" * 20, "１２"])
def test_an_amount_that_is_not_exact_is_refused(total: str) -> None:
    assert refusal_of(make_cii(total=total, due="120.00")).reason == "bad_amount"


def test_an_unreadable_amount_beside_the_point_is_left_out() -> None:
    content = make_cii(prepaid="some")
    assert read_document(content).prepaid_minor is None
    assert warnings_of(content) == {"amount_unreadable"}


def test_of_two_currencies_the_document_s_own_counts() -> None:
    sums = (
        '<ram:TaxTotalAmount currencyID="EUR">16.80</ram:TaxTotalAmount>'
        '<ram:TaxTotalAmount currencyID="GBP">20.00</ram:TaxTotalAmount>'
        '<ram:GrandTotalAmount currencyID="EUR">140.00</ram:GrandTotalAmount>'
        '<ram:GrandTotalAmount currencyID="GBP">120.00</ram:GrandTotalAmount>'
        "<ram:DuePayableAmount>120.00</ram:DuePayableAmount>"
    )
    document = read_document(make_cii(currency="GBP", sums=sums))
    assert (document.currency, document.total_minor, document.tax_minor) == ("GBP", 12000, 2000)
    assert refusal_of(make_ubl(sums=AMOUNTS.format("USD", "120.00"))).reason == "currency_conflict"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"number": ""}, "missing_number"),
        ({"number": " \n\t "}, "missing_number"),
        ({"number": "9" * 101}, "bad_number"),
        ({"issued_on": ""}, "missing_date"),
        ({"issued_on": "20260230"}, "bad_date"),
        ({"issued_on": "02032026"}, "bad_date"),
        ({"issued_on": "18991231"}, "bad_date"),
        ({"currency": ""}, "missing_currency"),
        ({"currency": "EURO"}, "bad_currency"),
        ({"currency": "XYZ"}, "bad_currency"),
        ({"currency": "XXX"}, "bad_currency"),
    ],
)
def test_what_a_claim_depends_on_is_read_or_the_document_refused(changes: dict[str, str], reason: str) -> None:
    assert refusal_of(make_cii(**changes)).reason == reason


def test_a_document_without_a_buyer_is_refused() -> None:
    content = make_cii().replace(b"<ram:Name>Boulangerie Marchal</ram:Name>", b"")
    assert refusal_of(content).reason == "missing_buyer"


@pytest.mark.parametrize(
    ("day", "form"),
    [
        ("20260402", ' format="102"'),
        ("20260402", ""),
        ("202604021200", ' format="203"'),
        ("20260402120000", ' format="204"'),
        ("2026-04-02", ""),
        ("2026-04-02T00:00:00", ""),
    ],
)
def test_a_day_of_cii_is_read_in_the_formats_that_begin_with_one(day: str, form: str) -> None:
    assert read_document(make_cii(terms=cii_term(day, form=form))).due_on == date(2026, 4, 2)


@pytest.mark.parametrize(
    ("day", "form"),
    [("202614", ' format="616"'), ("02042026", ' format="4"'), ("20260402", ' format="4"'), ("soon", "")],
)
def test_a_due_day_that_is_no_day_is_left_out_with_a_warning(day: str, form: str) -> None:
    content = make_cii(terms=cii_term(day, form=form))
    assert read_document(content).due_on is None
    assert warnings_of(content) == {"due_date_unreadable", "due_date_missing"}


@pytest.mark.parametrize("day", ["2026-04-02", "2026-04-02Z", "2026-04-02+02:00", "2026-04-02T10:00:00+02:00"])
def test_a_day_of_ubl_may_carry_a_zone(day: str) -> None:
    assert read_document(make_ubl(dates=f"<cbc:DueDate>{day}</cbc:DueDate>")).due_on == date(2026, 4, 2)


def test_of_several_due_days_the_last_counts() -> None:
    content = make_cii(terms=cii_term("20260320") + cii_term("20260420") + cii_term("20260402"))
    document = read_document(content)
    assert (document.due_on, document.instalments) == (date(2026, 4, 20), ())
    assert warnings_of(content) == {"several_due_dates"}


def test_days_with_amounts_that_add_up_are_instalments() -> None:
    terms = cii_term("20260402", amount="80.00") + cii_term("20260320", amount="40.00")
    document = read_document(make_cii(terms=terms))
    assert document.instalments == (Instalment(date(2026, 3, 20), 4000), Instalment(date(2026, 4, 2), 8000))
    assert document.due_on == date(2026, 4, 2)
    unequal = cii_term("20260402", amount="80.00") + cii_term("20260320", amount="30.00")
    assert read_document(make_cii(terms=unequal)).instalments == ()


def test_the_due_day_of_ubl_is_its_own_or_else_that_of_the_payment_means() -> None:
    means = "<cac:PaymentMeans><cbc:PaymentDueDate>2026-05-05</cbc:PaymentDueDate></cac:PaymentMeans>"
    assert read_document(make_ubl(means=means)).due_on == date(2026, 4, 2)
    assert read_document(make_ubl(means=means, dates="")).due_on == date(2026, 5, 5)
    assert read_document(make_ubl(root="CreditNote", type_code="381", means=means)).due_on == date(2026, 5, 5)


def test_a_due_day_before_the_issue_is_named() -> None:
    assert warnings_of(make_cii(terms=cii_term("20260301"))) == {"due_before_issue"}
    assert warnings_of(make_cii(type_code="381", terms=cii_term("20260301"))) == set()


def test_an_invoice_without_a_due_day_says_so_and_a_credit_note_does_not() -> None:
    said = "<ram:Description>30 jours nets</ram:Description>"
    text = f"<ram:SpecifiedTradePaymentTerms>{said}</ram:SpecifiedTradePaymentTerms>"
    document = read_document(make_cii(terms=text))
    assert (document.due_on, document.due_on_source, document.payment_terms_text) == (None, "none", "30 jours nets")
    assert warnings_of(make_cii(terms=text)) == {"due_date_missing", "terms_in_text_only"}
    assert warnings_of(make_cii(terms=text, type_code="381")) == set()


@pytest.mark.parametrize(
    "settlement",
    [
        MEANS.format("59"),
        MEANS.format("49"),
        "<ram:SpecifiedTradePaymentTerms><ram:DirectDebitMandateID>M1</ram:DirectDebitMandateID></ram:SpecifiedTradePaymentTerms>",
    ],
)
def test_a_direct_debit_is_announced_by_its_means_or_its_mandate(settlement: str) -> None:
    content = make_cii(settlement=settlement)
    assert read_document(content).direct_debit
    assert warnings_of(content) == {"direct_debit_announced"}
    transfer = settlement.replace("59", "58").replace("49", "58").replace("DirectDebitMandateID", "ID")
    assert not read_document(make_cii(settlement=transfer)).direct_debit


def test_the_bank_s_creditor_id_is_no_identifier_of_the_seller() -> None:
    ids = (
        '<cac:PartyIdentification><cbc:ID schemeID="SEPA">FR72ZZZ123456</cbc:ID></cac:PartyIdentification>'
        '<cac:PartyIdentification><cbc:ID schemeID="0009">90382165400012</cbc:ID></cac:PartyIdentification>'
    )
    document = read_document(make_ubl(seller_ids=ids))
    assert document.direct_debit_creditor_id == "FR72ZZZ123456"
    assert seller_ids(document) == {"0009:90382165400012"}


def test_each_identifier_keeps_the_scheme_that_the_document_states() -> None:
    ids = (
        "<ram:ID>F-12</ram:ID><ram:ID>F-12</ram:ID>"
        '<ram:GlobalID schemeID="0009">90382165400012</ram:GlobalID>'
        '<ram:SpecifiedLegalOrganization><ram:ID schemeID="0002">903821654</ram:ID></ram:SpecifiedLegalOrganization>'
        '<ram:SpecifiedTaxRegistration><ram:ID schemeID="FC">12/345</ram:ID></ram:SpecifiedTaxRegistration>'
    )
    document = read_document(make_cii(seller_ids=ids))
    assert seller_ids(document) == {
        "vat:FR40903821654", "tax:12/345", "0002:903821654", "0009:90382165400012", "seller:F-12",
    }  # fmt: skip
    assert len(document.seller.legal_ids) == 5


def test_an_electronic_mailbox_is_the_buyer_s_address_where_no_contact_has_one() -> None:
    endpoint = '<cbc:EndpointID schemeID="{0}">compta@marchal.example</cbc:EndpointID>'
    assert read_document(make_ubl(buyer_endpoint=endpoint.format("EM"))).buyer.email == "compta@marchal.example"
    assert read_document(make_ubl(buyer_endpoint=endpoint.format("0225"))).buyer.email is None


@pytest.mark.parametrize("mail", ["a@b.example\r\nBcc: x@y.example", "no address", "a@b@c", "a" * 300 + "@b.example"])
def test_an_address_that_could_carry_a_header_is_left_out(mail: str) -> None:
    contact = (
        "<ram:DefinedTradeContact><ram:EmailURIUniversalCommunication>"
        f"<ram:URIID>{mail}</ram:URIID></ram:EmailURIUniversalCommunication></ram:DefinedTradeContact>"
    )
    assert read_document(make_cii(buyer_contact=contact)).buyer.email is None


def test_any_prefix_names_the_same_element() -> None:
    renamed = make_cii().replace(b"ram:", b"x:").replace(b"xmlns:ram", b"xmlns:x").replace(b"rsm", b"ram")
    assert read_document(renamed).number == "FA-2026-0107"
    other = make_ubl().replace(b"CommonBasicComponents-2", b"OtherComponents-2")
    assert refusal_of(other).reason == "missing_number"


def test_texts_are_bounded_and_on_one_line() -> None:
    document = read_document(make_cii().replace(b"Boulangerie Marchal", b"Boulangerie\n" + b"M" * 5000))
    assert len(document.buyer.name) == 200
    assert document.buyer.name.startswith("Boulangerie MMM")
