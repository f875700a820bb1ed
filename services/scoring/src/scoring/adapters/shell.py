"""What a shell does: carries records to the step, and what follows from them back into Kafka.

Two shells, one interface: `take_shell` stands on Faust's public API, `batch_shell` on its consumer. Both keep the same
order: outputs acknowledged, then states written, states acknowledged, then the offset. Why two: docs/adr/0014.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from duly_runtime.log import Record

from scoring.application.decode_record import Poison
from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome


@dataclass(slots=True)
class Tally:
    """What is told of a batch at its end, summed up so that each outcome can be let go once it is written: those of a
    large tick do not fit beside each other.

    facts, scores, shadow_faults: how many. blob_bytes_max: of one state; 0 where none was written.
    """

    facts: int = 0
    scores: int = 0
    blob_bytes_max: int = 0
    poison: list[Poison] = field(default_factory=list)
    shadow_faults: int = 0
    first_shadow_fault: str = ""

    def add(self, outcome: BatchOutcome) -> None:
        self.facts += outcome.facts
        self.scores += outcome.scores
        self.blob_bytes_max = max([self.blob_bytes_max, *map(len, outcome.blobs.values())])
        self.poison += outcome.poison
        if outcome.shadow_faults and not self.shadow_faults:
            self.first_shadow_fault = outcome.shadow_faults[0]
        self.shadow_faults += len(outcome.shadow_faults)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in work. began: monotonic second. portions: what follows, to be made on the step thread. tally: of those
    made so far."""

    records: Sequence[Record]
    began: float
    portions: Iterator[BatchOutcome]
    tally: Tally = field(default_factory=Tally)


class Handler(Protocol):
    """What a shell calls."""

    def begin(self, records: Sequence[Record]) -> Batch:
        """Records are in work; the step is not yet begun."""

    async def next_outcome(self, batch: Batch) -> BatchOutcome | None:
        """The next outcome, None at the end. Asked for once the one before is handed over, which is let go when it is
        written: see `Tally`."""

    def checkpoint(self) -> None:
        """To be called before anything leaves the process. Does not return in a zombie."""

    def done(self, batch: Batch, ends: Mapping[int, int]) -> None:
        """Everything that follows from the batch is acknowledged. ends: next offset by partition."""

    def failed(self, event: str) -> NoReturn:
        """End the process before anything is committed."""


class Shell(Protocol):
    """states: what the step reads, changes that are still on their way included."""

    @property
    def states(self) -> StateStore: ...

    def attach(self, handler: Handler) -> None:
        """Register with the app, before it starts."""
