"""Payment terms: the vectors of the reference, the grammar's own writing, both readings of "fin de mois"."""

import csv
import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from law.payment_terms import dates
from law.payment_terms.dates import due_on, end_of_month, last_due_on, legal_default, schedule
from law.payment_terms.grammar import (
    BadTerms,
    Part,
    Split,
    Term,
    Terms,
    eom_reading_of,
    parse,
    written,
)
from support.documents import reference_folder

DAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))
COUNTED = st.one_of(
    st.builds(Term, st.just("net"), st.integers(0, 365)),
    st.builds(Term, st.sampled_from(["net_eom", "eom_net"]), st.integers(0, 365), st.none() | st.integers(1, 31)),
    st.builds(Term, st.sampled_from(["receipt", "prepaid"])),
    st.builds(Term, st.just("on"), on=DAYS),
)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    shares = draw(st.lists(st.integers(1, 30), min_size=1, max_size=3))
    parts = [Part(draw(COUNTED), percent=Decimal(share)) for share in shares]
    return Split((*parts, Part(draw(COUNTED))))


TERMS = COUNTED | splits()

# Those of the reference that give no name of the grammar: the law's default where nothing was agreed.
BY_LAW = {"DEFAULT_30_FROM_DELIVERY_FR": "FR", "DEFAULT_30_GB": "GB"}
NAMED = re.compile(r"(?:NET_(?P<net>\d+)|(?P<eom>\d+)_EOM_(?P<reading>[AB]|THE_(?P<day>\d+)))")


def _terms_of(name: str) -> Terms:
    match = NAMED.fullmatch(name)
    assert match is not None, name
    if match["net"]:
        return parse(f"net:{match['net']}")
    if match["day"]:
        return parse(f"net_eom:{match['eom']}@{match['day']}")
    return parse(f"{eom_reading_of(match['reading'])}:{match['eom']}")


def test_every_vector_of_the_reference() -> None:
    file = reference_folder("legal") / "payment_term_vectors.csv"
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert len(rows) >= 16
    for row in rows:
        issued_on, expected = date.fromisoformat(row["invoice_date"]), date.fromisoformat(row["expected_due_date"])
        if row["term"] in BY_LAW:
            assert legal_default(BY_LAW[row["term"]], issued_on) == expected, row
        else:
            assert last_due_on(_terms_of(row["term"]), issued_on) == expected, row


@pytest.mark.parametrize(
    ("terms", "issued_on", "expected"),
    [
        ("net_eom:45", "2014-01-02", "2014-02-28"),
        ("eom_net:45", "2014-01-02", "2014-03-17"),
        ("net_eom:45", "2024-10-22", "2024-12-31"),
        ("eom_net:45", "2024-10-22", "2024-12-15"),  # the other reading may be earlier
        ("net_eom:30", "2026-01-31", "2026-03-31"),
        ("net:60", "2025-12-31", "2026-03-01"),
        ("net_eom:45", "2023-12-31", "2024-02-29"),
        ("eom_net:45", "2023-12-31", "2024-02-14"),
        ("net_eom:30@15", "2026-03-10", "2026-05-15"),
        ("net_eom:60@31", "2025-12-05", "2026-03-31"),
        ("net_eom:30@31", "2025-12-05", "2026-02-28"),  # February has no 31st: its last day
        ("net_eom:0", "2024-02-10", "2024-02-29"),
        ("on:2026-05-15", "2026-03-10", "2026-05-15"),
        ("receipt", "2026-03-10", "2026-03-10"),
        ("prepaid", "2026-03-10", "2026-03-10"),
        ("split:30%=prepaid,rest=net:30", "2026-03-10", "2026-04-09"),
    ],
)
def test_terms_give_their_day(terms: str, issued_on: str, expected: str) -> None:
    assert last_due_on(parse(terms), date.fromisoformat(issued_on)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    "text",
    [
        "", "30", "net", "net:", "net:-1", "net:1.5", "net:900", "net:30@15", "net_eom:30@0", "net_eom:30@32",
        "on:15", "on:2026-02-30", "eom:30", "NET:30", "split:", "split:50%=net:30", "split:rest=net:1,rest=net:2",
        "split:60%=net:1,60%=net:2", "split:30%=net:1,30%=net:2", "split:100%=net:1,rest=net:2", "split:30%,rest=net:2",
        "split:rest=net:3,30%=net:2", "split:0x1=net:1,rest=net:2", "split:500=net:1,50%=net:2",
        "split:" + ",".join(["1%=net:1"] * 20) + ",rest=net:1",
    ],
)  # fmt: skip
def test_what_is_no_terms_is_refused(text: str) -> None:
    with pytest.raises(BadTerms):
        parse(text)


@given(TERMS)
def test_what_is_written_is_read_back(terms: Terms) -> None:
    assert parse(written(terms)) == terms


@given(TERMS, DAYS, st.integers(0, 2**53 - 1))
def test_a_schedule_gives_the_whole_to_the_cent(terms: Terms, issued_on: date, amount_minor: int) -> None:
    lines = schedule(terms, issued_on, amount_minor)
    assert sum(line.amount_minor for line in lines) == amount_minor
    assert min(line.amount_minor for line in lines) >= 0
    assert max(line.due_on for line in lines) == last_due_on(terms, issued_on)


@given(st.integers(0, 365), DAYS)
def test_both_readings_end_as_they_say(days: int, issued_on: date) -> None:
    reading_a, reading_b = due_on(Term("net_eom", days), issued_on), due_on(Term("eom_net", days), issued_on)
    assert reading_a == end_of_month(reading_a) >= issued_on + timedelta(days=days)
    assert reading_b - timedelta(days=days) == end_of_month(issued_on)
    assert due_on(Term("net", days), issued_on) <= min(reading_a, reading_b)


@given(TERMS, DAYS)
def test_a_later_invoice_is_never_due_earlier(terms: Terms, issued_on: date) -> None:
    assert last_due_on(terms, issued_on) <= last_due_on(terms, issued_on + timedelta(days=1))


def test_amounts_beyond_the_whole_have_no_schedule() -> None:
    with pytest.raises(ValueError, match="more than the whole"):
        schedule(parse("split:5000=receipt,rest=net:30"), date(2026, 1, 1), 4999)


def test_the_law_is_silent_where_we_do_not_know_it() -> None:
    assert legal_default("US", date(2026, 1, 1)) is None
    assert legal_default("IE", date(2026, 1, 1)) == date(2026, 1, 31)
    assert dates.is_split(parse("split:30%=prepaid,rest=net:30"))


@pytest.mark.parametrize(
    ("text", "reading"),
    [("A", "net_eom"), ("b", "eom_net"), (" net_eom ", "net_eom"), ("eom_net", "eom_net"), ("", None), (None, None)],
)
def test_a_reading_is_stated_or_none(text: str | None, reading: str | None) -> None:
    assert eom_reading_of(text) == reading
