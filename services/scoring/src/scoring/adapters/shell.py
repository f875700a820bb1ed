"""What a shell does: carries records to the step, and what follows from them back into Kafka.

Two shells, one interface: `take_shell` stands on Faust's public API, `batch_shell` on its consumer. Both keep the same
order: outputs acknowledged, then states written, states acknowledged, then the offset. Why two: docs/adr/0014.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from duly_runtime.log import Record

from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in work. began: monotonic second. portions: what follows, to be made on the step thread."""

    records: Sequence[Record]
    began: float
    portions: Iterator[BatchOutcome]


class Handler(Protocol):
    """What a shell calls."""

    def begin(self, records: Sequence[Record]) -> Batch:
        """Records are in work; the step is not yet begun."""

    async def next_outcome(self, batch: Batch) -> BatchOutcome | None:
        """The next outcome, to be written before another is asked for; None at the end."""

    def checkpoint(self) -> None:
        """To be called before anything leaves the process. Does not return in a zombie."""

    def done(self, batch: Batch, ends: Mapping[int, int], outcomes: Sequence[BatchOutcome]) -> None:
        """Everything that follows from the batch is acknowledged. ends: next offset by partition."""

    def failed(self, event: str) -> NoReturn:
        """End the process before anything is committed."""


class Shell(Protocol):
    """states: what the step reads, changes that are still on their way included."""

    @property
    def states(self) -> StateStore: ...

    def attach(self, handler: Handler) -> None:
        """Register with the app, before it starts."""
