"""Whole topics, read once from the beginning to the end, without a consumer group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import kafka
from duly_contracts.envelope import Envelope
from duly_contracts.events import decode
from duly_contracts.keys import split_key

_POLL_MILLISECONDS = 2000
_EMPTY_POLLS_MAX = 15


class TopicUnreadable(RuntimeError):
    """The broker gave no more records before the end that it had named."""

    code = "topic_unreadable"


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as it lies in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded record. `name` is the short event name."""

    record: RawRecord
    envelope: Envelope
    message: Any  # of the class that its type promises

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def name(self) -> str:
        return self.envelope.type.removeprefix("duly.").rpartition(".v")[0]

    @property
    def debtor_id(self) -> str:
        return split_key(self.record.key)[1]


def read_topic(bootstrap_servers: str, topic: str) -> Iterator[RawRecord]:
    """Every record up to the end as it is now, in offset order within a partition. Raises TopicUnreadable."""
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
    )
    try:
        partitions = [kafka.TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        empty = 0
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            batches = consumer.poll(timeout_ms=_POLL_MILLISECONDS, max_records=2000)
            empty = 0 if batches else empty + 1
            if empty > _EMPTY_POLLS_MAX:
                raise TopicUnreadable(f"{topic}: no records before the end {ends}")
            for partition, records in batches.items():
                yield from (_raw(record) for record in records if record.offset < ends[partition])
    finally:
        consumer.close()


def read_events(bootstrap_servers: str, topic: str) -> list[Event]:
    """Every event of a topic. Raises as the contracts' decoders for a record that is none."""
    events = []
    for record in read_topic(bootstrap_servers, topic):
        envelope = Envelope.from_headers(record.headers)
        events.append(Event(record, envelope, decode(envelope.type, record.value)))
    return events


def _raw(record: Any) -> RawRecord:
    headers = tuple((name, value) for name, value in record.headers or ())
    return RawRecord(record.topic, record.partition, record.offset, record.key or b"", record.value or b"", headers)
