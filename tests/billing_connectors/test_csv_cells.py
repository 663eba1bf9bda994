"""Amounts and dates as people write them: read exactly, or refused."""

from contextlib import suppress
from datetime import date
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_connectors.csv_files import cells
from billing_connectors.csv_files.cells import Amount, Decimal
from billing_connectors.documents.fields import EARLIEST, LATEST, Unreadable, amount_minor, day
from kernel.money import Money

GROUPS = (" ", "\u00a0", "\u202f", "'", "\u2019")


@pytest.mark.parametrize(
    ("text", "decimal", "major"),
    [
        ("1234,56", ",", "1234.56"),
        ("1 234,56", ",", "1234.56"),
        ("1\u00a0234,56", ",", "1234.56"),
        ("1\u202f234\u202f567,8", ",", "1234567.8"),
        ("1.234,56", ",", "1234.56"),
        ("1'234.56", ".", "1234.56"),
        ("1,234.56", ".", "1234.56"),
        ("1,234,567", ".", "1234567"),
        ("12", ",", "12"),
        ("0,5", ",", "0.5"),
        ("-12,50", ",", "-12.50"),
        ("- 12,50", ",", "-12.50"),
        ("\u221212,50", ",", "-12.50"),
        ("12,50-", ",", "-12.50"),
        ("(12,50)", ",", "-12.50"),
        ("( 1 234,50 )", ",", "-1234.50"),
        ("+12,50", ",", "12.50"),
        ("1.234", ",", "1234"),
        ("1.234", ".", "1.234"),
        ("1,234", ",", "1.234"),
        ("1 234,56", None, "1234.56"),
        ("1,234.56", None, "1234.56"),
        ("12,5", None, "12.5"),
        ("1234", None, "1234"),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, decimal: Decimal | None, major: str) -> None:
    assert cells.amount(text, decimal) == Amount(major, None)


@pytest.mark.parametrize(
    ("text", "currency"),
    [("12,50 €", "EUR"), ("€12,50", "EUR"), ("12,50 EUR", "EUR"), ("CHF 12,50", "CHF"), ("-£12,50", "GBP"),
     ("(12,50 €)", "EUR"), ("12,50- EUR", "EUR"), ("EUR -12,50", "EUR")],
)  # fmt: skip
def test_a_currency_beside_an_amount_is_kept(text: str, currency: str) -> None:
    read = cells.amount(text, ",")
    assert (read.major.removeprefix("-"), read.currency) == ("12.50", currency)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-", "abc", "12,50,00", "1 23,50", "12 34", "1.23.456,00", "1 234.567,00", "1'234 567", "=1+1", "1e5",
     "--5", "(5", "(-5)", "5 $", "12;50", "NaN", "\u0661\u0662", "EUR 5 EUR", "1" * 60, "5%", "0x10", "1_000"],
)  # fmt: skip
@pytest.mark.parametrize("decimal", [*get_args(Decimal), None])
def test_what_is_no_amount_is_refused(text: str, decimal: Decimal | None) -> None:
    with pytest.raises(Unreadable):
        cells.amount(text, decimal)


@pytest.mark.parametrize("text", ["1,234", "1.234", "-1.000", "999,999 €"])
def test_an_amount_with_two_readings_is_refused_without_a_decimal_mark(text: str) -> None:
    with pytest.raises(cells.Ambiguous):
        cells.amount(text, None)


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [
        (["1 200", "3,50", "1.234"], ","),
        (["1,234", "3.50"], "."),
        (["1.234.567"], ","),
        (["1,234", "100"], None),
        (["3,50", "3.50"], None),
        (["n/a", ""], None),
    ],
)
def test_a_column_shows_its_decimal_mark(texts: list[str], decimal: Decimal | None) -> None:
    assert cells.decimal_of(texts) == decimal


@given(
    minor=st.integers(-(10**12), 10**12),
    decimal=st.sampled_from(get_args(Decimal)),
    group=st.sampled_from(["", *GROUPS, ".", ","]),
    minus=st.sampled_from(["-{}", "{}-", "({})", "\u2212{}", "- {}"]),
    beside=st.sampled_from(["{}", "{} €", "€ {}", "{} EUR", "EUR {}"]),
)
def test_whatever_is_written_is_read_back(minor: int, decimal: Decimal, group: str, minus: str, beside: str) -> None:
    if group == decimal:
        group = ""
    whole, cents = divmod(abs(minor), 100)
    text = beside.format(f"{whole:,}".replace(",", group) + f"{decimal}{cents:02}")
    text = minus.format(text) if minor < 0 else text
    assert cells.minor(cells.amount(text, decimal), "EUR") == minor
    assert cells.minor(cells.amount(text, None), "EUR") == minor


