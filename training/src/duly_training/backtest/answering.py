"""Questions to survival curves, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from duly_risk.curves import HORIZON_DAYS, Floats, survival
from duly_risk.features import features_of
from duly_risk.measures import COLUMN, curve_days, stacked
from duly_risk.model import CurveDays, HazardModel, Hazards

from duly_training.backtest.asking import Question
from duly_training.timeline import LANDMARKS, Days

BATCH = 2_048
_WEEK = 7


def in_batches(questions: Iterable[Question], size: int = BATCH) -> Iterator[list[Question]]:
    """The same questions, `size` at a time."""
    rest = iter(questions)
    while batch := list(islice(rest, size)):
        yield batch


def survival_of(questions: Sequence[Question], model: HazardModel) -> Floats:
    """S(t0 + j), j = 0..182, of n >= 1 questions: (n, 183).

    A curve is asked from the last landmark at which models are fitted (issue date, days before and after due) and read
    from t0 on: between landmarks `lag` has values that no training row shows beside such an age.
    """
    measures = stacked([question.measures[np.newaxis] for question in questions])
    days = curve_days(measures)
    begin = _landmarks(days, measures[:, COLUMN["due_day"]].astype(np.int64))
    static = features_of(measures, model.info.frame)
    return survival(_from_day(model.curves(static, CurveDays(begin, days.issue, days.due)), days.as_of - begin))


def _landmarks(days: CurveDays, due: Days) -> Days:
    """The last landmark not after t0 of each, t0 itself for an invoice that is asked about before its issue."""
    begin = np.minimum(days.issue, days.as_of)
    for after in LANDMARKS:
        begin = np.where((due + after <= days.as_of) & (due + after > begin), due + after, begin)
    return begin


def _from_day(hazards: Hazards, skipped: Days) -> Hazards:
    """Hazards from `skipped` days later on: (n, 182). Beyond the horizon h(d) = h(d - 7)."""
    lag = np.arange(HORIZON_DAYS) + skipped[:, np.newaxis]
    beyond = np.maximum(lag - HORIZON_DAYS + 1, 0)
    lag = lag - -(-beyond // _WEEK) * _WEEK
    return np.take_along_axis(hazards, lag, axis=1)
