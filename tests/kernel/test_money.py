from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import MAX_MINOR, CurrencyMismatch, Money, NotExact, from_major, split_minor


def test_a_major_amount_is_converted_exactly_or_refused() -> None:
    assert from_major("12.5", "EUR") == Money(1250, "EUR")
    assert from_major("12", "JPY") == Money(12, "JPY")
    assert from_major("1.234", "TND") == Money(1234, "TND")
    refused = ["12.345", "NaN", "1_000", "١٢", "", "1e40", "0.1234567890123456789012345678901"]
    for text, currency in [*((each, "EUR") for each in refused), ("12.5", "JPY")]:
        with pytest.raises(NotExact):
            from_major(text, currency)


def test_two_currencies_never_meet_in_a_sum() -> None:
    assert Money(1, "EUR") + Money(2, "EUR") == Money(3, "EUR")
    with pytest.raises(CurrencyMismatch):
        _ = Money(1, "EUR") + Money(2, "USD")


def test_an_amount_is_bounded() -> None:
    assert Money(MAX_MINOR, "EUR").amount_minor == MAX_MINOR
    with pytest.raises(OverflowError):
        Money(MAX_MINOR + 1, "EUR")


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_a_split_sums_to_the_whole_and_is_fair(total: int, weights: list[int]) -> None:
    parts = split_minor(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    assert all(abs(part * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "TND"]))
def test_major_and_minor_are_the_same_amount(minor: int, currency: str) -> None:
    assert from_major(Money(minor, currency).major(), currency).amount_minor == minor
    assert from_major(str(Money(minor, currency).major() + Decimal(0)), currency).amount_minor == minor
