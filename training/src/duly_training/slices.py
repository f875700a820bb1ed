"""The same measures on parts of the window: cold debtors, invoice size, sector, month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from duly_risk.book import LATE_DAYS
from duly_risk.days import date_of
from numpy.typing import NDArray

from duly_training.judged import Judged
from duly_training.metrics import auc, calibration_error, log_losses
from duly_training.predictions import Predictions

COLD_BELOW = 3
# Smaller parts are shown and never refuse a model: 2 % of a logloss cannot be seen in them.
JUDGED_INVOICES, JUDGED_LATE = 500, 30


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the window. baseline_logloss: of the best baseline of the whole window."""

    name: str
    invoices: int
    late: int
    auc: float
    logloss: float
    baseline_logloss: float
    ece: float

    @property
    def is_judged(self) -> bool:
        return self.invoices >= JUDGED_INVOICES and self.late >= JUDGED_LATE

    @property
    def worse_by(self) -> float:
        """Relative to the baseline; negative = better."""
        return self.logloss / self.baseline_logloss - 1


def slices_of(judged: Judged, model: Predictions, baseline: Predictions, sectors: Sequence[str]) -> tuple[Slice, ...]:
    """sectors: of each debtor index, "" = unknown."""
    ripe = judged.ripe()
    part, p, q = judged.where(ripe), model.p_late[LATE_DAYS][ripe], baseline.p_late[LATE_DAYS][ripe]
    y = part.late()
    found = []
    for name, inside in _parts(part, sectors):
        if inside.any():
            found.append(
                Slice(
                    name,
                    int(inside.sum()),
                    int(y[inside].sum()),
                    auc(y[inside], p[inside]),
                    float(log_losses(y[inside], p[inside]).mean()),
                    float(log_losses(y[inside], q[inside]).mean()),
                    calibration_error(y[inside], p[inside]),
                )
            )
    return tuple(found)


def _parts(judged: Judged, sectors: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    n = judged.n_known
    yield f"fewer than {COLD_BELOW} settled", n < COLD_BELOW
    yield f"{COLD_BELOW} to 20 settled", (n >= COLD_BELOW) & (n <= 20)
    yield "more than 20 settled", n > 20
    small, large = np.quantile(judged.amount, [1 / 3, 2 / 3]) if len(judged) else (0.0, 0.0)
    yield "small invoices", judged.amount <= small
    yield "medium invoices", (judged.amount > small) & (judged.amount <= large)
    yield "large invoices", judged.amount > large
    sector = np.array([sectors[debtor] if sectors else "" for debtor in judged.debtor.tolist()], dtype=object)
    for name in sorted(set(sector.tolist()) - {""}):
        yield f"sector {name}", sector == name
    month = np.array([date_of(day).strftime("%Y-%m") for day in judged.as_of.tolist()], dtype=object)
    for name in sorted(set(month.tolist())):
        yield f"first known in {name}", month == name


def best_baseline(losses: Mapping[str, float]) -> str:
    """The name with the smallest logloss."""
    return min(losses, key=lambda name: (losses[name], name))
