"""Snapshots and outcomes to rows: one per snapshot and day, y = 1 on the day of payment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from duly_risk.curves import HORIZON_DAYS
from duly_risk.features import N_FEATURES, N_STATIC, day_features, features_of
from duly_risk.measures import curve_days
from duly_risk.model import FeatureFrame, Rows
from numpy.typing import NDArray

from duly_training.timeline import NEVER, Outcomes, Snapshots

# Around the due date nearly everything is decided and every row is kept; of the others, most of them days on which
# nobody pays, a share stands for all. Measured: a tenth costs nothing and fits four times as fast.
NEAR_BEFORE_DUE, NEAR_AFTER_DUE = 3, 6
# Knuth's multiplicative hash: spreads row numbers evenly without a random generator.
_SPREAD = np.uint64(2654435761)
_SPREAD_RANGE = 2**32
BATCH_SNAPSHOTS = 20_000


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

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Dataset:
        return Dataset(self.x[kept], self.y[kept], self.weight[kept], self.day[kept])


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows for days t0 + 1 .. min(paid, cut - 1, t0 + 182); an invoice voided or credited ends the day before.
    Closed days are rows like others (docs/adr/0017), only due has moved past them.

    far_share: of the rows far from due that are no event, this share is kept, with weight 1 / far_share. Which ones
    depends on the row's number and the seed alone, not on how rows are cut into batches.
    from_day, until_day: only rows with from_day <= d < until_day. blank: columns that stay missing.
    """

    snapshots: Snapshots
    outcomes: Outcomes
    frame: FeatureFrame
    cut_day: int
    far_share: float = 1.0
    seed: int = 0
    from_day: int = 0
    until_day: int = NEVER
    blank: tuple[int, ...] = ()

    def all(self) -> Dataset:
        """Every row in one piece."""
        return self._rows(0, len(self.snapshots))

    def batches(self, snapshots: int = BATCH_SNAPSHOTS) -> Iterator[Dataset]:
        """The same rows, so many snapshots at a time."""
        for start in self.starts(snapshots):
            yield self.part(start, snapshots)

    def starts(self, snapshots: int = BATCH_SNAPSHOTS) -> range:
        """First snapshot of each batch."""
        return range(0, len(self.snapshots), snapshots)

    def part(self, start: int, snapshots: int = BATCH_SNAPSHOTS) -> Dataset:
        """The rows of one batch."""
        return self._rows(start, min(start + snapshots, len(self.snapshots)))

    def count(self) -> int:
        """Rows before thinning, of all days."""
        return int(self._spans()[0].sum())

    def events(self) -> int:
        """Payments in the rows; thinning leaves them all."""
        paid = self.outcomes.paid[self.snapshots.invoice]
        inside = (paid >= self.from_day) & (paid < self.until_day)
        return int((inside & (self._spans()[1] > 0)).sum())

    def every(self, nth: int) -> RowSource:
        """The rows of every nth snapshot."""
        return replace(self, snapshots=self.snapshots.where(np.arange(len(self.snapshots)) % nth == 0))

    def _spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per snapshot: number of rows, and the row of the payment counted from 1 (0 = none)."""
        invoice, t0 = self.snapshots.invoice, self.snapshots.as_of
        paid = self.outcomes.paid[invoice]
        last = np.minimum(self.cut_day - 1, t0 + HORIZON_DAYS)
        last = np.minimum(last, self.outcomes.censored[invoice] - 1)
        last = np.minimum(last, paid)
        lengths = np.maximum(0, last - t0)
        return lengths, np.where((paid == last) & (lengths > 0), lengths, 0)

    def _rows(self, start: int, stop: int) -> Dataset:
        every_length, every_paid = self._spans()
        lengths, paid = every_length[start:stop], every_paid[start:stop]
        first_row = int(every_length[:start].sum())
        index = np.repeat(np.arange(stop - start), lengths)
        lag = np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
        y = lag == paid[index]
        measures = self.snapshots.measures[start:stop]
        days = curve_days(measures, self.frame)
        day = self.snapshots.as_of[start:stop][index] + lag
        kept, weight = self._thinned(y, day - days.due[index], first_row)
        kept &= (day >= self.from_day) & (day < self.until_day)
        index, day, y, weight = index[kept], day[kept], y[kept], weight[kept]
        x = np.empty((len(index), N_FEATURES), dtype=np.float32)
        x[:, :N_STATIC] = features_of(measures, self.frame)[index]
        x[:, N_STATIC:] = day_features(day, days.as_of[index], days.issue[index], days.due[index])
        x[:, list(self.blank)] = np.nan
        return Dataset(x, y.astype(np.float32), weight, day)

    def _thinned(
        self, y: NDArray[np.bool_], past_due: NDArray[np.int64], first_row: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        number = np.arange(first_row, first_row + len(y), dtype=np.uint64) + np.uint64(self.seed)
        draw = (number * _SPREAD % np.uint64(_SPREAD_RANGE)).astype(np.float64) / _SPREAD_RANGE
        far = ~y & ((past_due < -NEAR_BEFORE_DUE) | (past_due > NEAR_AFTER_DUE))
        kept = ~far | (draw < self.far_share)
        return kept, np.where(far, np.float32(1 / self.far_share), np.float32(1.0)).astype(np.float32)
