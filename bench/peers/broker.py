"""Kafka on a core of its own, which stamps every record as it appends it; topics, and what lies in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import kafka
from duly_localstack.kafka import KafkaServer
from duly_runtime.kafka_log import records_until
from kafka.admin import NewTopic

from bench.peers.job import PARTITIONS

_PINNED = Path(__file__).with_name("pinned.py")
_POLL_RECORDS = 10_000
_FETCH_BYTES = 4 * 1024 * 1024


class PinnedKafka(KafkaServer):
    """One core, all of the JVM's compilers (it lives for long), and record times that are the broker's own."""

    core = 1

    def argv(self) -> Sequence[str]:
        command = [argument for argument in super().argv() if argument != "-XX:TieredStopAtLevel=1"]
        return [sys.executable, str(_PINNED), str(self.core), *command]

    def properties(self) -> dict[str, str | int]:
        times = {"log.message.timestamp.type": "LogAppendTime"}
        return {**super().properties(), **times, "broker.session.timeout.ms": 30_000}  # a busy machine fences no one


@dataclass(frozen=True, slots=True)
class Stored:
    """at: milliseconds since 1970-01-01, when the broker appended it."""

    partition: int
    offset: int
    at: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Topics:
    """All that the bench asks of the broker. For one thread."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers
        self._admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap_servers)
        self._reader = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
            allow_auto_create_topics=False,
        )

    def create(self, name: str, *, compacted: bool = False) -> None:
        """PARTITIONS partitions; returns when they are led."""
        config = {"cleanup.policy": "compact"} if compacted else {}
        self._admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=config)])
        self._admin.wait_for_topics([name])

    def delete(self, *names: str) -> None:
        """Those that are there."""
        present = set(self._admin.list_topics())
        if found := [name for name in names if name in present]:
            self._admin.delete_topics(found)

    def total(self, name: str) -> int:
        """Records ever written."""
        return sum(self._reader.end_offsets(_partitions(name)).values())

    def read(self, name: str) -> Iterator[Stored]:
        """Everything from the beginning, in offset order within each partition."""
        partitions = _partitions(name)
        ends = self._reader.end_offsets(partitions)
        self._reader.assign(partitions)
        for tp, first in self._reader.beginning_offsets(partitions).items():
            self._reader.seek(tp, first)
        for record in records_until(self._reader, ends, _POLL_RECORDS):
            place = record.partition, record.offset
            yield Stored(*place, record.timestamp, record.key, record.value, record.headers)

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Next offset by partition, 0 where nothing is committed."""
        reader = kafka.KafkaConsumer(bootstrap_servers=self._bootstrap, group_id=group, enable_auto_commit=False)
        try:
            return {tp.partition: reader.committed(tp) or 0 for tp in _partitions(topic)}
        finally:
            reader.close()

    def close(self) -> None:
        self._reader.close()
        self._admin.close()


def _partitions(topic: str) -> list[kafka.TopicPartition]:
    return [kafka.TopicPartition(topic, number) for number in range(PARTITIONS)]
