"""Where chunks go through: step, outputs, states, offset; up to `in_flight` portions between the first and the last.

A portion is what one call of the step gives: a chunk has one, a tick over many debtors several. Three stages, each in
the order of the log: the step and the hand-over of its outputs; once the broker has these, the states into the table
and its changelog; once it has those too, the offset. A later step sees the states of all earlier ones: `PendingStates`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from duly_contracts.keys import partition_of
from duly_runtime.log import Record

from scoring.adapters.faust_app import AckedTable, ScoringApp
from scoring.adapters.faust_producer import acknowledged
from scoring.adapters.shell import Batch, Handler
from scoring.application.score_batch import BatchOutcome

Row = tuple[bytes, bytes, list[tuple[str, bytes]]]
Ack = tuple[asyncio.Future[Any], int]  # of a batch, and how many records it holds


@dataclass(frozen=True, slots=True)
class _Portion:
    """blobs: to be written; none once they are. acks: of its outputs, then of its states."""

    blobs: Mapping[tuple[int, bytes], bytes]
    acks: Sequence[Ack]


@dataclass(frozen=True, slots=True)
class _ChunkEnd:
    """All portions of a chunk lie before it."""

    batch: Batch
    ends: Mapping[int, int]


_Item = _Portion | _ChunkEnd


class PendingStates:
    """`StateStore` over the table's store, with the states on top whose outputs are not acknowledged yet.

    The step thread reads while the event loop writes: a state is in the store before it leaves `_pending`.
    """

    def __init__(self, table: AckedTable) -> None:
        self._table = table
        self._pending: dict[tuple[int, bytes], bytes] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:
        blob = self._pending.get((partition, key))
        return self._table.blobs.get(partition, key) if blob is None else blob

    def put(self, partition: int, key: bytes, blob: bytes) -> None:
        """Visible to the next step, not stored yet."""
        self._pending[partition, key] = blob

    def store(self, blobs: Mapping[tuple[int, bytes], bytes]) -> dict[int, dict[bytes, bytes]]:
        """Into the table's store; the blobs by partition."""
        by_partition: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        for (partition, key), blob in blobs.items():
            by_partition[partition][key] = blob
        for partition, written in by_partition.items():
            self._table.blobs.put(partition, written)
        for place, blob in blobs.items():
            if self._pending.get(place) is blob:  # else a later portion has changed it again
                del self._pending[place]
        return by_partition

    def places(self) -> Iterable[tuple[int, bytes]]:
        return self._table.blobs.places()


