"""Snapshots and outcomes to rows: one per snapshot and day, y = 1 on the day of payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.curves import HORIZON_DAYS
from duly_risk.features import N_FEATURES, N_STATIC, day_features, features_of
from duly_risk.measures import curve_days
from duly_risk.model import FeatureFrame, Rows
from numpy.typing import NDArray

from duly_training.snapshots import Outcome, Snapshot, measures_of

# Knuth's multiplicative hash: spreads row numbers evenly without a random generator.
_SPREAD = np.uint64(2654435761)
_SPREAD_RANGE = 2**32


@dataclass(frozen=True, slots=True)
class Dataset:
    """x: (n, features) float32. y: (n,) 0 or 1. weight: (n,), 1 / kept share of thinned rows. day: (n,) its d."""

    x: Rows
    y: NDArray[np.float32]
    weight: NDArray[np.float32]
    day: NDArray[np.int64]

    @property
    def events(self) -> int:
        return int(self.y.sum())

    def where(self, kept: NDArray[np.bool_]) -> Dataset:
        return Dataset(self.x[kept], self.y[kept], self.weight[kept], self.day[kept])


def rows_of(
    snapshots: Sequence[Snapshot],
    outcomes: Mapping[tuple[str, str], Outcome],
    frame: FeatureFrame,
    cut_day: int,
    rows_max: int,
    seed: int = 0,
) -> Dataset:
    """Rows for days t0 + 1 .. min(paid, cut - 1, t0 + 182); an invoice voided or credited ends the day before.

    Above `rows_max` rows all events stay and the others are thinned evenly, with weight 1 / kept share.
    """
    spans = np.array([_span(one, outcomes[one.debtor_id, one.terms.invoice_id], cut_day) for one in snapshots])
    spans = spans.reshape(-1, 2)
    lengths, paid = spans[:, 0], spans[:, 1]
    index = np.repeat(np.arange(len(snapshots)), lengths)
    lag = np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
    y = (lag == paid[index]).astype(np.float32)
    kept, share = _thinned(y, rows_max, seed)
    index, lag, y = index[kept], lag[kept], y[kept]
    measures = measures_of(snapshots)
    days = curve_days(measures)
    as_of = days.as_of[index]
    x = np.empty((len(index), N_FEATURES), dtype=np.float32)
    x[:, :N_STATIC] = features_of(measures, frame)[index]
    x[:, N_STATIC:] = day_features(as_of + lag, as_of, days.issue[index], days.due[index])
    weight = np.where(y > 0, 1.0, 1.0 / share).astype(np.float32)
    return Dataset(x, y, weight, as_of + lag)


def _span(snapshot: Snapshot, outcome: Outcome, cut_day: int) -> tuple[int, int]:
    """(number of rows, row of the payment counted from 1, 0 = none)."""
    t0 = snapshot.as_of_day
    last = min(cut_day - 1, t0 + HORIZON_DAYS)
    if outcome.censored_day is not None:
        last = min(last, outcome.censored_day - 1)
    if outcome.paid_day is not None:
        last = min(last, outcome.paid_day)
    paid_row = outcome.paid_day - t0 if outcome.paid_day == last else 0
    return max(0, last - t0), max(0, paid_row)


def _thinned(y: NDArray[np.float32], rows_max: int, seed: int) -> tuple[NDArray[np.bool_], float]:
    events = int(y.sum())
    others = len(y) - events
    if len(y) <= rows_max or others == 0:
        return np.ones(len(y), dtype=bool), 1.0
    share = max(0.01, (rows_max - events) / others)
    spread = (np.arange(len(y), dtype=np.uint64) + np.uint64(seed)) * _SPREAD
    draw = (spread % np.uint64(_SPREAD_RANGE)).astype(np.float64) / _SPREAD_RANGE
    kept = (y > 0) | (draw < share)
    return kept, float((kept & (y == 0)).sum() / others)
