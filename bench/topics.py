"""Kafka as a bench sees it: records written as they are, ends counted, arrivals stamped."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Self

import kafka
from duly_contracts.envelope import Envelope
from duly_contracts.topics import topics
from duly_runtime.clock import Clock
from duly_runtime.log import Record

from bench.stage import BenchFailed

_SEND_SECONDS = 60
_POLL_MILLISECONDS = 50
_JOIN_SECONDS = 10.0


def write(bootstrap_servers: str, records: Iterable[Record]) -> int:
    """Write records to their partitions, in order; how many. Returns when the broker has them all."""
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=5)
    try:
        pending = [
            producer.send(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                partition=record.partition,
            )
            for record in records
        ]
        producer.flush(_SEND_SECONDS)
        for future in pending:
            future.get(_SEND_SECONDS)
    finally:
        producer.close()
    return len(pending)


class Ends:
    """Counts what a topic holds. For one thread."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
        self._partitions = _partitions(topic)

    def total(self) -> int:
        """Records ever written, over all partitions."""
        return sum(self._consumer.end_offsets(self._partitions).values())

    def close(self) -> None:
        self._consumer.close()


class Tail:
    """Reads what is written from now on and stamps it as it arrives: (event type, key) -> seconds of the clock.

    Of several records with the same type and key the first one counts. Open it before the first write.
    """

    def __init__(self, bootstrap_servers: str, topic: str, clock: Clock) -> None:
        self._topic, self._clock = topic, clock
        self._consumer = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="latest"
        )
        partitions = _partitions(topic)
        self._consumer.assign(partitions)
        for partition, end in self._consumer.end_offsets(partitions).items():
            self._consumer.seek(partition, end)
        self._arrived: dict[tuple[str, bytes], float] = {}
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name=f"tail {topic}", daemon=True)

    def arrived(self, event_type: str) -> Mapping[bytes, float]:
        """Key -> when its first event of that type came. Raises BenchFailed if the reading has ended."""
        if self._fault is not None:
            raise BenchFailed(f"{self._topic} can no longer be read: {self._fault}") from self._fault
        with self._lock:
            return {key: at for (name, key), at in self._arrived.items() if name == event_type}

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._arrived.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)
        self._consumer.close()

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                batches: Mapping[Any, list[Any]] = self._consumer.poll(timeout_ms=_POLL_MILLISECONDS)
                now = self._clock.monotonic()
                for records in batches.values():
                    self._note(records, now)
        except BaseException as error:  # handed to whoever asks next
            self._fault = error

    def _note(self, records: list[Any], now: float) -> None:
        with self._lock:
            for record in records:
                event_type = Envelope.from_headers(record.headers).type
                self._arrived.setdefault((event_type, record.key), now)


def _partitions(topic: str) -> list[Any]:
    return [kafka.TopicPartition(topic, number) for number in range(topics()[topic].partitions)]