class BatchLine:
    """One per process. Whatever fails in it ends the process before the offset is let go."""

    def __init__(
        self, app: ScoringApp, table: AckedTable, states: PendingStates, handler: Handler, in_flight: int
    ) -> None:
        self._app = app
        self._table = table
        self._states = states
        self._handler = handler
        self._slots = asyncio.Semaphore(in_flight)
        self._sent: asyncio.Queue[_Item] = asyncio.Queue()
        self._written: asyncio.Queue[_Item] = asyncio.Queue()
        self._stages: list[asyncio.Task[None]] = []
        self._stepping: asyncio.Task[None] | None = None
        self._counts: dict[str, int] = {}
        self._changelog: Any = None  # aiokafka's producer for states
        self._emptying = False
        self._closed = False
        self._finished: Callable[[Mapping[int, int]], None]

    async def start(self, finished: Callable[[Mapping[int, int]], None]) -> None:
        """finished: told {partition: next offset} when all of a chunk is acknowledged. Again after a rebalance."""
        self._finished = finished
        if self._changelog is None:
            # Of their own, as aiokafka has one request under way per broker: outputs do not wait for earlier states.
            producer = self._app.producer._new_producer()
            await producer.start()
            self._changelog = producer
        if not self._stages:
            self._stages = [asyncio.create_task(self._guarded(stage)) for stage in (self._write, self._finish)]

    async def room(self) -> None:
        """Wait until a chunk may begin."""
        async with self._slots:
            pass

    async def take(self, chunk: Sequence[Record], ends: Mapping[int, int]) -> None:
        """Step a chunk and hand its outputs over. A caller that is cancelled does not stop it."""
        self._stepping = asyncio.create_task(self._guarded(lambda: self._step(chunk, ends)))
        await asyncio.shield(self._stepping)

    async def empty(self) -> None:
        """Wait until nothing is in flight. A tick of many portions stops between two of them and comes again."""
        self._emptying = True
        try:
            if self._stepping is not None:
                await asyncio.wait([self._stepping])
            await self._sent.join()
            await self._written.join()
        finally:
            self._emptying = False

    async def close(self) -> None:
        """After `empty`: the worker stops."""
        self._closed = True
        for stage in self._stages:
            stage.cancel()
        await asyncio.gather(*self._stages, return_exceptions=True)
        if self._changelog is not None:
            await self._changelog.stop()

    def failed(self, event: str) -> NoReturn:
        self._handler.failed(event)

    async def _guarded(self, stage: Callable[[], Any]) -> None:
        try:
            await stage()
        except BaseException as error:  # the process loop
            if self._closed and isinstance(error, asyncio.CancelledError):
                return
            self._handler.failed("scoring.batch_failed")

    async def _step(self, chunk: Sequence[Record], ends: Mapping[int, int]) -> None:
        batch = self._handler.begin(chunk)
        portions = 0
        while not (self._emptying and portions > 1):
            outcome = await self._handler.next_outcome(batch)
            if outcome is None:
                self._sent.put_nowait(_ChunkEnd(batch, ends))
                return
            await self._slots.acquire()
            self._handler.checkpoint()
            for (partition, key), blob in outcome.blobs.items():
                self._states.put(partition, key, blob)
            acks = await self._hand_over(self._app.producer._ensure_producer(), await self._by_place(outcome))
            portions += 1
            self._sent.put_nowait(_Portion(outcome.blobs, acks))

    async def _write(self) -> None:
        while True:
            item = await self._sent.get()
            if isinstance(item, _Portion):
                await self._acked(item.acks)
                self._handler.checkpoint()
                item = _Portion({}, await self._write_states(item.blobs))
            self._written.put_nowait(item)
            self._sent.task_done()

    async def _write_states(self, blobs: Mapping[tuple[int, bytes], bytes]) -> Sequence[Ack]:
        changelog = self._table.changelog_topic_name
        rows: dict[tuple[str, int], list[Row]] = {
            (changelog, partition): [(key, blob, []) for key, blob in written.items()]
            for partition, written in self._states.store(blobs).items()
        }
        return await self._hand_over(self._changelog, rows)

    async def _finish(self) -> None:
        while True:
            item = await self._written.get()
            if isinstance(item, _Portion):
                await self._acked(item.acks)
                for ack, records in item.acks:
                    first = ack.result()
                    self._table.blobs.persist_offset(first.partition, first.offset, first.offset + records - 1)
                self._slots.release()
            else:
                self._finished(item.ends)
                self._handler.done(item.batch, item.ends)
            self._written.task_done()

    async def _hand_over(self, producer: Any, rows: Mapping[tuple[str, int], Sequence[Row]]) -> list[Ack]:
        """One batch per topic and partition, more where it would be too large. The order of a partition is kept."""
        handed = await asyncio.gather(*(_batches(producer, *place, found) for place, found in rows.items()))
        return [ack for acks in handed for ack in acks]

    async def _by_place(self, outcome: BatchOutcome) -> dict[tuple[str, int], list[Row]]:
        """Outputs by topic and partition: their debtor's own where the topic has as many, else by the key's hash."""
        home = {key: partition for partition, key in outcome.blobs}
        source = await self._partitions(self._app.source_topic)
        counts = {topic: await self._partitions(topic) for topic in {output.topic for output in outcome.outputs}}
        rows: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for output in outcome.outputs:
            count = counts[output.topic]
            at = home.get(output.key) if count == source else None
            at = partition_of(output.key, count) if at is None else at
            rows[output.topic, at].append((output.key, output.value, list(output.headers)))
        return rows

    async def _partitions(self, topic: str) -> int:
        if topic not in self._counts:
            self._counts[topic] = len(await self._app.producer._ensure_producer().partitions_for(topic))
        return self._counts[topic]

    async def _acked(self, acks: Sequence[Ack]) -> None:
        await acknowledged((ack for ack, _ in acks), self._app.conf.producer_request_timeout)


async def _batches(producer: Any, topic: str, partition: int, rows: Sequence[Row]) -> list[Ack]:
    acks: list[Ack] = []
    batch = producer.create_batch()
    for key, value, headers in rows:
        if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
            acks.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=headers)  # the first one always fits
    batch.close()
    acks.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
    return acks
