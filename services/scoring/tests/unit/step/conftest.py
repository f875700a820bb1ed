"""A scorer on a store in memory, fed batch by batch."""

from __future__ import annotations

from typing import Any

import pytest
from duly_risk.fallback import RulesModel
from duly_runtime.log import Record
from scoring.adapters.memory import MemoryStates, OneModel
from scoring.application.outputs import Output
from scoring.application.score_batch import Scorer


class Bench:
    """A scorer with its store, fed batch by batch as the stream does."""

    def __init__(self, models: Any = None, partitions: int = 12) -> None:
        self.store = MemoryStates()
        self.scorer = Scorer(self.store, partitions)
        self.models = models or OneModel(RulesModel())
        self.outputs: list[Output] = []

    def feed(self, records: list[Record]) -> list[Output]:
        outcome = self.scorer.score(records, self.models)
        for (partition, key), blob in outcome.blobs.items():
            self.store.put(partition, key, blob)
        self.outputs += outcome.outputs
        return outcome.outputs

    def restarted(self) -> Bench:
        """Another process on the same store."""
        other = Bench(self.models)
        other.store = self.store
        other.scorer = Scorer(self.store, 12)
        other.scorer.rebuild(self.store.places())
        return other

    def blobs(self) -> dict[bytes, bytes]:
        return {key: blob for (_, key), blob in self.store.blobs.items()}


@pytest.fixture
def new_bench() -> type[Bench]:
    """`Bench(models, partitions)`: the rules unless told otherwise."""
    return Bench
