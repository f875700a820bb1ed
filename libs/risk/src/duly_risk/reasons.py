"""Reasons in plain words, by rules over the debtor's own figures.

They stand where no model contributions are at hand (those cost hundreds of times a score). `contribution` orders
them; it is no share of the probability.
"""

from __future__ import annotations

from duly_risk.book import LATE_DAYS, Book, DelayHistory, OpenInvoice
from duly_risk.score import Direction, Reason
from duly_risk.segments import NEW_BELOW

REASONS_MAX = 3
_UNUSUAL_RATIO = 2.0
_WORSE_DAYS = 10.0


def explain(book: Book, as_of_day: int) -> tuple[Reason, ...]:
    """At most three reasons, the strongest first. Empty for a debtor without open invoices."""
    if not book.open:
        return ()
    found = [*_overdue(book, as_of_day), *_late_history(book.history), *_trend(book.history), *_amounts(book)]
    found.sort(key=lambda reason: (-reason.contribution, reason.feature))
    return tuple(found[:REASONS_MAX])


def _raises(feature: str, strength: float, text: str) -> Reason:
    return Reason(feature, Direction.RAISES_RISK, round(min(1.0, strength), 3), text)


def _lowers(feature: str, strength: float, text: str) -> Reason:
    return Reason(feature, Direction.LOWERS_RISK, round(min(1.0, strength), 3), text)


def _overdue(book: Book, as_of_day: int) -> list[Reason]:
    days = [as_of_day - invoice.terms.due_day for invoice in book.open if invoice.terms.due_day < as_of_day]
    if not days:
        return [_lowers("over_n", 0.2, "nothing is overdue")]
    what = "1 overdue invoice," if len(days) == 1 else f"{len(days)} overdue invoices, the oldest"
    text = f"{what} {_days(max(days))}"
    return [_raises("over_max_days", 0.4 + max(days) / 60 + len(days) / 20, text)]


def _late_history(history: DelayHistory) -> list[Reason]:
    last = history.newest[:5]
    if history.settled < NEW_BELOW:
        known = {0: "no invoice of this debtor has", 1: "only 1 invoice of this debtor has"}
        text = known.get(history.settled, f"only {history.settled} invoices of this debtor have")
        return [_raises("n_known", 0.3, f"{text} been settled so far")]
    late = sum(delay >= LATE_DAYS for delay in last)
    if late:
        text = f"{late} of the last {len(last)} invoices {'was' if late == 1 else 'were'} {LATE_DAYS} or more days late"
        return [_raises("h_late5", late / len(last), text)]
    share = history.late / history.settled
    text = f"{history.late} of {history.settled} settled invoices were {LATE_DAYS} or more days late"
    if share >= 0.1:
        return [_raises("h_late_rate", share, text)]
    if not last:  # what closed since was not paid
        return [_lowers("h_late_rate", 0.35, text)]
    text = f"none of the last {len(last)} invoices was {LATE_DAYS} or more days late"
    return [_lowers("h_late5", 0.35, text)]


def _trend(history: DelayHistory) -> list[Reason]:
    if history.settled <= NEW_BELOW:
        return []
    now = history.last3
    worse = now - history.delay_sum / history.settled
    if not (worse >= _WORSE_DAYS and now >= LATE_DAYS):  # NaN where nothing was paid of late
        return []
    return [_raises("h_last3", worse / 60, f"the last 3 invoices were paid {_days(round(worse))} later than usual")]


def _amounts(book: Book) -> list[Reason]:
    ratios = [ratio for ratio in (_ratio(book, invoice) for invoice in book.open) if ratio >= _UNUSUAL_RATIO]
    if not ratios:
        return []
    times = max(ratios)
    return [_raises("amt_ratio", 0.1 * times, f"an open invoice of {times:.0f} times the usual amount")]


def _ratio(book: Book, invoice: OpenInvoice) -> float:
    minor, count = book.billed[invoice.terms.currency]
    minor, count = minor - invoice.terms.total_minor, count - 1
    # Rounded before it is divided, as mypyc does anyway: beyond 2^53 Python alone would round the quotient only.
    return float(invoice.terms.total_minor * count) / float(minor) if count >= NEW_BELOW and minor > 0 else 0.0


def _days(n: int) -> str:
    return "1 day" if n == 1 else f"{n} days"
