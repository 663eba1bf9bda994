"""What several sources say of one document: the rules, over any readings in any order."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from billing_connectors.documents.canonical import Document, Instalment, Party
from billing_connectors.merging import (
    MAX_READINGS,
    Reading,
    Statement,
    credit_note_change,
    facts_of,
    invoice_change,
    rank_of,
    reading_of,
    total_of,
    with_reading,
)
from kernel import ids
from receivables.changes import named
from receivables.drafts import Line, NewInvoice
from receivables.models import CreditNote, DocumentState, DueOnSource

ISSUED = date(2026, 3, 2)
DUE = date(2026, 4, 1)
LATER = date(2026, 4, 15)
NOBODY = UUID(int=0)


def document(**changes: object) -> Document:
    made = Document(
        kind="invoice",
        format="cii",
        number="F-1",
        issued_on=ISSUED,
        currency="EUR",
        total_minor=12_000,
        amount_due_minor=12_000,
        seller=Party(),
        buyer=Party(name="Marchal"),
    )
    return structs.replace(made, **changes)


def reading(**changes: object) -> Reading:
    made = Reading(source="cii", rank=80, issued_on=ISSUED, total_minor=12_000, left_minor=12_000)
    return structs.replace(made, **changes)


def statement(*readings: Reading) -> Statement:
    return Statement({f"{one.source}:{place}": one for place, one in enumerate(readings)}, is_origin=True)


def known(said: Statement, total_minor: int = 12_000, **changes: object) -> NewInvoice:
    """An invoice as its readings have made it."""
    facts = facts_of(said, total_minor)
    made = NewInvoice(
        creditor_id=ids.new_id(),
        debtor_id=ids.new_id(),
        number="F-1",
        issued_on=facts.issued_on or ISSUED,
        currency="EUR",
        total_minor=total_minor,
        prepaid_minor=facts.settled_minor,
        due_on=facts.due_on,
        due_on_source=facts.due_on_source,
        instalments=facts.instalments,
        purchase_order=facts.purchase_order,
        payment_terms=facts.payment_terms,
        direct_debit_on=facts.direct_debit_on,
        source=facts.source,
        source_rank=facts.source_rank,
    )
    return structs.replace(made, **changes)


def test_sources_are_ranked_by_what_they_tell() -> None:
    order = ["facturx-minimum", "csv", "facturx-basicwl", "facturx-basic", "facturx-en16931"]
    assert sorted(order, key=rank_of) == order
    assert rank_of("cii") == rank_of("ubl-invoice") == rank_of("facturx-extended") == 80
    assert rank_of("something-new") == rank_of("facturx-minimum")


def test_the_richest_word_counts_and_a_blank_is_filled_by_any() -> None:
    poor = reading(source="csv", rank=50, due_on=LATER, purchase_order="PO-poor", payment_terms="30 jours")
    rich = reading(due_on=DUE, purchase_order="PO-rich")
    for order in ([poor, rich], [rich, poor]):
        facts = facts_of(statement(*order), 12_000)
        assert (facts.due_on, facts.purchase_order, facts.payment_terms) == (DUE, "PO-rich", "30 jours")
        assert (facts.source, facts.source_rank) == ("cii", 80)


def test_of_equally_rich_days_the_later_counts_and_several_days_before_one() -> None:
    assert facts_of(statement(reading(due_on=DUE), reading(due_on=LATER)), 12_000).due_on == LATER
    parts = ((DUE, 4_000), (LATER, 8_000))
    facts = facts_of(statement(reading(due_on=date(2026, 9, 1)), reading(due_on=LATER, instalments=parts)), 12_000)
    assert facts.instalments == (Line(amount_minor=4_000, due_on=DUE), Line(amount_minor=8_000, due_on=LATER))
    assert facts.due_on == DUE


def test_the_smallest_amount_left_counts_and_nobody_says_less_than_nothing() -> None:
    said = statement(reading(left_minor=12_000), reading(left_minor=7_000), reading(left_minor=None))
    assert facts_of(said, 12_000).settled_minor == 5_000
    assert facts_of(statement(reading(left_minor=15_000)), 12_000).settled_minor == 0
    assert facts_of(statement(reading(left_minor=0)), 12_000).settled_minor == 12_000


def test_what_we_have_settled_ourselves_is_not_settled_twice() -> None:
    ledger = reading(source="csv", rank=50, left_minor=4_000, allocated_minor=6_000)
    assert facts_of(statement(ledger), 12_000).settled_minor == 2_000


def test_a_smaller_amount_is_taken_from_the_first_instalments() -> None:
    parts = ((DUE, 4_000), (LATER, 8_000))
    said = statement(reading(due_on=LATER, instalments=parts), reading(left_minor=7_000))
    lines = facts_of(said, 12_000).instalments
    assert lines == (Line(amount_minor=0, due_on=DUE), Line(amount_minor=7_000, due_on=LATER))


days = st.none() | st.dates(ISSUED, ISSUED + timedelta(days=90))
texts = st.none() | st.sampled_from(["a", "b", "ab", "long text"])


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    due_on = draw(days)
    first = draw(st.integers(1, 11_999))
    parts = ((ISSUED, first), (due_on, 12_000 - first)) if due_on and draw(st.booleans()) else ()
    source = draw(st.sampled_from(["cii", "facturx-minimum", "facturx-basic", "csv", "ubl-invoice"]))
    return Reading(
        source=source,
        rank=rank_of(source),
        issued_on=draw(st.dates(date(2026, 1, 1), date(2026, 12, 31))),
        total_minor=draw(st.sampled_from([None, 12_000])),
        left_minor=draw(st.none() | st.integers(0, 12_000)),
        due_on=due_on,
        instalments=parts,
        purchase_order=draw(texts),
        payment_terms=draw(texts),
        direct_debit=draw(st.booleans()),
        direct_debit_on=draw(days),
    )


@given(
    st.lists(readings(), min_size=1, max_size=5).flatmap(lambda each: st.tuples(st.just(each), st.permutations(each)))
)
def test_one_after_another_in_any_order_is_all_at_once(orders: tuple[Sequence[Reading], Sequence[Reading]]) -> None:
    """The same readings in two orders, each applied as a correction of what the ones before have made."""
    names = {id(one): f"{place}" for place, one in enumerate(orders[0])}
    ends: list[dict[str, object]] = []
    for order in orders:
        said = with_reading(Statement(is_origin=True), names[id(order[0])], order[0])
        invoice = known(said, total_of(said, order[0].left_minor or 0))
        for one in order[1:]:
            after = with_reading(said, names[id(one)], one)
            change = invoice_change(invoice, said, after)
            invoice, said = structs.replace(invoice, **named(change)), after
        ends.append(structs.asdict(structs.replace(invoice, creditor_id=NOBODY, debtor_id=NOBODY)))
        assert sum(line.amount_minor for line in invoice.instalments) == invoice.total_minor - invoice.prepaid_minor
        assert named(invoice_change(invoice, said, said)) == {}
    assert ends[0] == ends[1]


@given(st.lists(readings(), min_size=1, max_size=4), readings())
def test_a_poorer_reading_takes_nothing_from_a_richer_one(before: list[Reading], more: Reading) -> None:
    said = statement(*before)
    was, now = facts_of(said, 12_000), facts_of(with_reading(said, "more", more), 12_000)
    for name in ("due_on", "purchase_order", "payment_terms", "direct_debit_on", "issued_on"):
        assert getattr(was, name) is None or getattr(now, name) is not None
    if all(more.rank < one.rank for one in before):
        if was.due_on is not None:
            assert [line.due_on for line in now.instalments] == [line.due_on for line in was.instalments]
        for name in ("purchase_order", "payment_terms", "issued_on"):
            assert getattr(was, name) in {None, getattr(now, name)}


def test_what_somebody_has_changed_since_is_left_alone() -> None:
    before = statement(reading(due_on=DUE, purchase_order="PO-1"))
    after = with_reading(
        before, "more", reading(due_on=LATER, purchase_order="PO-2", payment_terms="net", left_minor=1)
    )
    edited = known(before, due_on=date(2026, 5, 1), instalments=(Line(amount_minor=12_000, due_on=date(2026, 5, 1)),))
    change = named(invoice_change(structs.replace(edited, purchase_order="mine"), before, after))
    assert "due_on" not in change
    assert "purchase_order" not in change
    assert (change["payment_terms"], change["prepaid_minor"]) == ("net", 11_999)
    assert change["instalments"] == (Line(amount_minor=1, due_on=date(2026, 5, 1)),)


def test_of_an_invoice_that_came_otherwise_only_blanks_are_filled() -> None:
    by_api = known(Statement(), source="api", source_rank=100, payment_terms="ours")
    said = with_reading(Statement(), "cii:1", reading(due_on=DUE, payment_terms="theirs", left_minor=1_000))
    change = named(invoice_change(by_api, Statement(), said))
    assert change == {
        "due_on": DUE,
        "due_on_source": DueOnSource.DOCUMENT,
        "instalments": (Line(amount_minor=12_000, due_on=DUE),),
    }
    again = with_reading(said, "cii:2", reading(due_on=LATER, purchase_order="PO"))
    filled = structs.replace(by_api, **change)
    assert set(named(invoice_change(filled, said, again))) == {"due_on", "instalments", "purchase_order"}


def test_a_total_that_was_only_what_was_left_grows_to_what_is_stated() -> None:
    poor = statement(reading(source="csv", rank=50, total_minor=None, left_minor=5_000))
    invoice = known(poor, 5_000)
    change = named(invoice_change(invoice, poor, with_reading(poor, "cii:1", reading(left_minor=12_000))))
    assert (change["total_minor"], change["prepaid_minor"]) == (12_000, 7_000)
    assert sum(line.amount_minor for line in change.get("instalments", invoice.instalments)) == 5_000


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Der Betrag wird am 20.03.2026 eingezogen.", date(2026, 3, 20)),
        ("Prélèvement SEPA le 20/03/2026", date(2026, 3, 20)),
        ("Debited on 2026-03-20.", date(2026, 3, 20)),
        ("2% bis 12.03.2026, sonst Einzug am 20.03.2026", None),
        ("Einzug am 20.03.2031", None),
        ("Einzug am 20.03.2019", None),
        ("Auftrag 20.13.2026", None),
        ("in 30 Tagen", None),
    ],
)
def test_a_debit_is_on_the_one_day_that_the_text_names(text: str, day: date | None) -> None:
    said = reading_of(document(direct_debit=True, payment_terms_text=text))
    assert said.direct_debit_on == day
    assert reading_of(document(payment_terms_text=text)).direct_debit_on is None


def test_a_debit_without_a_day_of_its_own_is_on_the_due_date() -> None:
    assert facts_of(statement(reading_of(document(direct_debit=True, due_on=DUE))), 12_000).direct_debit_on == DUE
    assert facts_of(statement(reading_of(document(due_on=DUE))), 12_000).direct_debit_on is None


def test_a_due_date_years_before_the_issue_is_nobodys() -> None:
    assert reading_of(document(due_on=date(2020, 4, 1))).due_on is None
    assert reading_of(document(due_on=date(2026, 2, 1))).due_on == date(2026, 2, 1)
    parts = (Instalment(date(2016, 4, 1), 2_000), Instalment(DUE, 10_000))
    assert reading_of(document(due_on=DUE, instalments=parts)).instalments == ()


def test_a_credit_note_has_no_due_date_and_keeps_what_it_names() -> None:
    said = reading_of(document(kind="credit_note", due_on=DUE, direct_debit=True, purchase_order="PO"))
    assert (said.due_on, said.direct_debit, said.purchase_order) == (None, False, None)


def test_a_credit_note_is_used_as_far_as_any_source_says() -> None:
    before = statement(reading(left_minor=12_000))
    row = CreditNote(
        total_minor=12_000, used_minor=0, issued_on=ISSUED, document=DocumentState.OPEN, source="cii", source_rank=80
    )
    after = with_reading(before, "csv", reading(source="csv", rank=50, left_minor=2_000))
    assert named(credit_note_change(row, before, after)) == {"used_minor": 10_000}
    row.used_minor = 1
    assert named(credit_note_change(row, before, after)) == {}
    assert named(credit_note_change(row, structs.replace(before, is_origin=False), after)) == {}


def test_readings_are_bounded_and_the_poorest_go_first() -> None:
    said = Statement()
    for place in range(MAX_READINGS + 20):
        said = with_reading(said, f"facturx-minimum:{place:03d}", reading(source="facturx-minimum", rank=40))
        said = with_reading(said, "cii:1", reading())
    assert len(said.readings) == MAX_READINGS
    assert "cii:1" in said.readings
