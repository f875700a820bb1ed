"""Money in integer minor units, and the decimal texts it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from duly.money.v1 import money_pb2

# ISO 4217 currencies whose minor unit is not 1/100 (list one, 2024).
_EXPONENTS = {
    **dict.fromkeys(["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"], 0),
    **dict.fromkeys(["PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
# The largest amount of one fact, in minor units: ten trillion euros. It is exact as a double, and sums over a debtor
# stay far inside 64 bits.
AMOUNT_MAX_MINOR = 10**15


# ASCII digits, and no more of them than a Decimal moves exactly. An exponent is what spreadsheets write.
_AMOUNT = re.compile(r"[+-]?(?=[0-9.]*[0-9])[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]{1,2})?")
_AMOUNT_LENGTH_MAX = 28


class AmountInvalid(ValueError):
    """A text that is no amount of that currency: not a number, or finer than its minor unit.

    The message says what is wrong with it; who asked names the text.
    """

    code = "amount_invalid"


class CurrencyMismatch(ValueError):
    """Amounts of two currencies were to be added or compared."""

    code = "currency_mismatch"


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: `amount_minor` units of 10^-exponent of `currency`."""

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        self._require_same(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._require_same(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __str__(self) -> str:
        exponent = currency_exponent(self.currency)
        return f"{Decimal(self.amount_minor).scaleb(-exponent):,.{exponent}f} {self.currency}"

    def to_proto(self) -> money_pb2.Money:
        return money_pb2.Money(amount_minor=self.amount_minor, currency=self.currency)

    @staticmethod
    def from_proto(message: money_pb2.Money) -> Money:
        return Money(message.amount_minor, message.currency)

    def _require_same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be combined")


def currency_exponent(currency: str) -> int:
    """Number of decimals of a currency's minor unit. Raises AmountInvalid for what is no currency code."""
    if len(currency) != 3 or not currency.isascii() or not currency.isupper() or not currency.isalpha():
        raise AmountInvalid(f"{currency!r} is no ISO 4217 currency code")
    return _EXPONENTS.get(currency, 2)


def parse_money(text: str, currency: str) -> Money:
    """An exact amount from decimal text such as `1234.50`. Raises AmountInvalid: never rounds."""
    exponent = currency_exponent(currency)
    digits = text.strip()
    if len(digits) > _AMOUNT_LENGTH_MAX or not _AMOUNT.fullmatch(digits):
        raise AmountInvalid("is no amount such as 1234.50")
    minor = Decimal(digits).scaleb(exponent)
    if minor != minor.to_integral_value():
        raise AmountInvalid(f"has more than {exponent} decimals, the minor unit of {currency}")
    if abs(minor) > AMOUNT_MAX_MINOR:
        raise AmountInvalid(f"is too large: at most {AMOUNT_MAX_MINOR} minor units")
    return Money(int(minor), currency)
