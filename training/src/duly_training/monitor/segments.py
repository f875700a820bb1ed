"""How a debtor behaves, by the features of one of its invoices: the segments that payments are watched in."""

from __future__ import annotations

import numpy as np
from duly_risk.features import INDEX
from duly_risk.model import Rows
from numpy.typing import NDArray

# In this order, the first that fits.
BEHAVIOURS = ("NEW", "DISTRESSED", "LATE_PAYER", "IRREGULAR", "PROMPT")
KNOWN_MIN = 3
WORSE_DAYS = 10
OVERDUE_DAYS = 60
LATE_RATE, IRREGULAR_RATE = 0.3, 0.05


def behaviours(static: Rows) -> NDArray[np.int64]:
    """Index into BEHAVIOURS, (n,). static: (n, N_STATIC), a missing value fits no rule.

    NEW: fewer than 3 settled invoices; DISTRESSED: the last 3 at least 10 days later than the mean, or something 60
    days overdue; LATE_PAYER, IRREGULAR: 30 % or 5 % of the settled ones 5 or more days late; else PROMPT.
    """
    of = {name: static[:, INDEX[name]] for name in ("n_known", "h_last3", "h_mean", "over_max_days", "h_late_rate")}
    worse = (of["h_last3"] - of["h_mean"] >= WORSE_DAYS) | (of["over_max_days"] >= OVERDUE_DAYS)
    rules = [of["n_known"] < KNOWN_MIN, worse, of["h_late_rate"] >= LATE_RATE, of["h_late_rate"] >= IRREGULAR_RATE]
    return np.select(rules, range(len(rules)), default=len(rules)).astype(np.int64)
