"""From hazards to curves: survival, quantiles and probabilities over a fixed horizon.

A curve covers 182 days (26 weeks), and the model is asked for every one of them. All arithmetic is elementwise or a
running product per curve, so that a curve never depends on its neighbours in a batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HORIZON_DAYS = 182
WEEK = 7

Floats = NDArray[np.float64]


def survival(hazard: Floats) -> Floats:
    """S(t0 + j) for j = 0..n: S(0) = 1, S(j) = S(j-1) (1 - h(j)). hazard: (n,) in [0, 1]. Returns (n + 1,)."""
    return np.concatenate(([1.0], np.cumprod(1.0 - hazard)))


def unpaid(curve: Floats, as_of_day: int, due_day: int, k: int) -> float:
    """P(delay >= k days) = S(due + k - 1); beyond the horizon its last value. curve: from `survival`."""
    return float(curve[max(0, min(len(curve) - 1, due_day + k - 1 - as_of_day))])


def pay_offset(curve: Floats, paid_share: float) -> int | None:
    """First j with S(t0 + j) <= 1 - paid_share, i.e. paid by then with that probability; None beyond the horizon."""
    # 1 - 0.9 is a little more than 0.1 in binary; the rounding keeps "paid with 0.9" at S = 0.1.
    unpaid_days = int(np.count_nonzero(curve > round(1.0 - paid_share, 12)))
    return unpaid_days if unpaid_days < len(curve) else None


def expected_days(curve: Floats, horizon_days: int = 180) -> float:
    """Restricted mean days from t0 to payment: sum of S(t0 + j), j = 0..horizon-1, added in order."""
    return float(np.cumsum(curve[:horizon_days])[-1])
