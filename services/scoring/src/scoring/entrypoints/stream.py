"""What both shells share: the step on its own thread, guards, positions, metrics, and what Faust tells us.

The shells (`adapters.take_shell`, `adapters.batch_shell`) call it through `adapters.shell.Handler`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NoReturn, Protocol

from duly_runtime.clock import Clock
from duly_runtime.exit_codes import EXIT_UNTRUSTED
from duly_runtime.log import Record
from duly_runtime.logging import get_logger
from duly_runtime.metrics import (
    DLQ_RECORDS,
    SHADOW_FAILURES,
    STATE_BLOB_BYTES,
    STATE_DEBTORS,
    STREAM_BATCH,
    STREAM_EVENTS,
    Metrics,
)

from scoring.adapters.faust_app import AckedTable, ScoringApp
from scoring.adapters.guards import ZombieGuard, end_process
from scoring.adapters.shell import Batch, Shell
from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome
from scoring.entrypoints.positions import Positions

_log = get_logger(__name__)
_CHECKPOINT_SECONDS = 1.0


class Step(Protocol):
    """The work itself. Runs on the step thread only; never two calls at once."""

    def portions(self, records: Sequence[Record]) -> Iterator[BatchOutcome]:
        """Outcomes of records, in offset order within each partition; the states of one are readable before the next.

        Raises what makes the process untrustworthy.
        """

    def recovered(self, states: StateStore) -> int:
        """The store has been recovered: forget what was known of it. The number of debtors in it."""


class Stream:
    """`adapters.shell.Handler`, and the callbacks of the app."""

    def __init__(
        self,
        app: ScoringApp,
        table: AckedTable,
        shell: Shell,
        step: Step,
        positions: Positions,
        guard: ZombieGuard,
        executor: Executor,
        clock: Clock,
        metrics: Metrics,
        end: Callable[..., NoReturn] = end_process,
    ) -> None:
        self._app = app
        self._table = table
        self._shell = shell
        self._step = step
        self._positions = positions
        self._guard = guard
        self._executor = executor
        self._clock = clock
        self._metrics = metrics
        self._end = end

    def attach(self) -> None:
        """Register shell and callbacks with the app."""
        self._app.on_seek = self._positions.assigned
        self._table.on_recover(self._on_recovered)
        self._app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self._app.while_running = self._keep_checkpoints
        self._shell.attach(self)

    def begin(self, records: Sequence[Record]) -> Batch:
        self._positions.begin(len(records))
        return Batch(records, self._clock.monotonic(), self._step.portions(records))

    async def next_outcome(self, batch: Batch) -> BatchOutcome | None:
        # A thread of its own: the event loop keeps its heartbeats however long a tick takes.
        outcome: BatchOutcome | None = await self._on_step_thread(lambda: next(batch.portions, None))
        if outcome is not None:
            batch.tally.add(outcome)
        return outcome

    def checkpoint(self) -> None:
        self._guard.checkpoint()

    def done(self, batch: Batch, ends: Mapping[int, int]) -> None:
        records, tally, topic = len(batch.records), batch.tally, self._app.source_topic
        self._positions.done(ends, records, tally.facts, tally.scores)
        self._metrics.observe(STREAM_BATCH, self._clock.monotonic() - batch.began, topic=topic)
        unusable = len({record.position for record in tally.poison})  # a tick may be unusable for many debtors
        self._metrics.count(STREAM_EVENTS, records - unusable, topic=topic, outcome="handled")
        if tally.blob_bytes_max:
            self._metrics.observe(STATE_BLOB_BYTES, tally.blob_bytes_max)
        if tally.shadow_faults:
            self._metrics.count(SHADOW_FAILURES, tally.shadow_faults)
            _log.warning("scoring.shadow_failed", scores=tally.shadow_faults, first=tally.first_shadow_fault)
        for record in tally.poison:
            at = record.position
            self._metrics.count(DLQ_RECORDS, topic=topic, reason=record.reason)
            _log.warning("scoring.record_unusable", partition=at.partition, offset=at.offset, reason=record.reason)

    def failed(self, event: str) -> NoReturn:
        self._end(EXIT_UNTRUSTED, event)

    async def _on_step_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _on_recovered(self) -> None:
        """Faust swallows what this raises, so it must not."""
        try:
            debtors = await self._on_step_thread(lambda: self._step.recovered(self._shell.states))
            self._metrics.set(STATE_DEBTORS, debtors)
            _log.info("scoring.state_recovered", debtors=debtors)
        except BaseException:
            self._end(EXIT_UNTRUSTED, "scoring.recovery_failed")

    async def _on_revoked(self, app: Any, revoked: Any, **_: Any) -> None:
        self._positions.revoked()

    async def _keep_checkpoints(self) -> None:
        while True:
            self._guard.checkpoint()
            await asyncio.sleep(_CHECKPOINT_SECONDS)
