"""The event log as services see it: Kafka in production, `duly_testing` in memory, one contract suite for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read. Offsets rise within a partition and may have gaps."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class SendFailed(RuntimeError):
    """The log did not take a record. Nothing that depends on it may be committed."""

    code = "send_failed"


class Pending(Protocol):
    """A record on its way. It is sent when `result` returned, not before."""

    def result(self, timeout_seconds: float) -> tuple[int, int]:
        """(partition, offset) once all in-sync replicas have it. Raises SendFailed."""


class Producer(Protocol):
    """Writes records; records of one key keep their order."""

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers, partition: int | None = None) -> Pending:
        """Hand a record over. partition None: by the key's hash (`duly_contracts.keys.partition_of`)."""

    def close(self) -> None: ...


# Where a consumer starts a partition it was just given: the stored next offset, or None for the beginning.
StartOffset = Callable[[TopicPartition], int | None]


class Consumer(Protocol):
    """Reads the partitions its group gives it, in order within a partition."""

    def poll(self, wait_seconds: float, max_records: int = 200) -> Mapping[TopicPartition, list[Record]]:
        """New records by partition; waits at most that long for the first one. Rebalances happen only in here."""

    def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Tell the group how far its effects are durable. A failure here is harmless and only logged."""

    def pause_from(self, partition: TopicPartition, offset: int) -> None:
        """Stop reading a partition and take it up again at `offset` after `resume`."""

    def resume(self, partition: TopicPartition) -> None: ...

    def close(self) -> None: ...


class EventLog(Protocol):
    """The whole log: makes producers and consumers, and knows where its topics end."""

    def producer(self, client_id: str) -> Producer: ...

    def consumer(self, group: str, topics: Sequence[str], start: StartOffset) -> Consumer: ...

    def end_offsets(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]: ...

    def partitions(self, topic: str) -> int:
        """Number of partitions of a topic."""
