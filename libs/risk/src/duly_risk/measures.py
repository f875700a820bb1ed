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

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duly_risk.book import Book, OpenInvoice, Terms
from duly_risk.closed_days import closed_days
from duly_risk.model import CurveDays, FeatureFrame

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
    "delay_q25",
    "delay_q75",
    "delay_q90",
    "on_due_n",
    "early_n",
    "late15_n",
    "delay_last1",
    "delay_last2",
    "on_due10",  # shares of the last 10 and 20 settled
    "any_late10",
    "delay_max10",
    "delay_std10",
    "late20",
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
    "before_n",  # other open invoices due before this one
    "before7_n",  # more than 7 days before it
    "same_due_n",
    "near_due_n",  # at most 3 days apart
)
EARLIER_DAYS, NEAR_DAYS = 7, 3
# Days after due from which curves are asked, beside the issue date: where models are fitted. Those before due show the
# same outcome with fresher features; more of those after it drown the invoices that are still new (docs/adr/0011).
LANDMARKS = (-10, -2, 1, 10, 30)
_LANDMARKS, _NEVER = np.array(LANDMARKS, dtype=np.int64), np.iinfo(np.int64).min
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
    past = book.history
    return [past.settled, past.delay_sum, past.median, past.std, past.longest, past.last3, past.last10, past.decayed,
            past.days_to_pay_sum, past.late, past.any_late, past.late5, past.last_paid_day,
            book.first_issue_day, past.q25, past.q75, past.q90, past.on_due, past.early, past.late15, past.last1,
            past.last2, past.on_due10, past.any_late10, past.longest10, past.std10, past.late20]  # fmt: skip


class _Totals(NamedTuple):
    """The open book as of a day. by_currency: open, overdue and disputed minor units. worst: two most days overdue.

    dues: due days, rising.
    """

    by_currency: dict[str, list[int]]
    n: int
    over_n: int
    worst: tuple[int, int]
    dues: list[int]


def measures_of(book: Book, as_of_day: int) -> Measures:
    """The rows of all open invoices of a book, in its order; read-only."""
    if not book.open:
        return np.empty((0, N_MEASURES))
    totals, shared = _totals(book, as_of_day), debtor_measures(book)
    numbers: list[float] = []
    for invoice in book.open:
        numbers += shared
        numbers += _row(book, invoice.terms, invoice, as_of_day, totals)
    # numpy takes three times as long over a list: it looks at each number for its type.
    packed = _packed(len(numbers)).pack(*numbers)
    return np.frombuffer(packed, dtype=np.float64).reshape(len(book.open), -1)


@lru_cache(maxsize=256)
def _packed(numbers: int) -> Struct:
    """So many float64, in the machine's own order of bytes."""
    return Struct(f"={numbers}d")


def invoice_measures(book: Book, terms: Terms, as_of_day: int) -> Measures:
    """The row of one invoice, (>= N_MEASURES,); it may be one that the book does not hold yet (issued today)."""
    own = next((invoice for invoice in book.open if invoice.terms.invoice_id == terms.invoice_id), None)
    row = _row(book, terms, own, as_of_day, _totals(book, as_of_day))
    return np.array([*debtor_measures(book), *row], dtype=np.float64)


def _totals(book: Book, as_of_day: int) -> _Totals:
    by_currency: dict[str, list[int]] = {}
    dues: list[int] = []
    for (_, _, due_day, _, currency), open_minor, disputed, _ in book.open:
        sums = by_currency.get(currency)
        if sums is None:
            sums = by_currency[currency] = [0, 0, 0]
        sums[0] += open_minor
        if due_day < as_of_day:
            sums[1] += open_minor
        sums[2] += disputed
        dues.append(due_day)
    dues.sort()
    over_n = bisect_left(dues, as_of_day)
    worst = (as_of_day - dues[0] if over_n else 0, as_of_day - dues[1] if over_n > 1 else 0)
    return _Totals(by_currency, len(dues), over_n, worst, dues)


def _row(book: Book, terms: Terms, own: OpenInvoice | None, as_of_day: int, totals: _Totals) -> list[float]:
    """The columns of INVOICE and FOREIGN. own: the invoice as the book holds it; it is not among its own others."""
    currency = terms.currency
    minor, over, disputed = totals.by_currency.get(currency, (0, 0, 0))
    billed, billed_n = book.billed.get(currency, (0, 0))
    inside, own_over, over_days = 0, 0, totals.worst[0]
    if own is not None:
        days = as_of_day - terms.due_day
        inside, own_over = 1, int(days > 0)
        billed -= terms.total_minor
        minor, over, disputed = minor - own.open_minor, over - own.open_minor * own_over, disputed - own.disputed_minor
        if days == over_days:
            over_days = totals.worst[1]
    [(last_issue, last_id), *before] = book.last_issues
    if last_id == terms.invoice_id:
        last_issue = before[0][0] if before else 0
    due, dues = terms.due_day, totals.dues
    first_due = bisect_left(dues, due)
    row: list[float] = [
        as_of_day, terms.issue_day, terms.due_day, currency_code(currency), terms.total_minor, book.invoices - inside,
        last_issue, billed, billed_n - inside, totals.n - inside, totals.over_n - own_over, over_days,
        book.unapplied.get(currency, 0), minor, over, disputed,
        first_due, bisect_left(dues, due - EARLIER_DAYS), bisect_right(dues, due) - first_due - inside,
        bisect_right(dues, due + NEAR_DAYS) - bisect_left(dues, due - NEAR_DAYS) - inside,
    ]  # fmt: skip
    if len(totals.by_currency) > 1:
        for other in sorted(totals.by_currency.keys() - {currency}):
            row += [currency_code(other), *totals.by_currency[other]]
    return row


def curve_days(measures: Measures, frame: FeatureFrame) -> CurveDays:
    """Where the curves of these rows begin: at the last landmark not after t0, at t0 itself before the issue date.

    Due moves past weekends and the days that the frame closes.
    """
    as_of, issue, due = [measures[:, COLUMN[f"{name}_day"]].astype(np.int64) for name in ("as_of", "issue", "due")]
    landmarks = due[:, np.newaxis] + _LANDMARKS
    begin = np.where(landmarks <= as_of[:, np.newaxis], landmarks, _NEVER).max(axis=1)
    return CurveDays(np.maximum(begin, np.minimum(issue, as_of)), issue, closed_days(frame.closed_rules).open_day(due))


def stacked(parts: Sequence[Measures]) -> Measures:
    """Arrays below each other, as wide as the widest."""
    width = max((part.shape[1] for part in parts), default=N_MEASURES)
    if all(part.shape[1] == width for part in parts):
        return np.concatenate(parts) if parts else np.empty((0, width))
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])
