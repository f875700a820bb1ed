"""The event log in memory: the same promises as Kafka's, without a server. `log_contract` holds both to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition

from duly_contracts.keys import partition_of
from duly_contracts.topics import topics
from duly_runtime.log import Headers, Record, SendFailed, StartOffset, TopicPartition


@dataclass(slots=True)
class _Store:
    partitions: dict[str, int]
    written: list[Record] = field(default_factory=list)
    records: dict[TopicPartition, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, TopicPartition], int] = field(default_factory=dict)
    changed: Condition = field(default_factory=Condition)


class MemoryLog:
    """`duly_runtime.log.EventLog` in memory. `partitions`: topic -> count; default is the topic registry."""

    def __init__(self, partitions: Mapping[str, int] | None = None) -> None:
        counts = {name: topic.partitions for name, topic in topics().items()} if partitions is None else partitions
        self._store = _Store(dict(counts))

    def producer(self, client_id: str) -> MemoryProducer:
        return MemoryProducer(self, self._store)

    def consumer(self, group: str, topics: Sequence[str], start: StartOffset) -> MemoryConsumer:
        return MemoryConsumer(self._store, group, [tp for t in topics for tp in self._partitions_of(t)], start)

    def end_offsets(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        return {tp: len(self._store.records[tp]) for t in topics for tp in self._partitions_of(t)}

    def partitions(self, topic: str) -> int:
        if topic not in self._store.partitions:
            raise SendFailed(f"topic {topic} does not exist: create the topics of the registry first")
        return self._store.partitions[topic]

    def records(self, topic: str) -> list[Record]:
        """Everything in a topic, partition by partition."""
        return [record for tp in self._partitions_of(topic) for record in self._store.records[tp]]

    def in_order(self, topic: str) -> list[Record]:
        """Everything in a topic in the order it was written, which only a log in memory knows."""
        return [record for record in self._store.written if record.topic == topic]

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self.partitions(topic))]


@dataclass(frozen=True, slots=True)
class _Sent:
    partition: int
    offset: int

    def result(self, timeout_seconds: float) -> tuple[int, int]:
        return self.partition, self.offset


class MemoryProducer:
    """Appends at once."""

    def __init__(self, log: MemoryLog, store: _Store) -> None:
        self._log = log
        self._store = store

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers, partition: int | None = None) -> _Sent:
        count = self._log.partitions(topic)
        target = TopicPartition(topic, partition_of(key, count) if partition is None else partition)
        with self._store.changed:
            records = self._store.records[target]
            record = Record(topic, target.partition, len(records), key, value, tuple(headers))
            records.append(record)
            self._store.written.append(record)
            self._store.changed.notify_all()
            return _Sent(target.partition, len(records) - 1)

    def close(self) -> None:
        """Nothing to let go."""


class MemoryConsumer:
    """Reads all partitions of its topics; one consumer per group."""

    def __init__(self, store: _Store, group: str, partitions: Sequence[TopicPartition], start: StartOffset) -> None:
        self._store = store
        self._group = group
        self._partitions = partitions
        self._start = start
        self._next: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def poll(self, wait_seconds: float, max_records: int = 200) -> Mapping[TopicPartition, list[Record]]:
        with self._store.changed:
            found = self._take(max_records)
            if not found and wait_seconds > 0:
                self._store.changed.wait(wait_seconds)
                found = self._take(max_records)
            return found

    def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        for tp, offset in next_offsets.items():
            self._store.committed[self._group, tp] = offset

    def pause_from(self, partition: TopicPartition, offset: int) -> None:
        self._paused.add(partition)
        self._next[partition] = offset

    def resume(self, partition: TopicPartition) -> None:
        self._paused.discard(partition)

    def close(self) -> None:
        self._partitions = ()

    def _take(self, max_records: int) -> dict[TopicPartition, list[Record]]:
        batches: dict[TopicPartition, list[Record]] = {}
        room = max_records
        for tp in self._partitions:
            if tp in self._paused or room == 0:
                continue
            first = self._position(tp)
            records = self._store.records[tp][first : first + room]
            if records:
                batches[tp] = records
                self._next[tp] = records[-1].offset + 1
                room -= len(records)
        return batches

    def _position(self, tp: TopicPartition) -> int:
        if tp not in self._next:
            self._next[tp] = self._start(tp) or 0
        return self._next[tp]
