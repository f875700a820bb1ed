"""How much more, or less, is billed lately than in the 13 weeks that invoices to come are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from duly_risk.curves import Floats

# The latest weeks that the others are compared with: a monthly run falls into six weeks once or twice, into four also
# never.
LATEST_WEEKS = 6
# How far a tenant's volume moves within a quarter, on the logarithm: what a change is believed against.
_MOVES = 0.15
_GROWTH_MIN, _GROWTH_MAX = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Volume:
    """growth: of a week to come over the mean week of the last 13. spread: relative deviation of four weeks from it."""

    growth: float
    spread: float


def growth_of(weeks: Floats) -> float:
    """What the mean week of the past is to be multiplied with to be a week to come: (latest / mean)^trust.

    weeks: (n,) totals, oldest first. trust = moves^2 / (moves^2 + noise^2), where noise^2 is the relative variance of
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
