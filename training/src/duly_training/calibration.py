"""Calibration on the hazard's own logit: margin' = intercept + slope x margin, on person-days after the training days.

It is baked into the leaves, so an artefact stays one plain Booster, and every output read from a curve stays coherent
(a map per probability would break that: `p_unpaid_k` might rise in k).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from duly_risk.curves import Floats
from numpy.typing import NDArray

# A Gaussian pull of slope to 1 and of intercept to 0: a hundred person-days must not bend a model.
_PRIOR_DEVIATION = 0.2
_STEPS_MAX = 50
_SLOPE_MIN, _SLOPE_MAX = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """margin' = intercept + slope x margin. The identity where there was nothing to learn from."""

    intercept: float = 0.0
    slope: float = 1.0


def fitted_calibration(margin: Floats, y: NDArray[np.float32], weight: NDArray[np.float32]) -> Calibration:
    """Weighted logistic regression of y on the margin by Newton's method. All (n,)."""
    z, w = margin.astype(np.float64), weight.astype(np.float64)
    beta = np.array([0.0, 1.0])
    prior = np.eye(2) / _PRIOR_DEVIATION**2
    for _ in range(_STEPS_MAX):
        p = 1.0 / (1.0 + np.exp(-np.clip(beta[0] + beta[1] * z, -50, 50)))
        residual, curvature = w * (y - p), w * p * (1 - p)
        gradient = np.array([residual.sum(), (residual * z).sum()]) - prior @ (beta - [0.0, 1.0])
        cross = (curvature * z).sum()
        hessian = np.array([[curvature.sum(), cross], [cross, (curvature * z * z).sum()]]) + prior
        step = np.linalg.solve(hessian, gradient)
        beta += np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-9:
            break
    return Calibration(float(beta[0]), float(np.clip(beta[1], _SLOPE_MIN, _SLOPE_MAX)))


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
