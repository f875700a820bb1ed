"""The one way to ask a model for curves: stream, training's judgements, back-test and monitor all come through here.

Measures become features and days by the model's own frame; the model answers from the last landmark of each invoice;
the curve is read from t0 on, and closed days are laid on it.

From the last landmark (issue, then some days before and after due), because models are fitted on snapshots of those
days: `lag` counts from it, and between landmarks a `lag` that no row showed beside such an age misleads the trees.
Features are those of t0 all the same.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from duly_risk.closed_days import closed_days
from duly_risk.curves import HORIZON_DAYS, WEEK, Ints
from duly_risk.features import features_of
from duly_risk.measures import COLUMN, Measures, curve_days
from duly_risk.model import FeatureFrame, HazardModel, Hazards


class HazardInvalid(ValueError):
    """A model answered with a wrong number of hazards, NaN, or a value outside [0, 1]."""

    code: ClassVar[str] = "hazard_invalid"


def hazards_of(model: HazardModel, measures: Measures, frame: FeatureFrame | None = None) -> Hazards:
    """h of t0 + 1 .. t0 + 182 for rows of measures: (n, 182) float32; n may be 0. Raises HazardInvalid.

    frame: in place of the model's own.
    """
    if not len(measures):
        return np.empty((0, HORIZON_DAYS), dtype=np.float32)
    info, frame = model.info, frame or model.info.frame
    days = curve_days(measures, frame)
    hazards = model.curves(features_of(measures, frame), days)
    if hazards.shape != (len(measures), HORIZON_DAYS) or not bool(np.all((hazards >= 0.0) & (hazards <= 1.0))):
        raise HazardInvalid(f"{info.name} {info.version}: {hazards.shape} for {len(measures)} curves, or out of 0..1")
    as_of = measures[:, COLUMN["as_of_day"]].astype(np.int64)
    return closed_days(frame.closed_rules).laid_on(_later(hazards, as_of - days.as_of), as_of)


def _later(hazards: Hazards, skipped: Ints) -> Hazards:
    """The same curves from so many days later on; beyond the horizon h(d) = h(d - 7). skipped: (n,), >= 0."""
    if not skipped.any():
        return hazards
    row = np.where(skipped < HORIZON_DAYS, skipped, HORIZON_DAYS + (skipped - HORIZON_DAYS) % WEEK)
    first = np.arange(0, hazards.size, HORIZON_DAYS)
    return hazards.take(_PLACES[row] + first[:, np.newaxis])


def _places() -> Ints:
    """Where a curve's days stand in one that began earlier: (182 + 7, 182), by days skipped; then as the week goes."""
    place = np.arange(HORIZON_DAYS + WEEK)[:, np.newaxis] + np.arange(HORIZON_DAYS)
    beyond = np.maximum(place - HORIZON_DAYS + 1, 0)
    return np.asarray(place - -(-beyond // WEEK) * WEEK, dtype=np.int64)


_PLACES = _places()
