"""What chance among debtors explains: their invoices go together, so a few debtors show errors where there are none."""

from __future__ import annotations

import numpy as np
from duly_risk.curves import Floats
from numpy.typing import NDArray

from duly_training.metrics import ECE_BINS, Flags, calibration_line, clipped

Whole = NDArray[np.int64]
_DRAWS = 200
_SURELY = 0.95
_NORMAL_95 = 1.96
# Logits closer together than that say nothing of a slope: its fit has no single solution.
_SPREAD_MIN = 1e-6
# The sandwich is too sure with few clusters, and of one debtor it is sure of anything: its scores sum to zero.
_DEBTORS_MIN = 30


def error_by_chance(y: Flags, p: Floats, debtor: Whole, seed: int = 0) -> float:
    """The calibration error (ECE) below which a calibrated model stays in 95 % of 200 seeded draws.

    A draw turns the residuals of each debtor around or leaves them, all of them together: the wild cluster bootstrap
    (Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008). y, p, debtor: (n,), n >= 1.
    """
    _, index = np.unique(debtor, return_inverse=True)
    debtors, residual = int(index.max()) + 1, y - p
    bins = np.array_split(np.argsort(p, kind="stable"), ECE_BINS)
    sums = np.stack([np.bincount(index[part], residual[part], debtors) for part in bins])
    random = np.random.default_rng(seed)
    drawn = [np.abs(sums @ random.choice([-1.0, 1.0], debtors)).sum() / len(p) for _ in range(_DRAWS)]
    return float(np.quantile(drawn, _SURELY))


def slope_and_error(y: Flags, p: Floats, debtor: Whole) -> tuple[float, float] | None:
    """Calibration slope and half of its 95 % interval, debtors being the sample: the clustered sandwich of its fit.

    y, p, debtor: (n,), n >= 1, late ones and others among them. None where all p are alike, or where there
    are fewer than 30 debtors.
    """
    _, index = np.unique(debtor, return_inverse=True)
    z = np.log(clipped(p) / (1 - clipped(p)))
    if index.max() + 1 < _DEBTORS_MIN or np.ptp(z) < _SPREAD_MIN:
        return None
    slope, intercept = calibration_line(y, p)
    fitted = 1 / (1 + np.exp(-(intercept + slope * z)))
    x = np.column_stack([np.ones_like(z), z])
    bread = np.linalg.inv((x * (fitted * (1 - fitted))[:, np.newaxis]).T @ x)
    scores = np.column_stack([np.bincount(index, (y - fitted) * column) for column in x.T])
    return slope, float(_NORMAL_95 * np.sqrt((bread @ (scores.T @ scores) @ bread)[1, 1]))
