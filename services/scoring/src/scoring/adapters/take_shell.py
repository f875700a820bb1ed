"""The stock shell: one Faust agent with `take_events`, sends and table writes one by one, all on Faust's public API.

Faust acknowledges a batch whatever happened to it, so nothing may leave the loop body but success: any other end of it,
a cancellation too, ends the process, and the batch comes again.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import faust.streams
from duly_runtime.log import Record

from scoring.adapters.faust_app import AckedTable, ScoringApp, raw_topic
from scoring.adapters.faust_producer import acknowledged
from scoring.adapters.shell import Handler
from scoring.application.outputs import Output
from scoring.application.ports import StateStore


class TakeShell:
    """See `adapters.shell.Shell`. batch_records: most in one batch; batch_wait_seconds: pure latency."""

    def __init__(self, app: ScoringApp, table: AckedTable, batch_records: int, batch_wait_seconds: float) -> None:
        self._app = app
        self._table = table
        self._batch_records = batch_records
        self._batch_wait_seconds = batch_wait_seconds
        self._states = TableStates(table)
        self._topics: dict[str, Any] = {}
        self._handler: Handler

    @property
    def states(self) -> StateStore:
        return self._states

    def attach(self, handler: Handler) -> None:
        self._handler = handler
        self._app.agent(raw_topic(self._app, self._app.source_topic), name="score", concurrency=1)(self._run)

    async def _run(self, stream: Any) -> None:
        try:
            async for events in stream.take_events(self._batch_records, within=self._batch_wait_seconds):
                try:
                    await self._batch(events)
                except BaseException:  # the process loop: `take_events` would acknowledge what follows
                    self._handler.failed("scoring.batch_failed")
        except asyncio.CancelledError:
            raise  # between batches: the worker stops, or its partitions move
        except BaseException:
            self._handler.failed("scoring.stream_failed")

    async def _batch(self, events: Sequence[Any]) -> None:
        batch = self._handler.begin([record_of(event.message) for event in events])
        self._handler.checkpoint()
        self._states.open_batch(events)
        while (outcome := await self._handler.next_outcome(batch)) is not None:
            self._handler.checkpoint()
            await self._send(outcome.outputs)
            self._handler.checkpoint()
            for (partition, key), blob in outcome.blobs.items():
                self._states.put(partition, key, blob)
            await self._acked(self._table.take_unacked())
        self._handler.done(batch, {record.partition: record.offset + 1 for record in batch.records})

    async def _send(self, outputs: Sequence[Output]) -> None:
        futures = [
            await self._topic(output.topic).send(key=output.key, value=output.value, headers=list(output.headers))
            for output in outputs
        ]
        await self._acked(futures)

    async def _acked(self, sent: Sequence[Any]) -> None:
        await acknowledged(sent, self._app.conf.producer_request_timeout)

    def _topic(self, name: str) -> Any:
        if name not in self._topics:
            self._topics[name] = raw_topic(self._app, name)
        return self._topics[name]


class TableStates:
    """`StateStore` over the table, for one batch at a time.

    Faust takes the partition of a write from the current event, so one event per partition is kept and made
    current; only the context variable, as `stream._set_current_event` would disturb the reader in the background.
    """

    def __init__(self, table: AckedTable) -> None:
        self._table = table
        self._events: dict[int, Any] = {}

    def open_batch(self, events: Sequence[Any]) -> None:
        """Hold one event of each partition until the next batch."""
        self._events = {event.message.partition: event for event in events}

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._table.blobs.get(partition, key)

    def put(self, partition: int, key: bytes, blob: bytes) -> None:
        self._make_current(partition)
        self._table[key] = blob
        self._table.blobs.note(partition, key)

    def places(self) -> Iterable[tuple[int, bytes]]:
        return self._table.blobs.places()

    def _make_current(self, partition: int) -> None:
        faust.streams._current_event.set(weakref.ref(self._events[partition]))


def record_of(message: Any) -> Record:
    """A record of Faust or aiokafka as the step reads it. Headers come as pairs, Faust may hand on none; one
    without a value is an empty one."""
    headers = tuple((name, value or b"") for name, value in message.headers or ())
    return Record(message.topic, message.partition, message.offset, message.key or b"", message.value or b"", headers)
