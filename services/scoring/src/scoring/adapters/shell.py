"""What a shell does: carries records to the step, and what follows from them back into Kafka.

Two shells, one interface: `take_shell` stands on Faust's public API, `batch_shell` on its consumer. Both keep the same
order: outputs acknowledged, then states written, states acknowledged, then the offset. Why two: docs/adr/0014.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn, Protocol

from duly_runtime.log import Record

from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome


class Handler(Protocol):
    """What a shell calls."""

    def portions(self, records: Sequence[Record]) -> Iterator[BatchOutcome]:
        """The step, not yet begun: outcomes to be written in turn, each before the next is asked for."""

    async def next(self, portions: Iterator[BatchOutcome]) -> BatchOutcome | None:
        """The next outcome, made on the step thread; None at the end."""

    def checkpoint(self) -> None:
        """To be called before anything leaves the process. Does not return in a zombie."""

    def begin(self, records: int) -> float:
        """Records are in work; the monotonic second to give back to `done`."""

    def done(self, ends: Mapping[int, int], outcomes: Sequence[BatchOutcome], records: int, began: float) -> None:
        """Everything that follows from these records is acknowledged. ends: next offset by partition."""

    def failed(self, event: str) -> NoReturn:
        """End the process before anything is committed."""


class Shell(Protocol):
    """states: what the step reads, changes that are still on their way included."""

    @property
    def states(self) -> StateStore: ...

    def attach(self, handler: Handler) -> None:
        """Register with the app, before it starts."""
