"""Records of a topic from somewhere to its end, without a group: for commands that look once and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kafka

_WAIT_MS = 500


class TopicReader:
    """One client. A context manager; raises KafkaError."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap_servers.split(","), enable_auto_commit=False, allow_auto_create_topics=False
        )

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def records(self, topic: str, start: Callable[[int, int], int]) -> Iterator[Any]:
        """From start(first offset, end) of each partition to what is its end now; an absent topic is empty."""
        tps = [kafka.TopicPartition(topic, p) for p in sorted(self._consumer.partitions_for_topic(topic) or ())]
        if not tps:
            return
        self._consumer.assign(tps)
        begins, ends = self._consumer.beginning_offsets(tps), self._consumer.end_offsets(tps)
        for tp in tps:
            self._consumer.seek(tp, start(begins[tp], ends[tp]))
        while any(self._consumer.position(tp) < ends[tp] for tp in tps):
            batches: Iterable[list[Any]] = self._consumer.poll(timeout_ms=_WAIT_MS).values()
            for batch in batches:
                yield from batch
