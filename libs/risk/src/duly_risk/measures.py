"""What the fold says of an invoice as of a day, in plain numbers: no model's constants, no logarithm, no shrinking.

A row is float64 and holds whole numbers wherever the ledger does, so sums of money are exact (below 2^53 minor units).
`features.features_of` turns rows into a model's float32 with that model's frame; a history folded once therefore
serves any frame.

Amounts over a book are kept per currency, as money of two currencies may be added only in medians, and those belong to
the frame. The fixed columns hold the invoice's own currency. Each other currency in the debtor's open book adds a block
of four columns (`FOREIGN`) behind them; a matrix is as wide as its widest row, blocks that a row has not are 0. A
debtor with one currency, the usual case, has no block at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from duly_risk.book import LATE_DAYS, Book, Terms
from duly_risk.days import on_business_days
from duly_risk.model import CurveDays

Measures = NDArray[np.float64]

DEBTOR = (
    "n_known",  # settled invoices
    "delay_sum",  # days
    "delay_median",  # days, NaN = none settled; so the next five
    "delay_std",
    "delay_max",
    "delay_last3",
    "delay_last10",
    "delay_ewm",
    "days_to_pay_sum",
    "late_n",  # settled 5 or more days late
    "any_late_n",
    "late5",  # late share of the last 5, NaN = none settled
    "last_paid_day",  # days since 1970-01-01, 0 = none; so all that end in _day
    "first_issue_day",
)
INVOICE = (
    "as_of_day",
    "issue_day",
    "due_day",
    "currency",  # `currency_code`
    "total",  # minor units; so all amounts
    "n_prior",
    "last_other_issue_day",
    "billed",  # the debtor's other invoices in the currency
    "billed_n",
    "open_n",  # other open invoices, in any currency
    "over_n",
    "over_max_days",
    "unapplied",
    "open",  # other open invoices in the currency
    "over",
    "disputed",
)
FOREIGN = ("currency", "open", "over", "disputed")
COLUMN = {name: index for index, name in enumerate((*DEBTOR, *INVOICE))}
N_MEASURES = len(COLUMN)


@lru_cache(maxsize=256)
def currency_code(currency: str) -> int:
    """A currency as a number: its bytes read as one integer. Raises ValueError above six bytes (ISO 4217 has three)."""
    code = currency.encode()
    if len(code) > 6:
        raise ValueError(f"currency {currency!r} is no ISO 4217 code")
    return int.from_bytes(code, "big")


def currency_of(code: float) -> str:
    """The currency of a code."""
    number = int(code)
    return number.to_bytes((number.bit_length() + 7) // 8, "big").decode()


def debtor_measures(book: Book) -> list[float]:
    """The columns that all invoices of a debtor share, in the order of DEBTOR."""
    history = book.history
    return [
        history.settled,
        history.delay_sum,
        history.median(),
        history.std(),
        history.longest(),
        history.mean_of_last(3),
        history.mean_of_last(10),
        history.decayed_mean(),
        history.days_to_pay_sum,
        history.late(LATE_DAYS),
        history.late(1),
        history.late_share_of_last(5),
        history.last_paid_day,
        book.first_issue_day,
    ]


def invoice_measures(book: Book, terms: Terms, as_of_day: int, shared: Sequence[float]) -> list[float]:
    """The row of one invoice.

    terms: may be of an invoice that the book does not hold yet (issued today). shared: `debtor_measures(book)`.
    """
    currency = terms.currency
    others = [invoice for invoice in book.open if invoice.terms.invoice_id != terms.invoice_id]
    inside = len(others) != len(book.open)
    billed, billed_n = book.billed.get(currency, (0, 0))
    if inside:
        billed, billed_n = billed - terms.total_minor, billed_n - 1
    over_n, over_max_days = 0, 0
    sums: dict[str, list[int]] = {currency: [0, 0, 0]}
    for invoice in others:
        of_currency = sums.setdefault(invoice.terms.currency, [0, 0, 0])
        of_currency[0] += invoice.open_minor
        of_currency[2] += invoice.disputed_minor
        days = as_of_day - invoice.terms.due_day
        if days > 0:
            of_currency[1] += invoice.open_minor
            over_n += 1
            over_max_days = max(over_max_days, days)
    last_issue = next((day for day, other in book.last_issues if other != terms.invoice_id), 0)
    row = [*shared, as_of_day, terms.issue_day, terms.due_day, currency_code(currency), terms.total_minor,
           book.invoices - inside, last_issue, billed, billed_n, len(others), over_n, over_max_days,
           book.unapplied.get(currency, 0), *sums.pop(currency)]  # fmt: skip
    for other in sorted(sums):
        row += [currency_code(other), *sums[other]]
    return row


def measures_of(book: Book, as_of_day: int) -> Measures:
    """The rows of all open invoices of a book, in its order."""
    shared = debtor_measures(book)
    return matrix([invoice_measures(book, invoice.terms, as_of_day, shared) for invoice in book.open])


def curve_days(measures: Measures) -> CurveDays:
    """Where the curves of these rows begin."""
    as_of, issue, due = (measures[:, COLUMN[f"{name}_day"]].astype(np.int64) for name in ("as_of", "issue", "due"))
    return CurveDays(as_of, issue, on_business_days(due))


def matrix(rows: Sequence[Sequence[float]]) -> Measures:
    """Rows as one array, as wide as the widest: (n, N_MEASURES + blocks)."""
    width = max(map(len, rows), default=N_MEASURES)
    if all(len(row) == width for row in rows):
        return np.array(rows, dtype=np.float64).reshape(len(rows), width)
    return np.array([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=np.float64)


def stacked(parts: Sequence[Measures]) -> Measures:
    """Arrays below each other, as wide as the widest."""
    width = max((part.shape[1] for part in parts), default=N_MEASURES)
    if all(part.shape[1] == width for part in parts):
        return np.concatenate(parts) if parts else np.empty((0, width))
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])
