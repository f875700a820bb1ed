"""Volume to come from the volume there was: its level, and whether a run comes back after a quarter.

weeks: (n,) totals billed, oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from duly_risk.curves import CASH_WEEKS, Floats
from numpy.lib.stride_tricks import sliding_window_view

# The latest weeks that the others are compared with: a monthly run falls into six weeks once or twice, into four also
# never.
LATEST_WEEKS = 6
# How far a tenant's volume moves within a quarter, on the logarithm: what a change is believed against.
_MOVES = 0.15
_GROWTH_MIN, _GROWTH_MAX = 0.5, 2.0
# By how much a week of a quarter ago must beat the mean: 26 weeks of chance rarely reach it, monthly runs halve it.
_QUARTERLY = 0.8


@dataclass(frozen=True, slots=True)
class Volume:
    """growth: of a week to come over the mean week of the last 13. spread: relative deviation of four weeks from it.

    is_quarterly: a week is told by the week a quarter before it, as where bills go out once a month.
    """

    growth: float
    spread: float
    is_quarterly: bool


def growth_of(weeks: Floats) -> float:
    """What the mean week of the past is to be multiplied with to be a week to come: (latest / mean)^trust.

    trust = moves^2 / (moves^2 + noise^2), where noise^2 is the relative variance of
    the latest weeks' mean, told from the differences between one week and the next, which hold no trend: few invoices,
    or one run a month, are noise and move nothing. 1 for no volume.
    """
    mean = float(weeks.mean()) if len(weeks) else 0.0
    latest = float(weeks[-LATEST_WEEKS:].mean()) if len(weeks) else 0.0
    if mean <= 0 or latest <= 0 or len(weeks) <= LATEST_WEEKS:
        return 1.0
    noise = float(np.square(np.diff(weeks)).mean()) / 2 / mean**2 / LATEST_WEEKS
    trust = _MOVES**2 / (_MOVES**2 + noise)
    return float(np.clip((latest / mean) ** trust, _GROWTH_MIN, _GROWTH_MAX))


def is_quarterly(weeks: Floats) -> bool:
    """Whether weeks were like those 13 weeks before, rather than like the mean of all 13 before: least squares.

    Thirteen weeks are three months nearly to the day, so monthly runs lie in the same weeks again. Where weeks differ
    by chance alone, one week tells half as much as the mean of 13.
    """
    if len(weeks) <= CASH_WEEKS:
        return False
    after, before = weeks[CASH_WEEKS:], weeks[:-CASH_WEEKS]
    means = sliding_window_view(weeks, CASH_WEEKS)[:-1].mean(axis=1)
    return bool(np.square(after - before).sum() < _QUARTERLY * np.square(after - means).sum())
