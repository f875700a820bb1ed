"""How good a model and its baselines are on invoices that came after everything they were fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.curves import Floats, pay_offset, survival, unpaid
from duly_risk.features import INDEX, features_of
from duly_risk.measures import curve_days
from duly_risk.model import FeatureFrame, HazardModel
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from duly_training.snapshots import Outcome, Snapshot, measures_of, static_of
from duly_training.splits import is_ripe

# The curve's number of days is cut to this range where days are compared, as the reference figures are.
_DELAY_MAX = 120
_PROBABILITY_MIN = 1e-4
_ECE_BINS = 10
LATE_KS = (5, 1)
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A snapshot of the day an invoice became known, with what happened. late: by k, None = cannot be judged yet."""

    snapshot: Snapshot
    outcome: Outcome
    late: Mapping[int, bool | None]


def judged_of(
    snapshots: Sequence[Snapshot],
    outcomes: Mapping[tuple[str, str], Outcome],
    from_day: int,
    until_day: int,
    cut_day: int,
) -> list[Judged]:
    """First snapshots with from_day <= t0 < until_day, neither voided nor credited, labelled as known at `cut_day`."""
    judged = []
    for one in snapshots:
        if one.days_after_due is not None or not from_day <= one.as_of_day < until_day:
            continue
        outcome = outcomes.get((one.debtor_id, one.terms.invoice_id))
        if outcome is None or outcome.censored_day is not None:
            continue
        late = {k: _is_late(one.terms.due_day, outcome, k, cut_day) for k in LATE_KS}
        judged.append(Judged(one, outcome, late))
    return judged


def _is_late(due_day: int, outcome: Outcome, k: int, cut_day: int) -> bool | None:
    if not is_ripe(due_day, k, cut_day):
        return None
    return outcome.paid_day is None or outcome.paid_day - due_day >= k


@dataclass(frozen=True, slots=True)
class Predictions:
    """p_late: k -> (n,) P(late by k days); delay: (n,) predicted days from due to payment."""

    p_late: Mapping[int, Floats]
    delay: Floats | None


def hazard_predictions(model: HazardModel, judged: Sequence[Judged]) -> Predictions:
    """By the very curves that serving uses."""
    p_late = {k: np.empty(len(judged)) for k in LATE_KS}
    delay = np.empty(len(judged))
    for start in range(0, len(judged), _CHUNK):
        chunk = judged[start : start + _CHUNK]
        measures = measures_of([one.snapshot for one in chunk])
        hazards = model.curves(features_of(measures, model.info.frame), curve_days(measures))
        for i, (one, hazard) in enumerate(zip(chunk, hazards.astype(np.float64), strict=True), start):
            curve = survival(hazard)
            t0, due = one.snapshot.as_of_day, one.snapshot.terms.due_day
            for k in LATE_KS:
                p_late[k][i] = unpaid(curve, t0, due, k)
            offset = pay_offset(curve, 0.5)
            delay[i] = (t0 + offset if offset is not None else t0 + len(curve)) - due
    return Predictions(p_late, delay)


def constant_predictions(train: Sequence[Judged], judged: Sequence[Judged]) -> Predictions:
    """The share of late invoices in the training labels; payment on the due date."""
    rates = {k: _mean([float(one.late[k] or False) for one in train if one.late[k] is not None]) for k in LATE_KS}
    return Predictions({k: np.full(len(judged), rates[k]) for k in LATE_KS}, np.zeros(len(judged)))


def rate_predictions(judged: Sequence[Judged], frame: FeatureFrame) -> Predictions:
    """The debtor's own late share, pulled to the tenant's with weight 5; payment after the debtor's median delay."""
    static = _static(judged, frame)
    rates = {5: static[:, INDEX["h_late_rate"]], 1: static[:, INDEX["h_any_late_rate"]]}
    delay = np.floor(np.nan_to_num(static[:, INDEX["h_median"]], nan=0.0) + 0.5)
    return Predictions(rates, delay)


def logistic_predictions(
    train: Sequence[Judged], judged: Sequence[Judged], frame: FeatureFrame, seed: int
) -> Predictions:
    """Logistic regression on the same frozen features. Falls back to the constant where the labels are all alike."""
    constant = constant_predictions(train, judged)
    p_late = dict(constant.p_late)
    for k in LATE_KS:
        labelled = [one for one in train if one.late[k] is not None]
        y = np.array([bool(one.late[k]) for one in labelled])
        if 0 < y.sum() < len(y):
            p_late[k] = _logistic(seed).fit(_static(labelled, frame), y).predict_proba(_static(judged, frame))[:, 1]
    return Predictions(p_late, None)


def _logistic(seed: int) -> Pipeline:
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, random_state=seed))


def metrics_of(name: str, predictions: Predictions, judged: Sequence[Judged]) -> dict[str, float]:
    """`<name>_<measure>_late<k>` (AUC, logloss, Brier, ECE) and `<name>_mae_days`; what has no value is absent."""
    metrics: dict[str, float] = {}
    for k, p in predictions.p_late.items():
        ripe = np.array([one.late[k] is not None for one in judged], dtype=bool)
        y = np.array([bool(one.late[k]) for one in judged])[ripe]
        if len(y):
            measured = late_metrics(y, p[ripe])
            metrics |= {f"{name}_{measure}_late{k}": value for measure, value in measured.items()}
    if predictions.delay is not None:
        metrics |= _day_metrics(name, predictions.delay, judged)
    return metrics


def late_metrics(y: NDArray[np.bool_], p: Floats) -> dict[str, float]:
    """AUC (left out where all labels are alike), logloss, Brier score and expected calibration error.

    y: (n,) late or not; p: (n,) probabilities.
    """
    p = np.clip(p, _PROBABILITY_MIN, 1 - _PROBABILITY_MIN)
    metrics = {
        "logloss": float(-np.mean(np.where(y, np.log(p), np.log1p(-p)))),
        "brier": float(np.mean((p - y) ** 2)),
        "ece": expected_calibration_error(y, p),
    }
    if 0 < y.sum() < len(y):
        metrics["auc"] = float(roc_auc_score(y, p))
    return metrics


def expected_calibration_error(y: NDArray[np.bool_], p: Floats) -> float:
    """Mean |observed - predicted| over 10 bins of equal mass, weighted by their size."""
    order = np.argsort(p, kind="stable")
    bins = [part for part in np.array_split(order, _ECE_BINS) if len(part)]
    return float(sum(len(part) * abs(y[part].mean() - p[part].mean()) for part in bins) / len(p))


def _day_metrics(name: str, delay: Floats, judged: Sequence[Judged]) -> dict[str, float]:
    """MAE over paid invoices, and over those 5 or more days late; predicted and true delay cut at 120 days."""
    paid = [(i, one, one.outcome.paid_day) for i, one in enumerate(judged) if one.outcome.paid_day is not None]
    errors = [
        (abs(min(_DELAY_MAX, delay[i]) - min(_DELAY_MAX, day - one.snapshot.terms.due_day)), one.late[5])
        for i, one, day in paid
        if one.late[5] is not None
    ]
    metrics = {f"{name}_mae_days": _mean([error for error, _ in errors])}
    metrics[f"{name}_mae_days_late"] = _mean([error for error, late in errors if late])
    return {key: value for key, value in metrics.items() if not math.isnan(value)}


def _static(judged: Sequence[Judged], frame: FeatureFrame) -> Floats:
    return static_of([one.snapshot for one in judged], frame).astype(np.float64)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
