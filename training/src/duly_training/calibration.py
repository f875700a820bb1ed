"""Calibration on the hazard's own logit: margin' = intercept + slope x margin, on person-days after the training days.

The slope is that of the later days; the intercept keeps the level, that is the payments which the model expects on
those days. A quarter's level drifts and comes back (docs/adr/0011: taking it over won 0.011 of logloss in 2019 and lost
0.006 after the shock of 2020), while too flat or too steep a model stays so.

It is baked into the leaves, so an artefact stays one plain Booster, and every output read from a curve stays coherent
(a map per probability would break that: `p_unpaid_k` might rise in k).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb
from duly_risk.curves import Floats
from numpy.typing import NDArray

# A Gaussian pull of slope to 1 and of intercept to 0: a hundred person-days must not bend a model.
_PRIOR_DEVIATION = 0.2
_STEPS_MAX = 100
SLOPE_MIN, _SLOPE_MAX = 0.8, 1.25


@dataclass(frozen=True, slots=True)
class Calibration:
    """margin' = intercept + slope x margin. The identity where there was nothing to learn from."""

    intercept: float = 0.0
    slope: float = 1.0


def fitted_calibration(
    margin: Floats, y: NDArray[np.float32], weight: NDArray[np.float32], slope_min: float = SLOPE_MIN
) -> Calibration:
    """Slope of the weighted logistic regression of y on the margin, and the intercept that keeps the level.

    slope_min: no flatter than this.
    """
    z, w = margin.astype(np.float64), weight.astype(np.float64)
    _, fitted = logit_line(z, y, w, 1 / _PRIOR_DEVIATION**2)
    slope = min(max(fitted, slope_min), _SLOPE_MAX)
    return Calibration(_level_keeping(margin, weight, slope), slope)


def _level_keeping(margin: Floats, weight: NDArray[np.float32], slope: float) -> float:
    """The intercept with which as many payments are expected as before, by bisection."""
    w = weight.astype(np.float64)
    expected = (w * _probability(margin)).sum()
    low, high = -5.0, 5.0
    for _ in range(_STEPS_MAX):
        middle = (low + high) / 2
        if (w * _probability(middle + slope * margin)).sum() < expected:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _probability(margin: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -50, 50))))


def logit_line(z: Floats, y: NDArray[Any], weight: Floats, prior: float) -> tuple[float, float]:
    """(intercept, slope) of the logistic regression of y on z, (n,) each, by Newton's method.

    prior: precision of a Gaussian pull of intercept to 0 and of slope to 1.
    """
    beta, pull = np.array([0.0, 1.0]), prior * np.eye(2)
    for _ in range(_STEPS_MAX):
        p = _probability(beta[0] + beta[1] * z)
        residual, curvature = weight * (y - p), weight * p * (1 - p)
        gradient = np.array([residual.sum(), (residual * z).sum()]) - pull @ (beta - [0.0, 1.0])
        cross = (curvature * z).sum()
        hessian = np.array([[curvature.sum(), cross], [cross, (curvature * z * z).sum()]]) + pull
        step = np.clip(np.linalg.solve(hessian, gradient), -0.5, 0.5)
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])


def calibrated(booster: xgb.Booster, calibration: Calibration) -> xgb.Booster:
    """The same trees with leaves times slope, and the base score moved: one plain Booster, attributes kept."""
    document = json.loads(booster.save_raw("json"))
    learner = document["learner"]
    for tree in learner["gradient_booster"]["model"]["trees"]:
        leaves = [index for index, child in enumerate(tree["left_children"]) if child == -1]
        for index in leaves:
            for values in (tree["split_conditions"], tree["base_weights"]):
                values[index] = _as_float32(values[index] * calibration.slope)
    model = learner["learner_model_param"]
    base = float(np.ravel(json.loads(model["base_score"]))[0])
    moved = calibration.intercept + calibration.slope * np.log(base / (1 - base))
    model["base_score"] = f"[{_as_float32(1 / (1 + np.exp(-moved)))!r}]"
    scaled = xgb.Booster(model_file=bytearray(json.dumps(document).encode()))
    scaled.set_param({"nthread": 1})
    return scaled


def _as_float32(value: float) -> float:
    """The value that a float32 can hold, in its shortest decimal form."""
    return float(str(np.float32(value)))
