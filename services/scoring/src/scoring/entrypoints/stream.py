"""The Faust stream: take a batch, score it, await outputs, write blobs, await them; only then the offsets may go.

Faust acknowledges a batch whatever happened to it, so nothing may leave the loop body but success: any other end of it,
a cancellation too, ends the process, and the batch comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from duly_runtime.clock import Clock
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

from scoring.adapters.faust_app import AckedTable, ScoringApp, TableStates, raw_topic
from scoring.adapters.guards import EXIT_UNTRUSTED, ZombieGuard, end_process
from scoring.application.outputs import Output
from scoring.application.ports import Models
from scoring.application.score_batch import BatchOutcome, Scorer
from scoring.entrypoints.positions import Positions

_log = get_logger(__name__)
_CHECKPOINT_SECONDS = 1.0


class ModelSource(Protocol):
    """Where the serving models come from."""

    def current(self) -> Models:
        """The choice of models for one batch, asked for once per batch: a swap happens between two."""
        ...


class Stream:
    """The one agent, and the callbacks around it."""

    def __init__(
        self,
        app: ScoringApp,
        table: AckedTable,
        source: str,
        scorer: Scorer,
        states: TableStates,
        models: ModelSource,
        positions: Positions,
        guard: ZombieGuard,
        executor: Executor,
        clock: Clock,
        metrics: Metrics,
        batch_records: int,
        batch_wait_seconds: float,
    ) -> None:
        self._app = app
        self._table = table
        self._source = source
        self._scorer = scorer
        self._states = states
        self._models = models
        self._positions = positions
        self._guard = guard
        self._executor = executor
        self._clock = clock
        self._metrics = metrics
        self._batch_records = batch_records
        self._batch_wait_seconds = batch_wait_seconds
        self._topics: dict[str, Any] = {}

    def attach(self) -> None:
        """Register agent and callbacks with the app."""
        self._app.on_seek = self._positions.assigned
        self._table.on_recover(self._on_recovered)
        self._app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self._app.task(self._keep_checkpoints)
        self._app.agent(raw_topic(self._app, self._source), name="score", concurrency=1)(self._run)

    async def _run(self, stream: Any) -> None:
        try:
            async for events in stream.take_events(self._batch_records, within=self._batch_wait_seconds):
                try:
                    await self._batch(events)
                except BaseException:  # the process loop: `take_events` would acknowledge what follows
                    end_process(EXIT_UNTRUSTED, "scoring.batch_failed")
        except asyncio.CancelledError:
            raise  # between batches: the worker stops, or its partitions move
        except BaseException:
            end_process(EXIT_UNTRUSTED, "scoring.stream_failed")

    async def _batch(self, events: Sequence[Any]) -> None:
        started = self._clock.monotonic()
        self._guard.checkpoint()
        self._positions.begin(len(events))
        self._states.open_batch(events)
        records = [_record(event.message) for event in events]
        outcome = await self._on_step_thread(records)
        self._guard.checkpoint()
        await self._send(outcome.outputs)
        self._guard.checkpoint()
        for (partition, key), blob in outcome.blobs.items():
            self._states.put(partition, key, blob)
        await asyncio.gather(*self._table.take_unacked())
        next_offsets = {record.partition: record.offset + 1 for record in records}
        self._positions.done(next_offsets, outcome.facts, outcome.scores)
        self._observe(outcome, len(records), self._clock.monotonic() - started)

    async def _on_step_thread(self, records: Sequence[Record]) -> BatchOutcome:
        # A thread of its own: the event loop keeps its heartbeats however long a tick takes.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: self._scorer.score(records, self._models.current()))

    async def _send(self, outputs: Sequence[Output]) -> None:
        futures = [
            await self._topic(output.topic).send(key=output.key, value=output.value, headers=list(output.headers))
            for output in outputs
        ]
        await asyncio.gather(*futures)

    def _topic(self, name: str) -> Any:
        if name not in self._topics:
            self._topics[name] = raw_topic(self._app, name)
        return self._topics[name]

    async def _on_recovered(self) -> None:
        """Faust swallows what this raises, so it must not."""
        try:
            loop = asyncio.get_running_loop()
            debtors = await loop.run_in_executor(self._executor, lambda: self._scorer.rebuild(self._states.scan()))
            self._metrics.set(STATE_DEBTORS, debtors)
            _log.info("scoring.state_recovered", debtors=debtors, open_debtors=len(self._scorer.open_debtors))
        except BaseException:
            end_process(EXIT_UNTRUSTED, "scoring.recovery_failed")

    async def _on_revoked(self, app: Any, revoked: Any, **_: Any) -> None:
        self._positions.revoked()

    async def _keep_checkpoints(self) -> None:
        while True:
            self._guard.checkpoint()
            await asyncio.sleep(_CHECKPOINT_SECONDS)

    def _observe(self, outcome: BatchOutcome, records: int, seconds: float) -> None:
        metrics = self._metrics
        metrics.observe(STREAM_BATCH, seconds, topic=self._source)
        metrics.count(STREAM_EVENTS, records - len(outcome.poison), topic=self._source, outcome="handled")
        for blob in outcome.blobs.values():
            metrics.observe(STATE_BLOB_BYTES, len(blob))
        if outcome.shadow_faults:
            metrics.count(SHADOW_FAILURES, len(outcome.shadow_faults))
            _log.warning("scoring.shadow_failed", scores=len(outcome.shadow_faults), first=outcome.shadow_faults[0])
        for poison in outcome.poison:
            metrics.count(DLQ_RECORDS, topic=self._source, reason=poison.reason)
            at = poison.position
            _log.warning("scoring.record_unusable", partition=at.partition, offset=at.offset, reason=poison.reason)


def _record(message: Any) -> Record:
    # aiokafka gives headers as a sequence of pairs, Faust may hand on none.
    headers = tuple((name, value) for name, value in message.headers or ())
    return Record(message.topic, message.partition, message.offset, message.key or b"", message.value or b"", headers)
