"""The batch shell: Faust's group, fetch thread, commits and recovery, but whole batches through step, topic and table.

It stands on private names of faust-streaming 0.15.3 and on aiokafka's `send_batch`. `BatchConsumer` fetches, also while
the step works; `chunks_of` cuts what came, `Waiting` joins what is small, `batch_line` carries each chunk through.
Fetched records that have not begun when partitions move are dropped: the seek that follows brings them back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, cast

from duly_runtime.log import Record
from faust.types import TP

from scoring.adapters.batch_line import BatchLine, PendingStates
from scoring.adapters.faust_app import AckedTable, ScoringApp, raw_topic
from scoring.adapters.faust_consumer import SourceConsumer
from scoring.adapters.shell import Handler
from scoring.adapters.take_shell import record_of
from scoring.application.ports import StateStore

_IDLE_SECONDS = 0.05
_FETCH_SECONDS = 1.0


class BatchShell:
    """See `adapters.shell.Shell`. chunk_records: most in one step; in_flight: steps done whose state is not acked."""

    def __init__(self, app: ScoringApp, table: AckedTable, chunk_records: int, in_flight: int) -> None:
        app.consumer_type = BatchConsumer
        self._app = app
        self._table = table
        self._chunk_records = chunk_records
        self._in_flight = in_flight
        self._states = PendingStates(table)

    @property
    def states(self) -> StateStore:
        return self._states

    def attach(self, handler: Handler) -> None:
        self._app.batch_line = BatchLine(self._app, self._table, self._states, handler, self._in_flight)
        self._app.chunk_records = self._chunk_records


class BatchConsumer(SourceConsumer):
    """Hands chunks to the line instead of messages to streams."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._finished: dict[Any, int] = {}

    async def on_start(self) -> None:
        await super().on_start()
        self.app.topics.add(raw_topic(self.app, self.app.source_topic))  # to be subscribed; no agent does it here

    async def _drain(self, fetcher: Any) -> None:
        line: BatchLine = self.app.batch_line
        await self._guarded(line.start, self.finished)
        waiting = Waiting(self.app.chunk_records)
        stepping = asyncio.create_task(self._guarded(self._step, waiting, line))
        try:
            await self._guarded(self._fetch, waiting, fetcher)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        finally:
            stepping.cancel()

    async def _guarded(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        try:
            await work(*arguments)
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            raise  # the worker stops, or Faust restarts its fetcher; what has begun goes on in tasks of the line
        except BaseException:  # the process loop: Faust would start the fetcher again, behind what was dropped
            self.app.batch_line.failed("scoring.stream_failed")

    async def _fetch(self, waiting: Waiting, fetcher: Any) -> None:
        while not (self.should_stop or fetcher.should_stop):
            await self._fetch_once(waiting)

    async def _fetch_once(self, waiting: Waiting) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        if not active:
            await self.sleep(_IDLE_SECONDS)
            return
        fetched = await self._getmany(active, _FETCH_SECONDS)
        epoch = self.epoch
        for chunk in chunks_of(self._unread(fetched), self.app.chunk_records):
            await waiting.room()
            waiting.put(epoch, chunk)

    async def _step(self, waiting: Waiting, line: BatchLine) -> None:
        while True:
            await line.room()
            epoch, chunk = await waiting.take()
            if epoch != self.epoch or self.should_stop:
                continue
            ends = {record.partition: record.offset + 1 for record in chunk}
            self._read_offset.update({self._source(partition): at for partition, at in ends.items()})
            await line.take(chunk, ends)

    def _unread(self, fetched: Mapping[Any, Sequence[Any]]) -> dict[int, list[Record]]:
        """Records by partition, from the next offset on."""
        unread = {}
        for tp, records in fetched.items():
            begin = self._read_offset[tp] or 0
            unread[tp.partition] = [_as_read(record) for record in records if record.offset >= begin]
        return unread

    def finished(self, next_offsets: Mapping[int, int]) -> None:
        """Offsets that may be committed. Chunks finish in order, so the newest says all."""
        for partition, at in next_offsets.items():
            tp = self._source(partition)
            self._finished[tp] = at
            self._acked[tp] = [at - 1]

    def _new_offset(self, tp: Any) -> int | None:
        acked = self._acked[tp]
        return acked.pop() + 1 if acked else None

    async def wait_empty(self) -> None:
        """Before partitions go and at a stop: what has begun is finished and committed, the rest is dropped."""
        await self.app.batch_line.empty()
        for tp, at in self._finished.items():  # Faust has forgotten what was not committed yet
            self._acked[tp] = [at - 1]
        await self.commit_and_end_transactions()

    async def perform_seek(self) -> None:
        self._finished.clear()
        await super().perform_seek()

    async def on_stop(self) -> None:
        await super().on_stop()
        await self.app.batch_line.close()

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust looks at streams, of which there are none; `guards.Watchdog` asks the broker."""

    def _source(self, partition: int) -> TP:
        return TP(self.app.source_topic, partition)


class Waiting:
    """Chunks that were fetched and have not begun, of about twice `size` records at most. Small ones are joined."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._chunks: deque[tuple[int, list[Record]]] = deque()
        self._records = 0
        self._changed = asyncio.Event()

    async def room(self) -> None:
        """Until a chunk may be put."""
        while self._records >= self._size:
            await self._change()

    def put(self, epoch: int, chunk: list[Record]) -> None:
        self._chunks.append((epoch, chunk))
        self._records += len(chunk)
        self._changed.set()

    async def take(self) -> tuple[int, list[Record]]:
        """All that is there of one epoch, up to `size` records; waits until there is some."""
        while not self._chunks:
            await self._change()
        epoch, joined = self._chunks.popleft()
        while self._chunks and self._chunks[0][0] == epoch and len(joined) + len(self._chunks[0][1]) <= self._size:
            joined = joined + self._chunks.popleft()[1]
        self._records -= len(joined)
        self._changed.set()
        return epoch, joined

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def chunks_of(fetched: Mapping[int, Sequence[Record]], size: int) -> Iterator[list[Record]]:
    """Chunks of at most `size` records: partitions in turn, each in offset order, small runs together.

    fetched: records by partition, in offset order.
    """
    runs = [[found[at : at + size] for at in range(0, len(found), size)] for found in fetched.values()]
    chunk: list[Record] = []
    for run in (run for turn in zip_longest(*runs) for run in turn if run):
        if chunk and len(chunk) + len(run) > size:
            yield chunk
            chunk = []
        chunk += run
    if chunk:
        yield chunk


def _as_read(record: Any) -> Record:
    # aiokafka's record has all that the step reads; to copy each would cost a microsecond.
    whole = record.key is not None and record.value is not None
    return cast("Record", record) if whole else record_of(record)