@given(minor=st.integers(-(2**53) + 1, 2**53 - 1), currency=st.sampled_from(["EUR", "JPY", "TND", "CLF"]))
def test_a_decimal_of_xml_is_read_back(minor: int, currency: str) -> None:
    assert amount_minor(f"{Money(minor, currency).major():f}", currency) == minor


@given(st.text(max_size=30), st.sampled_from([*get_args(Decimal), None]))
def test_any_text_is_an_amount_or_unreadable(text: str, decimal: Decimal | None) -> None:
    try:
        read = cells.amount(text, decimal)
    except Unreadable:
        return
    assert any(c.isdigit() for c in text)
    assert read.major.lstrip("-").replace(".", "", 1).isdecimal()


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("02/03/2026", "day_first", date(2026, 3, 2)),
        ("02/03/2026", "month_first", date(2026, 2, 3)),
        ("2-3-26", "day_first", date(2026, 3, 2)),
        ("02.03.2026", "day_first", date(2026, 3, 2)),
        ("02 03 2026", "day_first", date(2026, 3, 2)),
        ("2026-03-02", "day_first", date(2026, 3, 2)),
        ("2026/3/2", "month_first", date(2026, 3, 2)),
        ("20260302", "day_first", date(2026, 3, 2)),
        ("2026-03-02T10:20:30Z", None, date(2026, 3, 2)),
        ("02/03/2026 00:00:00", "day_first", date(2026, 3, 2)),
        ("13/02/2026", None, date(2026, 2, 13)),
        ("05/05/2026", None, date(2026, 5, 5)),
        ("2026-03-02", "year_first", date(2026, 3, 2)),
    ],
)
def test_a_day_is_read_as_people_write_it(text: str, order: cells.DateOrder | None, expected: date) -> None:
    assert cells.day(text, order) == expected


@pytest.mark.parametrize(
    "text",
    ["", "31/02/2026", "00/01/2026", "32/01/2026", "13/13/2026", "2026-13-01", "46082", "1/2", "02/03-2026",
     "2 mars 2026", "02/03/20266", "02/03/1850", "\u0660\u0662/03/2026"],
)  # fmt: skip
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        cells.day(text, "day_first")


def test_a_declared_order_is_kept_to() -> None:
    with pytest.raises(Unreadable):
        cells.day("13/02/2026", "month_first")
    with pytest.raises(Unreadable):
        cells.day("13/02/2026", "year_first")
    with pytest.raises(cells.Ambiguous):
        cells.day("02/03/2026", None)


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["02/03/2026", "01/01/2026"], "day_first"),
        (["02/03/2026", "02/13/2026"], "month_first"),
        (["02/03/2026", "13/02/2026"], "day_first"),
        (["13/02/2026", "02/13/2026"], None),
        (["2026-03-02", "soon"], "day_first"),
    ],
)
def test_a_column_shows_its_order_of_dates(texts: list[str], order: cells.DateOrder | None) -> None:
    assert cells.date_order_of(texts) == order


@given(
    when=st.dates(max(EARLIEST, date(2000, 1, 1)), date(2099, 12, 31)),
    form=st.sampled_from(["%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d/%m/%Y 13:45"]),
)
def test_whatever_day_is_written_is_read_back(when: date, form: str) -> None:
    assert cells.day(when.strftime(form), "day_first") == when


@given(when=st.dates(EARLIEST, LATEST), zone=st.sampled_from(["", "Z", "+02:00", "-11:30"]))
def test_a_day_of_xml_is_read_back(when: date, zone: str) -> None:
    assert day(f"{when.isoformat()}{zone}") == when
    assert day(when.strftime("%Y%m%d")) == when


@given(st.text(max_size=30))
def test_any_text_is_a_day_or_unreadable(text: str) -> None:
    for read in (lambda: day(text), lambda: cells.day(text, "day_first"), lambda: cells.day(text, None)):
        with suppress(Unreadable):
            assert EARLIEST <= read() <= LATEST
