"""Measures of probabilities, days and order. Formulas that debtors can be drawn over take weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from duly_risk.curves import Floats
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]

from duly_training.calibration import logit_line
from duly_training.judged import DAYS_MAX, LATE_KS, Judged, late_name
from duly_training.predictions import Predictions

ECE_BINS = 10
CAPTURE_SHARE = 0.1
# Harrell's C looks at pairs: a drawn part is enough.
CONCORDANCE_MAX = 6_000
_CHANCE_DRAWS = 100
_PROBABILITY_MIN = 1e-6
# Only so that a perfect separation has a solution.
_PRIOR_NONE = 1e-9

Flags = NDArray[np.bool_]


def clipped(p: Floats) -> Floats:
    """Probabilities away from 0 and 1: one certain and wrong answer would otherwise be all there is to see."""
    return np.clip(p, _PROBABILITY_MIN, 1 - _PROBABILITY_MIN)


def log_losses(y: Flags, p: Floats) -> Floats:
    """-ln of the probability given to what happened, per invoice."""
    p = clipped(p)
    return np.where(y, -np.log(p), -np.log1p(-p))


def auc(y: Flags, p: Floats) -> float:
    """Probability that a late invoice is ranked above one that is not (Mann-Whitney); NaN where all are alike."""
    late = int(y.sum())
    others = len(y) - late
    if not late or not others:
        return math.nan
    return float((rankdata(p)[y].sum() - late * (late + 1) / 2) / (late * others))


def average_precision(y: Flags, p: Floats) -> float:
    """Mean precision at the late invoices, ties taken together."""
    if not y.any():
        return math.nan
    order = np.argsort(-p, kind="stable")
    last_of_tie = np.append(np.diff(p[order]) != 0, True)
    hits = np.cumsum(y[order])[last_of_tie]
    precision = hits / (np.flatnonzero(last_of_tie) + 1)
    return float((precision * np.diff(hits, prepend=0)).sum() / y.sum())


def calibration_error(y: Flags, p: Floats) -> float:
    """Mean |observed - predicted| over 10 bins of equal mass, weighted by their size (ECE)."""
    bins = [part for part in np.array_split(np.argsort(p, kind="stable"), ECE_BINS) if len(part)]
    return float(sum(len(part) * abs(y[part].mean() - p[part].mean()) for part in bins) / len(p))


def calibration_error_by_chance(p: Floats, seed: int = 0) -> float:
    """The ECE that a perfectly calibrated model with these probabilities shows: the mean of 100 seeded draws.

    0.003 on 14,000 invoices at 5 % late, 0.03 on 500 at 50 %: a small window shows an error where there is none.
    """
    random = np.random.default_rng(seed)
    return float(np.mean([calibration_error(random.random(len(p)) < p, p) for _ in range(_CHANCE_DRAWS)]))


def calibration_line(y: Flags, p: Floats) -> tuple[float, float]:
    """(slope, intercept) of the logistic regression of y on logit p: (1, 0) = calibrated. NaN where all are alike."""
    if y.all() or not y.any():
        return math.nan, math.nan
    z = np.log(clipped(p) / (1 - clipped(p)))
    intercept, slope = logit_line(z, y, np.ones_like(z), _PRIOR_NONE)
    return slope, intercept


def capture(y: Flags, p: Floats, worth: Floats) -> float:
    """Share of the late worth inside the tenth of invoices with the highest p. worth: 1 each, or amounts."""
    total = float((worth * y).sum())
    top = np.argsort(-p, kind="stable")[: max(1, int(CAPTURE_SHARE * len(p)))]
    return float((worth * y)[top].sum() / total) if total > 0 else math.nan


def concordance(delay: NDArray[np.int64], is_paid: Flags, order: Floats, seed: int = 0) -> float:
    """Harrell's C on delay beyond due: of pairs whose order is known, the share ranked right; ties count half.

    An open invoice is known to be later than those paid with a smaller delay. Above 6,000 invoices a drawn 6,000.
    """
    drawn = np.random.default_rng(seed).permutation(len(delay))[:CONCORDANCE_MAX]
    t, event, s = delay[drawn], is_paid[drawn], order[drawn]
    right = pairs = 0.0
    for start in range(0, len(t), 500):
        part = slice(start, start + 500)
        before = (t[part, None] < t[None, :]) & event[part, None]
        pairs += before.sum()
        right += (before & (s[part, None] < s[None, :])).sum() + 0.5 * (before & (s[part, None] == s[None, :])).sum()
    return float(right / pairs) if pairs else math.nan


def metrics_of(predictions: Predictions, judged: Judged) -> dict[str, float]:
    """`<measure>_late<k>`, `<measure>_days` and `concordance` of one model; what has no value is absent."""
    values: dict[str, float] = {}
    for k in LATE_KS:
        ripe = judged.ripe(k)
        if k in predictions.p_late and ripe.any():
            part = judged.where(ripe)
            measured = late_metrics(part.late(k), predictions.p_late[k][ripe], part.amount)
            values |= {late_name(measure, k): value for measure, value in measured.items()}
    if judged.ripe().any():
        values |= day_metrics(predictions, judged)
    if predictions.order is not None and len(judged):
        values["concordance"] = concordance(judged.delay, judged.is_paid, predictions.order)
    return {name: value for name, value in values.items() if not math.isnan(value)}


def late_metrics(y: Flags, p: Floats, amount: Floats) -> Mapping[str, float]:
    """Measures of P(late). y, p, amount: (n,), n >= 1."""
    slope, intercept = calibration_line(y, p)
    return {
        "rate": float(y.mean()),
        "auc": auc(y, p),
        "ap": average_precision(y, p),
        "logloss": float(log_losses(y, p).mean()),
        "brier": float(((p - y) ** 2).mean()),
        "ece": calibration_error(y, p),
        "ece_by_chance": calibration_error_by_chance(p),
        "slope": slope,
        "intercept": intercept,
        "capture": capture(y, p, np.ones(len(y))),
        "capture_amount": capture(y, p, amount),
    }


def day_metrics(predictions: Predictions, judged: Judged) -> dict[str, float]:
    """Errors of the predicted day over ripe invoices (an open one counts as 120 days), and of the 80 % interval."""
    ripe = judged.ripe()
    part, days, late = judged.where(ripe), judged.days[ripe], judged.late()[ripe]
    values: dict[str, float] = {}
    if predictions.days is not None:
        errors = np.abs(predictions.days[ripe] - days)
        values["mae_days"] = float(errors.mean())
        values["p90_error_days"] = float(np.quantile(errors, 0.9))
        values["within_3_days"] = float((errors <= 3).mean())
        if late.any():
            values["mae_late_days"] = float(errors[late].mean())
    if predictions.low is not None and predictions.high is not None:
        paid = np.where(part.is_paid, part.paid - part.issue, DAYS_MAX * 10)
        inside = (paid >= predictions.low[ripe]) & (paid <= predictions.high[ripe])
        values["coverage_days"] = float(inside.mean())
    return values
