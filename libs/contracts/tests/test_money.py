"""Money is exact, or it is refused."""

from __future__ import annotations

import pytest
from duly_contracts.money import AMOUNT_MAX_MINOR, AmountInvalid, CurrencyMismatch, Money, parse_money
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1.234", "KWD", 1234),
        ("10", "JPY", 10),
        ("1234.5", "EUR", 123450),
        ("-0.01", "USD", -1),
        (" 7.00 ", "EUR", 700),
        ("+.5", "EUR", 50),
        ("1.2e+3", "EUR", 120000),
    ],
)
def test_an_amount_becomes_minor_units(text: str, currency: str, minor: int) -> None:
    assert parse_money(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [("10.5", "JPY"), ("1.234", "EUR"), ("1.2345", "KWD"), ("ten", "EUR"), ("NaN", "EUR"), ("Infinity", "EUR"),
     ("1e30", "EUR"), ("10000000000000.01", "EUR"), ("5", "eur"), ("5", "EURO"), ("", "EUR"),
     ("1E999999", "EUR"), ("1E-999999", "EUR"), ("1_0.5_0", "EUR"), ("\u0661\u0662", "EUR"), ("\uff11", "EUR"),
     ("1 000", "EUR"), (".", "EUR"), ("1.00000000000000000000000000000001", "EUR"), ("1" * 5_000, "EUR")],
)  # fmt: skip
def test_what_does_not_fit_is_refused_never_rounded(text: str, currency: str) -> None:
    with pytest.raises(AmountInvalid):
        parse_money(text, currency)


def test_two_currencies_are_never_added() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") + Money(1, "USD")


@given(st.integers(-AMOUNT_MAX_MINOR, AMOUNT_MAX_MINOR), st.sampled_from(["JPY", "EUR", "KWD"]))
def test_what_is_printed_reads_back_as_the_same_amount(minor: int, currency: str) -> None:
    text = str(Money(minor, currency)).removesuffix(f" {currency}").replace(",", "")
    assert parse_money(text, currency) == Money(minor, currency)
