"""The features of the hazard model: an allow-list in one fixed order, and how each is computed.

As-of rule: a row with origin t0 sees the state folded so far (training: everything known before t0) and the invoice's
own terms. Features are frozen at t0; only the day group moves along a curve. Missing is NaN, never 0.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from duly_risk.book import LATE_DAYS, Book, OpenInvoice, Terms
from duly_risk.days import weekday_of
from duly_risk.model import FeatureFrame, Rows

SCHEMA_VERSION = 1
SHRINK_WEIGHT = 5
MONTH_END_DAYS = 3
# Longest look-back of a "days since" feature.
SINCE_MAX_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Feature:
    """One allowed feature. reason: why it may be used. monotone -1: a higher value never raises the hazard."""

    name: str
    group: str
    unit: str
    meaning: str
    reason: str
    owner: str = "risk"
    monotone: int = 0


_OWN = "the invoice's own terms"
_PAID = "the debtor's own payments to this tenant"
_BOOK = "the debtor's own open invoices with this tenant"
_TIME = "the calendar"

STATIC: tuple[Feature, ...] = (
    Feature("term", "invoice", "days", "due - issue", _OWN),
    Feature("amount", "invoice", "log ratio", "log1p(total / tenant's median invoice)", _OWN),
    Feature("amt_ratio", "invoice", "ratio", "total / mean of the debtor's other invoices in that currency", _OWN),
    Feature("due_dow", "invoice", "0..6", "weekday of due, 0 = Monday", _OWN),
    Feature("due_dom", "invoice", "1..31", "day of the month of due", _OWN),
    Feature("due_month_end", "invoice", "0/1", "due on one of the last 3 days of a month", _OWN),
    Feature("n_prior", "volume", "count", "other invoices of the debtor", _PAID),
    Feature("n_known", "volume", "count", "K: settled invoices of the debtor", _PAID),
    Feature("days_since_pay", "volume", "days", "t0 - last paid day in K", _PAID),
    Feature("days_since_inv", "volume", "days", "t0 - issue of the latest other invoice", _PAID),
    Feature("h_mean", "delay", "days", "shrunk mean delay over K", _PAID),
    Feature("h_median", "delay", "days", "median delay over K", _PAID),
    Feature("h_std", "delay", "days", "standard deviation of delay over K", _PAID),
    Feature("h_max", "delay", "days", "largest delay over K", _PAID),
    Feature("h_last3", "delay", "days", "mean delay of the last 3 settled", _PAID),
    Feature("h_last10", "delay", "days", "mean delay of the last 10 settled", _PAID),
    Feature("h_ewm", "delay", "days", "mean delay, weights 0.8^age", _PAID),
    Feature("h_dtp_mean", "delay", "days", "shrunk mean of paid - issue over K", _PAID),
    Feature("h_late_rate", "late", "share", "shrunk share of K 5 or more days late", _PAID, monotone=-1),
    Feature("h_late5", "late", "share", "share of the last 5 settled 5 or more days late", _PAID, monotone=-1),
    Feature("h_any_late_rate", "late", "share", "shrunk share of K paid after due", _PAID),
    Feature("open_n", "book", "count", "O: other open invoices", _BOOK),
    Feature("open_amt", "book", "log ratio", "log1p(open amount of O / median invoice)", _BOOK),
    Feature("over_n", "book", "count", "V: overdue ones of O", _BOOK, monotone=-1),
    Feature("over_amt", "book", "log ratio", "log1p(open amount of V / median invoice)", _BOOK, monotone=-1),
    Feature("over_max_days", "book", "days", "most days past due in V, 0 if V is empty", _BOOK, monotone=-1),
    Feature("unapplied_amt", "book", "log ratio", "log1p(unapplied cash / median invoice)", _BOOK),
    Feature("disputed_share", "book", "share", "disputed share of the open amount of O", _BOOK),
    Feature("tenure", "debtor", "days", "t0 - issue of the debtor's first invoice", _PAID),
)
DAY: tuple[Feature, ...] = (
    Feature("pre_due", "day", "days", "min(0, d - eff), eff = due moved from a weekend to Monday", _TIME),
    Feature("dpd_day", "day", "days", "max(0, d - eff)", _TIME, monotone=-1),
    Feature("age", "day", "days", "d - issue", _TIME),
    Feature("lag", "day", "days", "d - t0", _TIME),
    Feature("dow", "day", "0..6", "weekday of d, 0 = Monday", _TIME),
    Feature("dom", "day", "1..31", "day of the month of d", _TIME),
)
FEATURES = (*STATIC, *DAY)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
N_STATIC = len(STATIC)
N_FEATURES = len(FEATURES)
INDEX = {name: index for index, name in enumerate(NAMES)}


def schema_json() -> str:
    """Everything that decides what a column means, as canonical JSON. Ships with a model as `schema.json`."""
    schema = {
        "version": SCHEMA_VERSION,
        "dtype": "float32",
        "missing": "NaN",
        "clip": {"delay": [-60, 120], "days_to_pay": [0, 365], "since": SINCE_MAX_DAYS},
        "shrink_weight": SHRINK_WEIGHT,
        "calibration": "none",
        "features": [[f.name, f.group, f.unit, f.meaning, f.monotone] for f in FEATURES],
    }
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


def schema_sha256() -> str:
    """Hash of `schema_json`. Scoring refuses a model with another one."""
    return hashlib.sha256(schema_json().encode()).hexdigest()


def shrunk(total: float, n: int, prior: float | None) -> float:
    """(total + 5 prior) / (n + 5); without a prior the plain mean, NaN for n = 0. 1 late of 4, prior 0.07: 0.15."""
    if prior is None:
        return total / n if n else math.nan
    return (total + SHRINK_WEIGHT * prior) / (n + SHRINK_WEIGHT)


def debtor_features(book: Book, frame: FeatureFrame) -> dict[str, float]:
    """The static features that all invoices of a debtor share."""
    history = book.history
    n = history.settled
    return {
        "n_known": float(n),
        "h_mean": shrunk(history.delay_sum, n, frame.delay_mean),
        "h_median": history.median(),
        "h_std": history.std(),
        "h_max": history.longest(),
        "h_last3": history.mean_of_last(3),
        "h_last10": history.mean_of_last(10),
        "h_ewm": history.decayed_mean(),
        "h_dtp_mean": shrunk(history.days_to_pay_sum, n, frame.days_to_pay_mean),
        "h_late_rate": shrunk(history.late(LATE_DAYS), n, frame.late_rate),
        "h_late5": history.late_share_of_last(5),
        "h_any_late_rate": shrunk(history.late(1), n, frame.any_late_rate),
    }


def static_features(
    book: Book, terms: Terms, as_of_day: int, frame: FeatureFrame, shared: dict[str, float]
) -> list[float]:
    """The frozen features of one invoice in the order of STATIC.

    terms: may be of an invoice that the book does not hold yet (issued today). shared: `debtor_features(book, frame)`.
    """
    others = [invoice for invoice in book.open if invoice.terms.invoice_id != terms.invoice_id]
    inside = len(others) != len(book.open)
    median = _median(terms.currency, frame)
    values = {
        **shared,
        **_own(book, terms, inside, median),
        **_open_book(others, as_of_day, frame),
        "n_prior": float(book.invoices - inside),
        "days_since_pay": _since(book.history.last_paid_day, as_of_day),
        "days_since_inv": _since(_last_other_issue(book, terms.invoice_id), as_of_day),
        "unapplied_amt": _log_ratio(book.unapplied.get(terms.currency, 0), median),
        "tenure": _since(book.first_issue_day, as_of_day),
    }
    return [values[feature.name] for feature in STATIC]


def _own(book: Book, terms: Terms, inside: bool, median: float) -> dict[str, float]:
    billed_minor, billed_n = book.billed.get(terms.currency, (0, 0))
    if inside:
        billed_minor, billed_n = billed_minor - terms.total_minor, billed_n - 1
    return {
        "term": float(terms.due_day - terms.issue_day),
        "amount": _log_ratio(terms.total_minor, median),
        "amt_ratio": terms.total_minor * billed_n / billed_minor if billed_minor > 0 else math.nan,
        "due_dow": float(weekday_of(terms.due_day)),
        "due_dom": float(day_of_month()[terms.due_day]),
        "due_month_end": float(day_of_month()[terms.due_day + MONTH_END_DAYS] <= MONTH_END_DAYS),
    }


def _open_book(others: Sequence[OpenInvoice], as_of_day: int, frame: FeatureFrame) -> dict[str, float]:
    overdue = [invoice for invoice in others if invoice.terms.due_day < as_of_day]
    open_amounts = _by_currency([(i.terms.currency, i.open_minor) for i in others])
    over_amounts = _by_currency([(i.terms.currency, i.open_minor) for i in overdue])
    disputed = _by_currency([(i.terms.currency, i.disputed_minor) for i in others])
    share = _in_medians(disputed, frame) / _in_medians(open_amounts, frame) if others else math.nan
    return {
        "open_n": float(len(others)),
        "open_amt": math.log1p(_in_medians(open_amounts, frame)),
        "over_n": float(len(overdue)),
        "over_amt": math.log1p(_in_medians(over_amounts, frame)),
        "over_max_days": float(max((as_of_day - i.terms.due_day for i in overdue), default=0)),
        "disputed_share": share,
    }


def _by_currency(amounts: Sequence[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for currency, minor in amounts:
        totals[currency] = totals.get(currency, 0) + minor
    return totals


def _in_medians(totals: dict[str, int], frame: FeatureFrame) -> float:
    """Amounts of several currencies as a number of median invoices, which may be added where money may not."""
    return math.fsum(totals[currency] / _median(currency, frame) for currency in sorted(totals))


def _median(currency: str, frame: FeatureFrame) -> float:
    median = frame.amount_median_minor.get(currency, frame.other_median_minor)
    return math.nan if median is None else median


def _log_ratio(amount_minor: int, median_minor: float) -> float:
    return math.log1p(amount_minor / median_minor)


def _last_other_issue(book: Book, invoice_id: str) -> int:
    return next((day for day, other in book.last_issues if other != invoice_id), 0)


def _since(day: int, as_of_day: int) -> float:
    """Days from `day` to t0, 0..3650; NaN for no day."""
    return float(max(0, min(SINCE_MAX_DAYS, as_of_day - day))) if day else math.nan


# ---- the day group ----


@cache
def day_of_month() -> NDArray[np.int64]:
    """Day of the month by days since 1970-01-01, for 1970..2169."""
    days = np.arange(73_050).astype("datetime64[D]")
    month_starts = days.astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray((days - month_starts).astype(np.int64) + 1)


def day_features(
    days: NDArray[np.int64],
    as_of_day: NDArray[np.int64] | int,
    issue_day: NDArray[np.int64] | int,
    effective_due: NDArray[np.int64] | int,
) -> Rows:
    """The day group for days d: (n, 6) float32 whole numbers in the order of DAY.

    days: (n,); the others: (n,) or one value. effective_due: `days.on_business_day(due)`.
    """
    past = days - effective_due
    block = np.empty((len(days), len(DAY)), dtype=np.float32)
    block[:, 0] = np.minimum(past, 0)
    block[:, 1] = np.maximum(past, 0)
    block[:, 2] = days - issue_day
    block[:, 3] = days - as_of_day
    block[:, 4] = (days + 3) % 7
    block[:, 5] = day_of_month()[days]
    return block
