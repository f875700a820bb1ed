"""Questions to survival curves, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from duly_risk.asking import hazards_of
from duly_risk.curves import Floats, survival
from duly_risk.measures import stacked
from duly_risk.model import HazardModel

from duly_training.backtest.questions import Question

BATCH = 2_048


def in_batches(questions: Iterable[Question], size: int = BATCH) -> Iterator[list[Question]]:
    """The same questions, `size` at a time."""
    rest = iter(questions)
    while batch := list(islice(rest, size)):
        yield batch


def survival_of(questions: Sequence[Question], model: HazardModel) -> Floats:
    """S(t0 + j), j = 0..182, of n >= 1 questions: (n, 183)."""
    return survival(hazards_of(model, stacked([question.measures[np.newaxis] for question in questions])))
