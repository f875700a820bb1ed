"""A broker in memory and the disk behind it, for a process that may die, fail or wait at every await.

When it dies, of what was on its way a part has arrived, in order per partition.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import faust.streams
from duly_runtime.log import Record
from scoring.adapters.faust_app import applied_offset
from scoring.adapters.table_store import MemoryBlobs, recover

from duly_chaos.broker import CHANGELOG


class Died(BaseException):
    """The process is gone: nothing of it has an effect any more."""


@dataclass(slots=True)
class Disk:
    """What outlives the process. records: by topic and partition, in the order the broker took them.

    local: the store of a worker that keeps one, which may be ahead of the changelog; None = it begins empty.
    """

    local: SimpleNamespace | None = None
    records: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[int, int] = field(default_factory=dict)

    def topic(self, name: str) -> list[Record]:
        return [record for (topic, _), found in sorted(self.records.items()) if topic == name for record in found]

    def append(self, topic: str, partition: int, rows: Sequence[tuple[bytes, bytes, Any]]) -> int:
        """The offset of the first."""
        found = self.records[topic, partition]
        first = len(found)
        found += [
            Record(topic, partition, first + at, key, value, tuple(headers))
            for at, (key, value, headers) in enumerate(rows)
        ]
        return first


@dataclass(slots=True)
class Fate:
    """When a life ends. dies_at: the await at which it does, 0 = never; fails_at: the send that the broker refuses."""

    rng: random.Random
    dies_at: int = 0
    fails_at: int = 0
    awaits: int = 0
    sends: int = 0
    dead: bool = False

    async def moment(self) -> None:
        """One await: others may run meanwhile, or the process is gone."""
        self.awaits += 1
        if self.awaits == self.dies_at:
            self.die()
        if self.dead:
            raise Died
        for _ in range(self.rng.choice((0, 1, 1, 3))):
            await asyncio.sleep(0)

    def die(self) -> NoReturn:
        self.dead = True
        raise Died


class SimProducer:
    """aiokafka's producer as far as the shells use it: in order per partition, acknowledged some time later."""

    def __init__(self, disk: Disk, fate: Fate, partitions: int) -> None:
        self._disk = disk
        self._fate = fate
        self._partitions = partitions
        self._flying: dict[tuple[str, int], deque[tuple[list[Any], asyncio.Future[Any]]]] = defaultdict(deque)
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._refused: set[tuple[str, int]] = set()  # partitions without a leader

    def _ensure_producer(self) -> SimProducer:
        return self

    def _new_producer(self) -> SimProducer:
        return self

    async def start(self) -> None:
        await self._fate.moment()

    async def stop(self) -> None:
        await self._fate.moment()

    async def partitions_for(self, topic: str) -> set[int]:
        await self._fate.moment()
        return set(range(self._partitions))

    def create_batch(self) -> SimBatch:
        return SimBatch(self._fate.rng.choice((1, 3, 1000)))

    async def send_batch(self, batch: SimBatch, topic: str, partition: int) -> asyncio.Future[Any]:
        return await self.send_rows(batch.rows, topic, partition)

    async def send_rows(self, rows: list[Any], topic: str, partition: int) -> asyncio.Future[Any]:
        await self._fate.moment()
        acked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._fate.sends += 1
        place = (topic, partition)
        if self._fate.sends == self._fate.fails_at:
            self._refused.add(place)
        if place in self._refused:
            acked.set_exception(OSError("the broker refused it"))
            return acked
        self._flying[place].append((rows, acked))
        if place not in self._tasks or self._tasks[place].done():
            self._tasks[place] = asyncio.create_task(self._carry(place))
        return acked

    async def _carry(self, place: tuple[str, int]) -> None:
        while self._flying[place]:
            await self._fate.moment()
            rows, acked = self._flying[place].popleft()
            first = self._disk.append(*place, rows)
            await self._fate.moment()
            acked.set_result(SimpleNamespace(partition=place[1], offset=first))

    def wreck(self) -> None:
        """The process is gone; of each partition's queue the first few may have arrived."""
        for place, queue in self._flying.items():
            for rows, _ in list(queue)[: self._fate.rng.randrange(len(queue) + 1)]:
                self._disk.append(*place, rows)


class SimBatch:
    """Full after `size` records, however large they are."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.rows: list[tuple[bytes, bytes, Any]] = []

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: Any) -> object | None:
        if len(self.rows) == self._size:
            return None
        self.rows.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.rows)

    def close(self) -> None: ...


class SimTable:
    """The Faust table as far as the shells use it."""

    changelog_topic_name = CHANGELOG

    def __init__(self, producer: SimProducer, disk: Disk) -> None:
        self._producer = producer
        self._unacked: list[Any] = []
        self.blobs = MemoryBlobs(disk.local or empty_store())
        for (topic, partition), records in disk.records.items():
            if topic == CHANGELOG:
                recover(self.blobs, applied_offset, partition, records)

    def __setitem__(self, key: bytes, blob: bytes) -> None:
        partition = faust.streams._current_event.get()().message.partition
        self.blobs.put(partition, {key: blob})
        self._unacked.append(asyncio.ensure_future(self._written(key, blob, partition)))

    def take_unacked(self) -> list[Any]:
        unacked, self._unacked = self._unacked, []
        return unacked

    def on_recover(self, callback: Any) -> None: ...

    async def _written(self, key: bytes, blob: bytes, partition: int) -> None:
        await (await self._producer.send_rows([(key, blob, [])], CHANGELOG, partition))


def empty_store() -> SimpleNamespace:
    """Of a worker that keeps one."""
    return SimpleNamespace(data={}, _key_partition={})
