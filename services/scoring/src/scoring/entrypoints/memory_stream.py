"""The same step over any `EventLog`, with state in memory: for scenario tests, all services in one process."""

from __future__ import annotations

from collections.abc import Mapping

from duly_runtime.log import EventLog, TopicPartition

from scoring.adapters.kafka_preflight import LEDGER
from scoring.adapters.memory import MemoryStates
from scoring.application.ports import Models
from scoring.application.score_batch import Scorer
from scoring.entrypoints.positions import Positions

_SEND_TIMEOUT_SECONDS = 10.0


class MemoryStream:
    """A `duly_runtime.loops.Loop` named `stream`. State lives as long as the object, so it reads from the start."""

    name = "stream"

    def __init__(self, log: EventLog, models: Models, batch_records: int = 128) -> None:
        self._producer = log.producer("scoring")
        self._consumer = log.consumer("scoring", [LEDGER], lambda _: None)
        self._models = models
        self._batch_records = batch_records
        self.states = MemoryStates()
        self.positions = Positions()
        self._scorer = Scorer(self.states, log.partitions(LEDGER))
        self.positions.assigned(dict.fromkeys(range(log.partitions(LEDGER)), 0))

    def step(self, wait_seconds: float) -> bool:
        batches = self._consumer.poll(wait_seconds, self._batch_records)
        records = [record for batch in batches.values() for record in batch]
        if not records:
            return False
        outcome = self._scorer.score(records, self._models)
        pending = [self._producer.send(o.topic, o.key, o.value, o.headers) for o in outcome.outputs]
        for sent in pending:
            sent.result(_SEND_TIMEOUT_SECONDS)
        for (partition, key), blob in outcome.blobs.items():
            self.states.put(partition, key, blob)
        done: Mapping[TopicPartition, int] = {tp: batch[-1].offset + 1 for tp, batch in batches.items()}
        self._consumer.commit(done)
        self.positions.done({tp.partition: at for tp, at in done.items()}, len(records), outcome.facts, outcome.scores)
        return True

    def close(self) -> None:
        self._consumer.close()
        self._producer.close()
