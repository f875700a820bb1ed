"""How each column of the day group follows from the day, so that a split on it becomes a set of days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.days import weekdays_of
from duly_risk.features import DAY, Feature, day_of_month
from numpy.typing import NDArray

from duly_booster.trees import Unsupported

# Origins of a ramp, in the order of CurveDays.
AS_OF, ISSUE, DUE = range(3)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Whole days since an origin, between two bounds: min(high, max(low, d - origin))."""

    origin: int
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Calendar:
    """A value for each day since 1970-01-01. values: (days,) float32, without NaN."""

    values: NDArray[np.float32]


DayColumn = Ramp | Calendar


def day_columns(day: Sequence[Feature] = DAY) -> tuple[DayColumn, ...]:
    """One column per day feature, in order. Raises Unsupported for a feature that is not described here."""
    month_days = day_of_month()
    weekdays = weekdays_of(np.arange(len(month_days)))
    known: dict[str, DayColumn] = {
        "pre_due": Ramp(DUE, high=0.0),
        "dpd_day": Ramp(DUE, low=0.0),
        "age": Ramp(ISSUE),
        "lag": Ramp(AS_OF),
        "dow": Calendar(weekdays.astype(np.float32)),
        "dom": Calendar(month_days.astype(np.float32)),
    }
    for feature in day:
        if feature.name not in known:
            raise Unsupported(f"day feature {feature.name} has no description in duly_booster.day_columns")
    return tuple(known[feature.name] for feature in day)
