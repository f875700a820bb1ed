"""95 % intervals by drawing debtors, not invoices: late invoices cluster in debtors (intra-class correlation 0.47)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.book import LATE_DAYS
from duly_risk.curves import Floats
from numpy.typing import NDArray

from duly_training.judged import Judged, late_name
from duly_training.metrics import log_losses
from duly_training.predictions import Predictions

DRAWS = 1_000
_LOW, _HIGH = 0.025, 0.975
_CHUNK_CELLS = 4_000_000
_LOGLOSS = late_name("_logloss")


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
    """Intervals of logloss, Brier score and AUC of "late by LATE_DAYS" and of the day error, over ripe invoices."""
    ripe = judged.ripe()
    part, parts = judged.where(ripe), {name: one.where(ripe) for name, one in by_name.items()}
    if not len(part):
        return Intervals({}, {})
    debtors, index = np.unique(part.debtor, return_inverse=True)
    y = part.late()
    means = _Means(_losses(part, parts, y), index, len(debtors))
    ranked = {name: _Ranking(one.p_late[LATE_DAYS], y, index) for name, one in parts.items() if LATE_DAYS in one.p_late}

    def areas(weights: Floats) -> list[Floats]:
        return [ranking.areas(weights) for ranking in ranked.values()]

    names = (*means.names, *(late_name(f"{name}_auc") for name in ranked))
    whole = np.array([*means.whole, *(one[0] for one in areas(np.ones((1, len(debtors)))))])
    drawn = np.concatenate(
        [
            np.column_stack([means.of(weights), *areas(weights)])
            for weights in _drawn(len(debtors), len(part), draws, seed)
        ]
    )
    measured = {name: _interval(whole[at], drawn[:, at]) for at, name in enumerate(names)}
    return Intervals(measured, _gains(names, model, whole, drawn))


def _gains(names: Sequence[str], model: str, whole: Floats, drawn: Floats) -> dict[str, Interval]:
    """names: of the columns of whole (m,) and drawn (draws, m)."""
    column = {name.removesuffix(_LOGLOSS): at for at, name in enumerate(names) if name.endswith(_LOGLOSS)}
    own = column.pop(model, None)
    if own is None:
        return {}
    return {name: _interval(whole[at] - whole[own], drawn[:, at] - drawn[:, own]) for name, at in column.items()}


class _Means:
    """Losses summed by debtor, ready for their means over drawn debtors."""

    def __init__(self, losses: Mapping[str, Floats], debtor: NDArray[np.int64], debtors: int) -> None:
        self.names = tuple(losses)
        self._sums = np.stack([np.bincount(debtor, losses[name], debtors) for name in self.names], axis=1)
        self._sizes = np.bincount(debtor, minlength=debtors).astype(np.float64)

    @property
    def whole(self) -> Floats:
        """With every debtor once: (losses,)."""
        return np.asarray(self._sums.sum(axis=0) / self._sizes.sum())

    def of(self, weights: Floats) -> Floats:
        """weights: (draws, debtors). Returns (draws, losses)."""
        return np.asarray(weights @ self._sums / (weights @ self._sizes)[:, np.newaxis])


def _losses(judged: Judged, parts: Mapping[str, Predictions], y: NDArray[np.bool_]) -> dict[str, Floats]:
    """ "<model>_<measure>" -> loss per invoice."""
    losses: dict[str, Floats] = {}
    for name, one in parts.items():
        if LATE_DAYS in one.p_late:
            losses[f"{name}{_LOGLOSS}"] = log_losses(y, one.p_late[LATE_DAYS])
            losses[late_name(f"{name}_brier")] = (one.p_late[LATE_DAYS] - y) ** 2
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
