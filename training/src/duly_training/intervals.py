"""95 % intervals by drawing debtors, not invoices: late invoices cluster in debtors (intra-class correlation 0.47)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from duly_risk.book import LATE_DAYS
from duly_risk.curves import Floats
from numpy.typing import NDArray

from duly_training.judged import Judged
from duly_training.metrics import log_losses
from duly_training.predictions import Predictions

DRAWS = 1_000
_LOW, _HIGH = 0.025, 0.975
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """value: on the whole; low..high: 95 % of the draws."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Intervals:
    """measured: "<model>_<measure>" -> interval. gains: baseline -> its logloss minus the model's, paired by draw."""

    measured: Mapping[str, Interval]
    gains: Mapping[str, Interval]


def intervals_of(
    judged: Judged, by_name: Mapping[str, Predictions], model: str = "hazard", seed: int = 0, draws: int = DRAWS
) -> Intervals:
    """Intervals of logloss, Brier score and AUC of "late by 5 days" and of the day error, over ripe invoices."""
    ripe = judged.ripe()
    part, parts = judged.where(ripe), {name: one.where(ripe) for name, one in by_name.items()}
    if not len(part):
        return Intervals({}, {})
    debtors, index = np.unique(part.debtor, return_inverse=True)
    y = part.late()
    losses = _losses(part, parts, y)
    names = list(losses)
    sums = np.stack([np.bincount(index, losses[name], len(debtors)) for name in names], axis=1)
    sizes = np.bincount(index, minlength=len(debtors)).astype(np.float64)
    ranked = {name: _Ranking(one.p_late[LATE_DAYS], y, index) for name, one in parts.items() if LATE_DAYS in one.p_late}
    drawn_means, drawn_areas = [], {name: [] for name in ranked}  # type: ignore[var-annotated]
    for weights in _drawn(len(debtors), len(part), draws, seed):
        drawn_means.append(weights @ sums / (weights @ sizes)[:, None])
        for name, ranking in ranked.items():
            drawn_areas[name].append(ranking.areas(weights))
    means = np.concatenate(drawn_means)
    whole = sums.sum(axis=0) / sizes.sum()
    measured = {name: _interval(whole[i], means[:, i]) for i, name in enumerate(names)}
    one = np.ones((1, len(debtors)))
    for name, ranking in ranked.items():
        measured[f"{name}_auc_late5"] = _interval(float(ranking.areas(one)[0]), np.concatenate(drawn_areas[name]))
    gains = {}
    if f"{model}_logloss_late5" in names:
        own = names.index(f"{model}_logloss_late5")
        for name in ranked:
            other = names.index(f"{name}_logloss_late5")
            if name != model:
                gains[name] = _interval(whole[other] - whole[own], means[:, other] - means[:, own])
    return Intervals(measured, gains)


def _losses(judged: Judged, parts: Mapping[str, Predictions], y: NDArray[np.bool_]) -> dict[str, Floats]:
    """ "<model>_<measure>" -> loss per invoice."""
    losses: dict[str, Floats] = {}
    for name, one in parts.items():
        if LATE_DAYS in one.p_late:
            losses[f"{name}_logloss_late5"] = log_losses(y, one.p_late[LATE_DAYS])
            losses[f"{name}_brier_late5"] = (one.p_late[LATE_DAYS] - y) ** 2
        if one.days is not None:
            losses[f"{name}_mae_days"] = np.abs(one.days - judged.days)
    return losses


def _drawn(debtors: int, invoices: int, draws: int, seed: int) -> Iterator[Floats]:
    """Weights (some draws, debtors): how often each debtor was drawn."""
    random = np.random.default_rng(seed)
    at_once = max(1, min(draws, _CHUNK_CELLS // max(debtors, invoices)))
    for start in range(0, draws, at_once):
        chosen = random.integers(0, debtors, size=(min(at_once, draws - start), debtors))
        yield np.stack([np.bincount(row, minlength=debtors) for row in chosen]).astype(np.float64)


class _Ranking:
    """Invoices in the order of a model's probability, ready for AUCs under many weights."""

    def __init__(self, p: Floats, y: NDArray[np.bool_], debtor: NDArray[np.int64]) -> None:
        order = np.argsort(p, kind="stable")
        self._y, self._debtor = y[order], debtor[order]
        self._tie_starts = np.flatnonzero(np.append(True, np.diff(p[order]) != 0))

    def areas(self, weights: Floats) -> Floats:
        """AUC per draw, NaN where all drawn invoices are alike. weights: (draws, debtors)."""
        each = weights[:, self._debtor]
        late = np.add.reduceat(each * self._y, self._tie_starts, axis=1)
        others = np.add.reduceat(each * ~self._y, self._tie_starts, axis=1)
        below = np.cumsum(others, axis=1) - others
        pairs = late.sum(axis=1) * others.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((late * (below + 0.5 * others)).sum(axis=1) / pairs)


def _interval(value: float, drawn: Floats) -> Interval:
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [_LOW, _HIGH]) if len(drawn) else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high))
