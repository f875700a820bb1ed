"""Records of a topic, without a group: for commands that look once and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kafka
from duly_runtime.kafka_log import records_until


class TopicReader:
    """One client. A context manager; raises KafkaError, also where the brokers give nothing for half a minute."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap_servers.split(","), enable_auto_commit=False, allow_auto_create_topics=False
        )

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def spans(self, topic: str) -> dict[int, tuple[int, int]]:
        """By partition the first offset and what is its end now; an absent topic has none."""
        tps = [kafka.TopicPartition(topic, p) for p in sorted(self._consumer.partitions_for_topic(topic) or ())]
        if not tps:
            return {}
        begins, ends = self._consumer.beginning_offsets(tps), self._consumer.end_offsets(tps)
        return {tp.partition: (begins[tp], ends[tp]) for tp in tps}

    def records(self, topic: str) -> Iterator[Any]:
        """All that is in a topic now, partition by partition."""
        for partition, (begin, end) in self.spans(topic).items():
            yield from self.between(topic, partition, begin, end)

    def between(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Any]:
        """The records with begin <= offset < end."""
        tp = kafka.TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, begin)
        return (raw for raw in records_until(self._consumer, {tp: end}) if raw.offset < end)
