"""From hazards to curves: survival, quantiles and probabilities over a fixed horizon.

A curve covers 182 days (26 weeks), and the model is asked for every one of them. Functions take many curves at once,
one per row; all arithmetic is elementwise or stays within a row, in an order that only the row's length decides, so
that a curve never depends on its neighbours in a batch, to the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HORIZON_DAYS = 182
WEEK = 7
CASH_WEEKS = 13
# Horizon of the restricted mean.
EXPECTED_WITHIN_DAYS = 180

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def survival(hazards: NDArray[np.floating]) -> Floats:
    """S(t0 + j) for j = 0..m: S(0) = 1, S(j) = S(j-1) (1 - h(j)), a running product in float64.

    hazards: (n, m) in [0, 1]. Returns (n, m + 1).
    """
    curves = np.empty((hazards.shape[0], hazards.shape[1] + 1))
    curves[:, 0] = 1.0
    np.subtract(1.0, hazards, out=curves[:, 1:], dtype=np.float64)
    np.cumprod(curves, axis=1, out=curves)
    return curves


def unpaid(curves: Floats, as_of_day: Ints, due_day: Ints, k: int) -> Floats:
    """P(delay >= k days) = S(due + k - 1); beyond the horizon its last value.

    curves: (n, m + 1) from `survival`; as_of_day, due_day: (n,). Returns (n,).
    """
    at = np.clip(due_day + (k - 1) - as_of_day, 0, curves.shape[1] - 1)
    chosen: Floats = curves[np.arange(len(curves)), at]
    return chosen


def pay_offset(curves: Floats, paid_share: float) -> Ints:
    """First j with S(t0 + j) <= 1 - paid_share, i.e. paid by then with that probability; m + 1 = beyond the horizon.

    curves: (n, m + 1). Returns (n,).
    """
    # 1 - 0.9 is a little more than 0.1 in binary; the rounding keeps "paid with 0.9" at S = 0.1.
    paid = curves <= round(1.0 - paid_share, 12)
    first = np.argmax(paid, axis=1)
    # S(t0) is 1, so 0 means that no day is one.
    days: Ints = np.where(first > 0, first, curves.shape[1])
    return days


def expected_days(curves: Floats, within_days: int = EXPECTED_WITHIN_DAYS) -> Floats:
    """Restricted mean days from t0 to payment: sum of S(t0 + j), j = 0..within_days-1. Returns (n,).

    numpy adds a row that lies in one piece by pairs, in an order that its length alone decides.
    """
    total: Floats = curves[:, :within_days].sum(axis=1)
    return total
