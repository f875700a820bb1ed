"""The features of the hazard model: an allow-list in one fixed order, and how each is computed.

As-of rule: a row with origin t0 sees the state folded so far (training: everything known before t0) and the invoice's
own terms. Features are frozen at t0; only the day group moves along a curve. Missing is NaN, never 0.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from duly_risk.closed_days import HAZARD_LEFT
from duly_risk.curves import HORIZON_DAYS, Floats
from duly_risk.days import weekdays_of
from duly_risk.measures import COLUMN, FOREIGN, LANDMARKS, N_MEASURES, Measures, currency_of
from duly_risk.model import CurveDays, FeatureFrame, Hazards, Rows

SCHEMA_VERSION = 3
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
    Feature("h_q25", "delay", "days", "lower quartile of delay over K", _PAID),
    Feature("h_q75", "delay", "days", "upper quartile of delay over K", _PAID),
    Feature("h_q90", "delay", "days", "delay that a tenth of K exceeded", _PAID),
    Feature("h_last1", "delay", "days", "delay of the last settled", _PAID),
    Feature("h_last2", "delay", "days", "delay of the one before it", _PAID),
    Feature("h_max10", "delay", "days", "largest delay of the last 10 settled", _PAID),
    Feature("h_std10", "delay", "days", "standard deviation of delay over the last 10 settled", _PAID),
    Feature("h_on_due_rate", "late", "share", "share of K paid on the due date itself", _PAID),
    Feature("h_early_rate", "late", "share", "share of K paid before due", _PAID),
    Feature("h_late15_rate", "late", "share", "share of K 15 or more days late", _PAID),
    Feature("h_on_due10", "late", "share", "share of the last 10 settled on the due date itself", _PAID),
    Feature("h_any_late10", "late", "share", "share of the last 10 settled after due", _PAID),
    Feature("h_late20", "late", "share", "share of the last 20 settled 5 or more days late", _PAID),
    Feature("open_n", "book", "count", "O: other open invoices", _BOOK),
    Feature("open_amt", "book", "log ratio", "log1p(open amount of O / median invoice)", _BOOK),
    Feature("over_n", "book", "count", "V: overdue ones of O", _BOOK, monotone=-1),
    Feature("over_amt", "book", "log ratio", "log1p(open amount of V / median invoice)", _BOOK, monotone=-1),
    Feature("over_max_days", "book", "days", "most days past due in V, 0 if V is empty", _BOOK, monotone=-1),
    Feature("unapplied_amt", "book", "log ratio", "log1p(unapplied cash / median invoice)", _BOOK),
    Feature("disputed_share", "book", "share", "disputed share of the open amount of O", _BOOK),
    Feature("before_n", "book", "count", "invoices of O due before this one", _BOOK),
    Feature("before7_n", "book", "count", "invoices of O due more than 7 days before this one", _BOOK),
    Feature("same_due_n", "book", "count", "invoices of O due on the same day", _BOOK),
    Feature("near_due_n", "book", "count", "invoices of O due at most 3 days apart", _BOOK),
    Feature("tenure", "debtor", "days", "t0 - issue of the debtor's first invoice", _PAID),
)
DAY: tuple[Feature, ...] = (
    Feature("pre_due", "day", "days", "min(0, d - eff), eff = due moved past weekends and closed days", _TIME),
    Feature("dpd_day", "day", "days", "max(0, d - eff)", _TIME, monotone=-1),
    Feature("age", "day", "days", "d - issue", _TIME),
    Feature("lag", "day", "days", "d - b, b = the last landmark not after t0", _TIME),
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
        "landmarks": ["issue", *LANDMARKS],
        "closed_day": f"hazard x {HAZARD_LEFT}",
        "calibration": "intercept + slope x margin, inside the leaves",
        "features": [[f.name, f.group, f.unit, f.meaning, f.monotone] for f in FEATURES],
    }
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


def schema_sha256() -> str:
    """Hash of `schema_json`. Scoring refuses a model with another one."""
    return hashlib.sha256(schema_json().encode()).hexdigest()


def features_of(measures: Measures, frame: FeatureFrame) -> Rows:
    """The frozen features, measured against a frame: (n, N_STATIC) float32 in the order of STATIC.

    measures: (n, >= N_MEASURES), see `measures`. Every operation is elementwise or along one row, so a row alone and
    the same row among others give equal bytes. Logarithms are libm's, not numpy's: those differ between processors.
    """
    of = {name: measures[:, column] for name, column in COLUMN.items()}
    n, as_of, due = of["n_known"], of["as_of_day"], of["due_day"].astype(np.int64)
    median = _medians(of["currency"], frame)
    opened, over, disputed = _in_medians(measures, median, frame)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "term": of["due_day"] - of["issue_day"],
            "amount": _log1p(of["total"] / median),
            "amt_ratio": np.where(of["billed"] > 0, of["total"] * of["billed_n"] / of["billed"], np.nan),
            "due_dow": weekdays_of(due),
            "due_dom": day_of_month()[due],
            "due_month_end": day_of_month()[due + MONTH_END_DAYS] <= MONTH_END_DAYS,
            "n_prior": of["n_prior"],
            "n_known": n,
            "days_since_pay": _since(of["last_paid_day"], as_of),
            "days_since_inv": _since(of["last_other_issue_day"], as_of),
            "h_mean": shrunk(of["delay_sum"], n, frame.delay_mean),
            "h_median": of["delay_median"],
            "h_std": of["delay_std"],
            "h_max": of["delay_max"],
            "h_last3": of["delay_last3"],
            "h_last10": of["delay_last10"],
            "h_ewm": of["delay_ewm"],
            "h_dtp_mean": shrunk(of["days_to_pay_sum"], n, frame.days_to_pay_mean),
            "h_late_rate": shrunk(of["late_n"], n, frame.late_rate),
            "h_late5": of["late5"],
            "h_any_late_rate": shrunk(of["any_late_n"], n, frame.any_late_rate),
            "h_q25": of["delay_q25"],
            "h_q75": of["delay_q75"],
            "h_q90": of["delay_q90"],
            "h_last1": of["delay_last1"],
            "h_last2": of["delay_last2"],
            "h_max10": of["delay_max10"],
            "h_std10": of["delay_std10"],
            "h_on_due_rate": of["on_due_n"] / n,
            "h_early_rate": of["early_n"] / n,
            "h_late15_rate": of["late15_n"] / n,
            "h_on_due10": of["on_due10"],
            "h_any_late10": of["any_late10"],
            "h_late20": of["late20"],
            "open_n": of["open_n"],
            "open_amt": _log1p(opened),
            "over_n": of["over_n"],
            "over_amt": _log1p(over),
            "over_max_days": of["over_max_days"],
            "unapplied_amt": _log1p(of["unapplied"] / median),
            "disputed_share": disputed / opened,
            "before_n": of["before_n"],
            "before7_n": of["before7_n"],
            "same_due_n": of["same_due_n"],
            "near_due_n": of["near_due_n"],
            "tenure": _since(of["first_issue_day"], as_of),
        }
    static = np.empty((len(measures), N_STATIC), dtype=np.float32)
    for index, feature in enumerate(STATIC):
        static[:, index] = values[feature.name]
    static[np.isnan(static)] = np.nan  # one bit pattern: the sign of 0 / 0 is the processor's choice
    return static


def shrunk(total: Floats, n: Floats, prior: float | None) -> Floats:
    """(total + 5 prior) / (n + 5); without a prior the plain mean, NaN for n = 0. 1 late of 4, prior 0.07: 0.15."""
    if prior is None:
        return total / n
    return (total + SHRINK_WEIGHT * prior) / (n + SHRINK_WEIGHT)


def _in_medians(measures: Measures, median: Floats, frame: FeatureFrame) -> tuple[Floats, ...]:
    """Open, overdue and disputed amount of the other open invoices as a number of median invoices.

    Amounts of several currencies may be added so, where money may not. Nothing is 0 also where no median is known.
    """
    sums = []
    for offset, name in enumerate(FOREIGN[1:], 1):
        own = measures[:, COLUMN[name]]
        in_own = np.where(own == 0, 0.0, own / median)
        for row in np.flatnonzero(measures[:, N_MEASURES:].any(axis=1)):
            blocks = measures[row, N_MEASURES:].reshape(-1, len(FOREIGN))
            foreign = [b[offset] / _median(b[0], frame) for b in blocks.tolist() if b[offset]]
            in_own[row] = math.fsum([in_own[row], *foreign])
        sums.append(in_own)
    return tuple(sums)


def _medians(codes: Floats, frame: FeatureFrame) -> Floats:
    known = {code: _median(code, frame) for code in set(codes.tolist())}
    return np.array([known[code] for code in codes.tolist()], dtype=np.float64)


def _median(code: float, frame: FeatureFrame) -> float:
    median = frame.amount_median_minor.get(currency_of(code), frame.other_median_minor)
    return math.nan if median is None else median


def _log1p(ratios: Floats) -> Floats:
    """log(1 + ratio) of each; a negative amount (a source's mistake) counts as none."""
    return np.array([math.log1p(ratio) for ratio in np.maximum(ratios, 0.0).tolist()], dtype=np.float64)


def _since(day: Floats, as_of_day: Floats) -> Floats:
    """Days from `day` to t0, 0..3650; NaN for no day."""
    return np.where(day > 0, np.clip(as_of_day - day, 0, SINCE_MAX_DAYS), np.nan)


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

    days: (n,); the others: (n,) or one value. effective_due: `ClosedDays.open_day(due)`.
    """
    past = days - effective_due
    block = np.empty((len(days), len(DAY)), dtype=np.float32)
    block[:, 0] = np.minimum(past, 0)
    block[:, 1] = np.maximum(past, 0)
    block[:, 2] = days - issue_day
    block[:, 3] = days - as_of_day
    block[:, 4] = weekdays_of(days)
    block[:, 5] = day_of_month()[days]
    return block


# 256 matrices of 182 rows are 6.5 MB.
_CURVES_AT_ONCE = 256
_LAGS = np.arange(1, HORIZON_DAYS + 1, dtype=np.int64)


def curve_matrix(static: Rows, days: CurveDays) -> Rows:
    """The rows of n curves, day by day: (n * 182, N_FEATURES) float32. static: (n, N_STATIC)."""
    rows = np.empty((len(static), HORIZON_DAYS, N_FEATURES), dtype=np.float32)
    rows[:, :, :N_STATIC] = static[:, np.newaxis, :]
    flat = rows.reshape(-1, N_FEATURES)
    as_of, issue, due = [np.repeat(day, HORIZON_DAYS) for day in (days.as_of, days.issue, days.due)]
    flat[:, N_STATIC:] = day_features(as_of + np.tile(_LAGS, len(static)), as_of, issue, due)
    return flat


def curves_by_rows(predict: Callable[[Rows], Hazards], static: Rows, days: CurveDays) -> Hazards:
    """`HazardModel.curves` of a model that answers row by row, in pieces that bound the memory of the matrix."""
    hazards = np.empty((len(static), HORIZON_DAYS), dtype=np.float32)
    for at in range(0, len(static), _CURVES_AT_ONCE):
        piece = slice(at, at + _CURVES_AT_ONCE)
        part = CurveDays(days.as_of[piece], days.issue[piece], days.due[piece])
        hazards[piece] = predict(curve_matrix(static[piece], part)).reshape(-1, HORIZON_DAYS)
    return hazards
