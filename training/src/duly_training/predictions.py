"""What a model says of invoices, and the hazard model's answers read from its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from duly_risk.asking import hazards_of
from duly_risk.curves import Floats, expected_days, pay_offset, survival, unpaid
from duly_risk.model import HazardModel
from numpy.typing import NDArray

from duly_training.judged import DAYS_MAX, LATE_KS, Judged

_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Predictions:
    """p_late: k -> (n,) P(late by k days).

    days: (n,) predicted days from issue to payment, whole and 0..120. order: (n,) expected delay, only to rank by.
    low, high: (n,) days from issue between which 80 % are expected. None = the model says nothing of it.
    """

    p_late: Mapping[int, Floats]
    days: Floats | None = None
    order: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None

    @staticmethod
    def joined(parts: Sequence[Predictions]) -> Predictions:
        """Of several windows as one; at least one, all of one model."""
        p_late = {k: np.concatenate([part.p_late[k] for part in parts]) for k in parts[0].p_late}
        return Predictions(p_late, *(_joined([getattr(part, name) for part in parts]) for name in _OPTIONAL))

    def where(self, kept: NDArray[np.bool_]) -> Predictions:
        return Predictions(
            {k: p[kept] for k, p in self.p_late.items()},
            *(None if (part := getattr(self, name)) is None else part[kept] for name in _OPTIONAL),
        )


_OPTIONAL = tuple(one.name for one in fields(Predictions) if one.name != "p_late")


def _joined(parts: Sequence[Floats | None]) -> Floats | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if len(present) == len(parts) else None


def hazard_predictions(model: HazardModel, judged: Judged) -> Predictions:
    """By the very curves that serving uses."""
    parts = [_predicted(model, judged, start) for start in range(0, len(judged), _CHUNK)]
    if not parts:
        nothing = np.empty(0)
        return Predictions(dict.fromkeys(LATE_KS, nothing), nothing, nothing, nothing, nothing)
    return Predictions.joined(parts)


def _predicted(model: HazardModel, judged: Judged, start: int) -> Predictions:
    rows = slice(start, start + _CHUNK)
    measures, t0, due, issue = judged.measures[rows], judged.as_of[rows], judged.due[rows], judged.issue[rows]
    curves = survival(hazards_of(model, measures))
    p_late = {k: unpaid(curves, t0, due, k) for k in LATE_KS}
    age = (t0 - issue).astype(np.float64)
    low, median, high = (age + pay_offset(curves, share) for share in (0.1, 0.5, 0.9))
    return Predictions(p_late, np.clip(median, 0, DAYS_MAX), expected_days(curves) - (due - t0), low, high)
