"""The 80 % band of forecast cash: effects fitted on what came of earlier forecasts, then widened or narrowed to fit.

A simulation knows the shape of the spread but not its size: a model is never quite right, and habits change. So each
earlier forecast is asked by how much its own band missed, in multiples of its half width, and the band of the next
forecast is stretched by the multiple that would have held 80 % of them (split conformal prediction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.curves import CASH_WEEKS, WEEK, Floats, Ints

from duly_training.backtest.cash import Effects, OpenBook

LOW, HIGH = 0.1, 0.9
COVERAGE = HIGH - LOW
# Where nothing was paid yet: what mid-sized ledgers show.
EFFECTS_DEFAULT = Effects(debtor=0.5, week=0.05)
# A moment estimate may be anything in a shock or on few invoices; beyond these the stretch has to do the work.
_DEBTOR_RANGE, _WEEK_RANGE = (0.3, 1.0), (0.03, 0.1)
# Weeks 1-4 hold most of the money and many invoices, later ones a few late payers: they are stretched apart.
NEAR_WEEKS = 4
# A miss of four weeks ago counts half as much as one of today: after a shock a band has to narrow again.
_HALF_LIFE_DAYS = 28
# This many cells of the week's own group weigh as much as all cells together.
_GROUP_TRUST = 20
_STRETCH_RANGE = (0.25, 4.0)
# A half width never counts as less than this share of the book: an empty week must not explode the multiples.
_HALF_WIDTH_MIN = 2e-4
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Paid:
    """What came of an open book. by_week: (n, 13) minor units received for each invoice; weeks: how many are over."""

    book: OpenBook
    by_week: Floats
    weeks: int


@dataclass(frozen=True, slots=True)
class CashBand:
    """expected, low, high: (13,) minor units. size: the open book, or the volume, that widths are measured against."""

    expected: Floats
    low: Floats
    high: Floats
    size: float


@dataclass(frozen=True, slots=True)
class Misses:
    """How far cash fell from earlier forecasts. week: 0..12; ended: day on which the week ended; multiple: |cash -
    expected| / half width on that side, all (n,)."""

    week: Ints
    ended: Ints
    multiple: Floats


def fit_effects(past: Sequence[Paid]) -> Effects:
    """Variances by moments, weighted by amount.

    With R = received - expected of a group that shares an effect, V = its variance were all independent and
    V' = sum of amount x g (1 - g): E[R^2] = V + variance x V'^2 to first order. Summed over (debtor, week) groups for
    the debtor effect, then over weeks for the week effect.
    """
    groups = [_moments(one.book, one.by_week, week) for one in past for week in range(one.weeks) if len(one.by_week)]
    debtor_above = sum(float((r**2 - v).sum()) for r, v, _ in groups)
    debtor_scale = sum(float((s**2).sum()) for _, _, s in groups)
    if debtor_scale <= _TINY:
        return EFFECTS_DEFAULT
    debtor = _within(debtor_above / debtor_scale, _DEBTOR_RANGE)
    week_above = sum(float(r.sum() ** 2 - v.sum() - debtor * (s**2).sum()) for r, v, s in groups)
    week_scale = sum(float(s.sum() ** 2) for _, _, s in groups)
    return Effects(debtor, _within(week_above / week_scale, _WEEK_RANGE))


def _moments(book: OpenBook, by_week: Floats, week: int) -> tuple[Floats, Floats, Floats]:
    """R, V and V' of each debtor in one week, over what is still open at its start."""
    rest = np.maximum(0.0, book.amounts - by_week[:, :week].sum(axis=1))
    hazard = book.hazards[:, week]
    luck = hazard * (1.0 - hazard)
    _, group = np.unique(book.debtors, return_inverse=True)
    parts = (np.minimum(by_week[:, week], rest) - rest * hazard, rest**2 * luck, rest * luck)
    residual, variance, scale = (np.bincount(group, part).astype(np.float64) for part in parts)
    return residual, variance, scale


def band_of_draws(draws: Floats, expected: Floats, size: float) -> CashBand:
    """The unstretched band. draws: (n, 13) simulated cash."""
    low, high = np.quantile(draws, (LOW, HIGH), axis=0)
    # Skewed weeks may have their mean outside the middle 80 %; a band holds its own expectation.
    return CashBand(expected, np.minimum(low, expected), np.maximum(high, expected), size)


def misses_of(band: CashBand, received: Floats, snapshot_day: int, weeks: int) -> Misses:
    """One miss per week that is over. received: (13,)."""
    least = max(_HALF_WIDTH_MIN * band.size, _TINY)
    above = received > band.expected
    half = np.where(above, band.high - band.expected, band.expected - band.low)
    multiple = np.abs(received - band.expected) / np.maximum(half, least)
    week = np.arange(weeks)
    return Misses(week, snapshot_day + WEEK * (week + 1), multiple[:weeks])


def gathered(misses: Sequence[Misses]) -> Misses:
    """All misses in one."""
    nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
    columns = [nothing, *((one.week, one.ended, one.multiple) for one in misses)]
    week, ended, multiple = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Misses(week, ended, multiple)


def stretched(band: CashBand, misses: Misses, from_day: int, until_day: int) -> CashBand:
    """The band, fitted to the weeks that ended from `from_day` to `until_day`. Without any it stays as it is."""
    counted = (misses.ended >= from_day) & (misses.ended <= until_day)
    multiple, near = misses.multiple[counted], misses.week[counted] < NEAR_WEEKS
    weight = 0.5 ** ((until_day - misses.ended[counted]) / _HALF_LIFE_DAYS)
    of_all = _quantile(multiple, weight)
    factors = [_factor(multiple[group], weight[group], of_all) for group in (near, ~near)]
    factor = np.where(np.arange(CASH_WEEKS) < NEAR_WEEKS, *factors)
    low = np.maximum(0.0, band.expected - factor * (band.expected - band.low))
    return CashBand(band.expected, low, band.expected + factor * (band.high - band.expected), band.size)


def _factor(own: Floats, weight: Floats, of_all: float) -> float:
    trust = len(own) / (len(own) + _GROUP_TRUST)
    return _within(trust * _quantile(own, weight) + (1.0 - trust) * of_all, _STRETCH_RANGE)


def _quantile(multiples: Floats, weight: Floats) -> float:
    """The smallest multiple that holds 80 % of the weight; 1 where nothing is known."""
    if not len(multiples):
        return 1.0
    order = np.argsort(multiples, kind="stable")
    held = np.cumsum(weight[order])
    return float(multiples[order][min(len(order) - 1, int(np.searchsorted(held, COVERAGE * held[-1])))])


def _within(value: float, limits: tuple[float, float]) -> float:
    return float(min(max(value, limits[0]), limits[1]))
