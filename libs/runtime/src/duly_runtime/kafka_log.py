"""The event log on Apache Kafka through kafka-python (settings and their reasons: docs/reference/delivery.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import kafka
from duly_contracts.keys import partition_of
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from duly_runtime.log import Consumer, Headers, Producer, Record, SendFailed, StartOffset, TopicPartition
from duly_runtime.logging import get_logger

_log = get_logger(__name__)
_MAX_RECORD_BYTES = 1_000_000
_LOOK_EVERY_SECONDS = 5.0
_SILENT_SECONDS_MAX = 12.0  # four heartbeats
_READ_WAIT_MS = 500
_EMPTY_READS_MAX = 60


def records_until(
    reader: kafka.KafkaConsumer, ends: Mapping[kafka.TopicPartition, int], records_max: int = 500
) -> Iterator[Any]:
    """What a reader gives until it stands at `ends`; the last batch may hold records beyond them.

    reader: assigned, and sought to where it begins. Raises KafkaTimeoutError after half a minute without getting on: a
    partition without a leader must not hang who reads it.
    """
    empty = 0
    while behind := {tp: at for tp, end in ends.items() if (at := reader.position(tp)) < end}:
        for records in reader.poll(timeout_ms=_READ_WAIT_MS, max_records=records_max).values():
            yield from records
        empty = 0 if any(reader.position(tp) > at for tp, at in behind.items()) else empty + 1
        if empty >= _EMPTY_READS_MAX:
            names = ", ".join(f"{tp.topic}/{tp.partition} from offset {at}" for tp, at in behind.items())
            raise KafkaTimeoutError(f"the brokers give no records of {names}: perhaps a partition has no leader")


class KafkaLog:
    """`EventLog` on a Kafka cluster. Topics must exist: nothing here creates one.

    instance_id: stable name of this replica, '' where it has none. With it consumers are static members: after a crash
    the group gives them their partitions back at once instead of waiting out the dead one's session.
    """

    def __init__(self, bootstrap_servers: str, instance_id: str = "") -> None:
        self._bootstrap = bootstrap_servers.split(",")
        self._instance_id = instance_id
        self._partition_counts: dict[str, int] = {}

    def producer(self, client_id: str) -> Producer:
        return KafkaLogProducer(self, self._bootstrap, client_id)

    def consumer(self, group: str, topics: Sequence[str], start: StartOffset) -> Consumer:
        instance = f"{group}-{self._instance_id}" if self._instance_id else None
        return KafkaLogConsumer(self._bootstrap, group, topics, start, instance)

    def end_offsets(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        reader = kafka.KafkaConsumer(bootstrap_servers=self._bootstrap, allow_auto_create_topics=False)
        try:
            tps = [kafka.TopicPartition(t, p) for t in topics for p in reader.partitions_for_topic(t) or ()]
            return {TopicPartition(tp.topic, tp.partition): end for tp, end in reader.end_offsets(tps).items()}
        finally:
            reader.close()

    def partitions(self, topic: str) -> int:
        if topic not in self._partition_counts:
            try:
                reader = kafka.KafkaConsumer(bootstrap_servers=self._bootstrap, allow_auto_create_topics=False)
                try:
                    known = reader.partitions_for_topic(topic)
                finally:
                    reader.close()
            except KafkaError as error:
                raise SendFailed(f"{topic}: {error}") from error
            if not known:
                raise SendFailed(f"topic {topic} does not exist: create the topics of the registry first")
            self._partition_counts[topic] = len(known)
        return self._partition_counts[topic]


class _KafkaPending:
    def __init__(self, future: Any, topic: str) -> None:
        self._future = future
        self._topic = topic

    def result(self, timeout_seconds: float) -> tuple[int, int]:
        try:
            metadata = self._future.get(timeout=timeout_seconds)
        except KafkaError as error:
            raise SendFailed(f"{self._topic}: {error}") from error
        return metadata.partition, metadata.offset


class KafkaLogProducer:
    """Idempotent producer, acks from all in-sync replicas. Thread-safe: one per process is enough."""

    def __init__(self, log: KafkaLog, bootstrap: list[str], client_id: str) -> None:
        self._log = log
        self._producer = kafka.KafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            enable_idempotence=True,
            acks="all",
            delivery_timeout_ms=120_000,
            request_timeout_ms=30_000,
            max_in_flight_requests_per_connection=5,
            max_request_size=_MAX_RECORD_BYTES,
            linger_ms=2,
            allow_auto_create_topics=False,
        )

    def send(
        self, topic: str, key: bytes, value: bytes, headers: Headers, partition: int | None = None
    ) -> _KafkaPending:
        target = partition_of(key, self._log.partitions(topic)) if partition is None else partition
        try:
            future = self._producer.send(topic, key=key, value=value, headers=list(headers), partition=target)
        except (KafkaError, AssertionError) as error:
            raise SendFailed(f"{topic}: {error}") from error
        return _KafkaPending(future, topic)

    def close(self) -> None:
        self._producer.close(timeout=10)


class _ForgetPositions(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is untyped
    """Runs on the client's IO thread, so it only drops a cache: the next poll asks the database again."""

    def __init__(self, positioned: set[TopicPartition]) -> None:
        self._positioned = positioned

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._positioned.difference_update(TopicPartition(tp.topic, tp.partition) for tp in revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._positioned.difference_update(TopicPartition(tp.topic, tp.partition) for tp in assigned)

    def on_partitions_lost(self, lost: Any) -> None:
        self.on_partitions_revoked(lost)


class KafkaLogConsumer:
    """Group consumer whose start offsets come from the caller's own store, not from the group's commits."""

    def __init__(
        self,
        bootstrap: list[str],
        group: str,
        topics: Sequence[str],
        start: StartOffset,
        instance: str | None = None,
    ) -> None:
        self._start = start
        self._positioned: set[TopicPartition] = set()
        self._group = group
        self._topics = list(topics)
        self._settings = {"bootstrap_servers": bootstrap, "group_id": group, "group_instance_id": instance}
        self._looked_at = time.monotonic()
        self._consumer = self._open()

    def _open(self) -> Any:
        consumer = kafka.KafkaConsumer(
            **self._settings,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=300_000,
            session_timeout_ms=45_000,
            fetch_max_wait_ms=100,
            partition_assignment_strategy=(CooperativeStickyAssignor,),
            allow_auto_create_topics=False,
        )
        for topic in self._topics:
            # The first member of a group assigns from the metadata it has; without any it gave itself nothing.
            consumer.partitions_for_topic(topic)
        consumer.subscribe(self._topics, listener=_ForgetPositions(self._positioned))
        return consumer

    def _reopen_if_silent(self) -> None:
        """kafka-python 3.0.12 can lose its heartbeats after a join: it then polls in a tight loop until the broker puts
        the member out. A new consumer takes the same place; positions come from the database as ever."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_SECONDS or not self._consumer.assignment():
            return
        self._looked_at = now
        silent = self._consumer.metrics()["consumer-coordinator-metrics"]["last-heartbeat-seconds-ago"]
        if silent < _SILENT_SECONDS_MAX:
            return
        _log.warning("runtime.heartbeats_lost", group=self._group, silent_seconds=round(min(silent, 1e6)))
        self._consumer.close(autocommit=False)
        self._positioned.clear()
        self._consumer = self._open()

    def poll(self, wait_seconds: float, max_records: int = 200) -> Mapping[TopicPartition, list[Record]]:
        self._reopen_if_silent()
        batches = self._consumer.poll(timeout_ms=int(wait_seconds * 1000), max_records=max_records)
        result: dict[TopicPartition, list[Record]] = {}
        for tp, raw_records in batches.items():
            partition = TopicPartition(tp.topic, tp.partition)
            if self._reposition(partition, raw_records[0].offset):
                continue
            result[partition] = [_record(raw) for raw in raw_records]
        return result

    def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        offsets = {
            kafka.TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "", -1)
            for tp, offset in next_offsets.items()
        }
        try:
            self._consumer.commit_async(offsets)
        except KafkaError as error:
            _log.warning("runtime.offset_commit_failed", error=str(error))

    def pause_from(self, partition: TopicPartition, offset: int) -> None:
        tp = kafka.TopicPartition(partition.topic, partition.partition)
        self._consumer.pause(tp)
        self._consumer.seek(tp, offset)

    def resume(self, partition: TopicPartition) -> None:
        tp = kafka.TopicPartition(partition.topic, partition.partition)
        if tp in self._consumer.assignment():
            self._consumer.resume(tp)

    def close(self) -> None:
        self._consumer.close()

    def _reposition(self, partition: TopicPartition, first_offset: int) -> bool:
        """Before the first records of a newly assigned partition: go where the database says. True = moved."""
        if partition in self._positioned:
            return False
        self._positioned.add(partition)
        stored = self._start(partition)
        target = 0 if stored is None else stored
        if target == first_offset or (stored is None and first_offset == 0):
            return False
        tp = kafka.TopicPartition(partition.topic, partition.partition)
        if stored is None:
            self._consumer.seek_to_beginning(tp)
        else:
            self._consumer.seek(tp, target)
        return True


def _record(raw: Any) -> Record:
    headers = tuple((name, value or b"") for name, value in raw.headers or ())
    return Record(raw.topic, raw.partition, raw.offset, raw.key or b"", raw.value or b"", headers)
