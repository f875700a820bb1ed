"""What a model has to beat: a constant, the debtor's own rate, a logistic regression; and four rules for the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import xgboost as xgb
from duly_risk.curves import Floats
from duly_risk.features import FEATURES, INDEX, N_STATIC, features_of
from duly_risk.measures import COLUMN
from duly_risk.model import FeatureFrame, Rows
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from duly_training.judged import DAYS_MAX, LATE_KS, Judged
from duly_training.predictions import Predictions

# The hazard model must be surely better than these three.
GATE_BASELINES = ("constant", "debtor_rate", "logistic")
_RATE_WEIGHT = 5
_CLASSIFIER_ROUNDS = 150


def baseline_predictions(
    labelled: Judged, judged: Judged, frame: FeatureFrame, seed: int, late_ks: Sequence[int] = LATE_KS
) -> dict[str, Predictions]:
    """Every baseline by name. labelled: what was known before the window, with its labels; frame: of that day too.

    late_ks: "late by k days" that the fitted ones are asked about; each is a fit of its own.
    """
    rates = {k: rate for k, rate in _rates(labelled).items() if k in late_ks}
    static, past = features_of(judged.measures, frame), features_of(labelled.measures, frame)
    found = simple_baselines(labelled, judged, frame)
    found["logistic"] = _classified(labelled, past, static, rates, lambda: logistic(seed))
    found["classifier"] = _classified(labelled, past, static, rates, lambda: BoostedClassifier(seed))
    return found


def simple_baselines(labelled: Judged, judged: Judged, frame: FeatureFrame) -> dict[str, Predictions]:
    """Those of them that are arithmetic: the constant, the debtor's rate, four rules for the day."""
    rates = _rates(labelled)
    constant = Predictions({k: np.full(len(judged), rates[k]) for k in LATE_KS})
    rate = _debtor_rate(judged, rates)
    return {"constant": constant, "debtor_rate": rate, **_days(judged, features_of(judged.measures, frame))}


def _rates(labelled: Judged) -> dict[int, float]:
    """k -> late share of the ripe labels; 0.5 where there is none."""
    return {k: float(labelled.late(k)[labelled.ripe(k)].mean()) if labelled.ripe(k).any() else 0.5 for k in LATE_KS}


def _debtor_rate(judged: Judged, rates: Mapping[int, float]) -> Predictions:
    """(late + 5 m) / (n + 5), m = late share of the training labels; days as the debtor's mean delay, for the order."""
    n = judged.measures[:, COLUMN["n_known"]]
    late = {5: "late_n", 1: "any_late_n"}
    p = {k: (judged.measures[:, COLUMN[late[k]]] + _RATE_WEIGHT * rates[k]) / (n + _RATE_WEIGHT) for k in late}
    p[30] = np.full(len(judged), rates[30])
    return Predictions(p)


def _days(judged: Judged, static: Rows) -> dict[str, Predictions]:
    """Due date; due + the debtor's median, decayed and plain mean delay, rounded half up; no history = due date."""
    n = judged.measures[:, COLUMN["n_known"]]
    term = (judged.due - judged.issue).astype(np.float64)
    mean = np.divide(judged.measures[:, COLUMN["delay_sum"]], n, out=np.zeros(len(judged)), where=n > 0)
    delays = {
        "days_due": np.zeros(len(judged)),
        "days_median": np.nan_to_num(static[:, INDEX["h_median"]].astype(np.float64)),
        "days_ewm": np.nan_to_num(static[:, INDEX["h_ewm"]].astype(np.float64)),
        "days_mean": mean,
    }
    return {
        name: Predictions({}, np.clip(np.floor(term + delay + 0.5), 0, DAYS_MAX), delay)
        for name, delay in delays.items()
    }


def _classified(
    labelled: Judged, past: Rows, static: Rows, rates: Mapping[int, float], make: Callable[[], Classifier]
) -> Predictions:
    """One classifier per k of `rates` on the same frozen features; the constant where the labels are all alike."""
    p_late: dict[int, Floats] = {}
    for k in rates:
        ripe = labelled.ripe(k)
        y = labelled.late(k)[ripe]
        if 0 < y.sum() < len(y):
            p_late[k] = make().fit(past[ripe], y).predict_proba(static)[:, 1].astype(np.float64)
        else:
            p_late[k] = np.full(len(static), rates[k])
    return Predictions(p_late)


class Classifier(Protocol):
    """What scikit-learn's classifiers have in common."""

    def fit(self, x: Rows, y: NDArray[np.bool_], /) -> Classifier: ...
    def predict_proba(self, x: Rows, /) -> NDArray[np.float32] | Floats: ...


def logistic(seed: int) -> Pipeline:
    """Logistic regression on standardised features, missing ones set to the median and flagged."""
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, random_state=seed))


class BoostedClassifier:
    """XGBoost on one row per invoice, with the settings of the hazard model."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._booster: xgb.Booster | None = None

    def fit(self, x: Rows, y: NDArray[np.bool_]) -> BoostedClassifier:
        parameters = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "eta": 0.05,
            "max_depth": 5,
            "min_child_weight": float(min(20, max(1, int(y.sum()) // 50))),
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "lambda": 5.0,
            "monotone_constraints": tuple(feature.monotone * -1 for feature in FEATURES[:N_STATIC]),
            "seed": self._seed,
            "nthread": 1,
            "verbosity": 0,
        }
        self._booster = xgb.train(parameters, xgb.QuantileDMatrix(x, label=y, nthread=1), _CLASSIFIER_ROUNDS)
        return self

    def predict_proba(self, x: Rows) -> NDArray[np.float32]:
        if self._booster is None:
            raise RuntimeError("fit comes before predict_proba")
        p = np.asarray(self._booster.inplace_predict(x), dtype=np.float32)
        return np.stack([1 - p, p], axis=1)
