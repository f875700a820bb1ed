"""The step of the real worker: the scorer with the model that serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from duly_risk.model import HazardModel
from duly_runtime.log import Record

from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome, Scorer


class ModelSource(Protocol):
    """Where the serving model comes from. The first call may take seconds and runs on the step thread."""

    def current(self) -> HazardModel: ...


class ScoringStep:
    """`entrypoints.stream.Step`."""

    def __init__(self, scorer: Scorer, models: ModelSource) -> None:
        self._scorer = scorer
        self._models = models

    def portions(self, records: Sequence[Record]) -> Iterator[BatchOutcome]:
        yield from self._scorer.portions(records, self._models.current())

    def recovered(self, states: StateStore) -> int:
        debtors = self._scorer.rebuild(states.places())
        self._models.current()
        return debtors
