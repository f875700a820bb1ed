"""The step of the real worker: the scorer with the models that serve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from duly_runtime.log import Record

from scoring.application.ports import Models, StateStore
from scoring.application.score_batch import BatchOutcome, Scorer


class ModelSource(Protocol):
    """Where the models come from."""

    def current(self) -> Models:
        """The choice of models for one batch, asked for once per batch: a swap happens between two."""
        ...


class ScoringStep:
    """`entrypoints.stream.Step`."""

    def __init__(self, scorer: Scorer, models: ModelSource) -> None:
        self._scorer = scorer
        self._models = models

    def portions(self, records: Sequence[Record]) -> Iterator[BatchOutcome]:
        ended = yield from self._scorer.portions(records, self._models.current())
        if ended is not True:
            raise RuntimeError("the step ended early: records of this batch may not have been applied")

    def recovered(self, states: StateStore) -> int:
        return self._scorer.rebuild(states.places())
