"""The rules score that serves while no model can be loaded, as a hazard model, so that the same path runs.

The daily hazard falls with days past due, amount and past late share, hence every P(unpaid) rises with them. Its levels
are rules of thumb, not fitted; outputs carry role FALLBACK.
"""

from __future__ import annotations

import numpy as np

from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import weekdays_of
from duly_risk.features import INDEX, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows

VERSION = "rules-1"
# A debtor nobody knows: what collections practice calls an average one.
_FRAME = FeatureFrame(
    other_median_minor=100_000.0, late_rate=0.1, any_late_rate=0.3, delay_mean=2.0, days_to_pay_mean=30.0
)
_EARLY = 0.01
_ON_DUE = 0.35
_WEEKEND = 0.1


class RulesModel:
    """See the module. Deterministic, elementwise float32: an invoice alone and in a batch give equal bytes."""

    info = ModelInfo("risk-rules", VERSION, Role.FALLBACK, schema_sha256(), _FRAME)

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        """(n, 182) in [0, 0.35]."""
        one = np.float32(1.0)
        day = days.as_of[:, np.newaxis] + np.arange(1, HORIZON_DAYS + 1)
        past = day - days.due[:, np.newaxis]
        base = np.where(past < 0, np.float32(_EARLY), np.float32(_ON_DUE))
        base = base * np.where(weekdays_of(day) >= 5, np.float32(_WEEKEND), one)
        hazard = base / (one + np.maximum(past, 0).astype(np.float32) / np.float32(5.0))
        hazard = hazard * (one - np.float32(0.9) * _or_zero(static, "h_late_rate"))
        hazard = hazard * (one - np.float32(0.5) * _or_zero(static, "h_late5"))
        return np.asarray(hazard / (one + np.float32(0.2) * _or_zero(static, "amount")), dtype=np.float32)


def _or_zero(static: Rows, name: str) -> Rows:
    """A feature as a column (n, 1); missing and negative count as 0."""
    column = static[:, INDEX[name], np.newaxis]
    return np.where(np.isnan(column), np.float32(0.0), np.maximum(column, np.float32(0.0)))
