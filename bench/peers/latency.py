"""Event to score at a steady rate: from the broker's append of the event to its append of the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import kafka
from duly_runtime.clock import Clock
from duly_runtime.log import Record
from duly_simulator.edge import wait

from bench import engine_job
from bench.engine_job import expected
from bench.peers.broker import Stored
from bench.peers.engines import Engine
from bench.peers.job import PARTITIONS
from bench.peers.run import Check, Ground, Source, checked, worker
from bench.toy import SCORE

FIRST = 100  # sent before the watch starts: the engine is up when they are scored
_SEND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Pace:
    """seconds at rate events/s; the first `warm_up` seconds are not counted."""

    rate: int
    seconds: float
    warm_up: float

    @property
    def events(self) -> int:
        return int(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds by rate, one for each event that counts."""

    by_rate: Mapping[int, Sequence[float]]
    check: Check


def latency(ground: Ground, engine: Engine, life: int, keys: int, paces: Sequence[Pace]) -> Waits:
    """All paces in one life of the engine, after one another; then everything is checked as always."""
    topic = f"paced-{life}"
    records = engine_job.events(FIRST + sum(pace.events for pace in paces), keys, PARTITIONS, topic)
    ground.topics.create(topic)
    producer = kafka.KafkaProducer(bootstrap_servers=ground.bootstrap_servers, acks=1, linger_ms=0)
    try:
        with worker(ground, engine, life, topic) as run:
            _send(producer, records[:FIRST])
            run.until(FIRST)
            begin = FIRST
            for pace in paces:
                _send_at(producer, records[begin : begin + pace.events], pace.rate, ground.clock)
                begin += pace.events
                run.until(begin)
            run.stop()
            sent, scores = list(ground.topics.read(topic)), list(ground.topics.read(run.scores))
            source = Source(topic, records, expected(records, _booster(ground)))
            return Waits(waits_of(records, sent, scores, paces), checked(ground.topics, run, source, scores))
    finally:
        producer.close()
        ground.topics.delete(topic)


def waits_of(
    records: Sequence[Record], sent: Sequence[Stored], scores: Sequence[Stored], paces: Sequence[Pace]
) -> dict[int, list[float]]:
    """Milliseconds by rate. A score carries the offset of its event; its key tells the partition."""
    partition_of = {record.key: record.partition for record in records}
    appended = {(event.partition, event.offset): event.at for event in sent}
    scored: dict[tuple[int, int], int] = {}
    for score in scores:
        offset = int.from_bytes(score.value[: SCORE["offset"].itemsize], "little")
        scored.setdefault((partition_of[score.key], offset), score.at)
    waits: dict[int, list[float]] = {}
    begin = FIRST
    for pace in paces:
        counted = records[begin + int(pace.rate * pace.warm_up) : begin + pace.events]
        places = [(record.partition, record.offset) for record in counted]
        waits[pace.rate] = [float(scored[place] - appended[place]) for place in places if place in scored]
        begin += pace.events
    return waits


def _booster(ground: Ground) -> object:
    import xgboost

    return xgboost.Booster(model_file=str(ground.model.booster))


def _send(producer: kafka.KafkaProducer, records: Sequence[Record]) -> None:
    for record in records:
        producer.send(record.topic, key=record.key, value=record.value, partition=record.partition)
    producer.flush(_SEND_SECONDS)


def _send_at(producer: kafka.KafkaProducer, records: Sequence[Record], rate: int, clock: Clock) -> None:
    """Evenly, whatever the engine does meanwhile."""
    began = clock.monotonic()
    for number, record in enumerate(records):
        early = began + number / rate - clock.monotonic()
        if early > 0:
            wait(early)
        producer.send(record.topic, key=record.key, value=record.value, partition=record.partition)
    producer.flush(_SEND_SECONDS)
