"""Risk bands: up at the threshold, down late and one step a day."""

from __future__ import annotations

from duly_risk.score import Band
from duly_risk.state import Standing

THRESHOLDS = (0.05, 0.20, 0.50)
WAY_DOWN = 0.8
TICKS_BELOW = 3


def band_of(risk: float) -> Band:
    """LOW < 0.05 <= MEDIUM < 0.20 <= HIGH < 0.50 <= CRITICAL."""
    return Band(Band.LOW + sum(risk >= threshold for threshold in THRESHOLDS))


def next_standing(standing: Standing, risk: float, any_open: bool, *, on_tick: bool, day: int) -> Standing:
    """The standing after a score of `risk` on business day `day`.

    Up at once, as far as the risk reaches. Down when the risk stood below 0.8 x the band's threshold on 3 ticks in a
    row (facts do not count), one step a day. With nothing open, LOW at once: there is no risk left to remember.
    """
    if not any_open:
        return standing._replace(band=Band.LOW, ticks_below=(0, 0, 0))
    below = standing.ticks_below
    if on_tick:
        counted = [
            min(TICKS_BELOW, n + 1) if risk < WAY_DOWN * t else 0 for n, t in zip(below, THRESHOLDS, strict=True)
        ]
        below = (counted[0], counted[1], counted[2])
    reached = band_of(risk)
    if reached >= standing.band:
        return standing._replace(band=reached, ticks_below=below)
    waited = below[standing.band - Band.MEDIUM] >= TICKS_BELOW
    if not (on_tick and waited and day > standing.stepped_down_day):
        return standing._replace(ticks_below=below)
    return standing._replace(band=Band(standing.band - 1), ticks_below=below, stepped_down_day=day)
