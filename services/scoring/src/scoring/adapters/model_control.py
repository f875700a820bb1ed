"""`model-control`, read by every worker from its beginning and without a group: each must know all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kafka
from duly_contracts.envelope import EnvelopeInvalid
from duly_contracts.events import EventUndecodable, EventUnknown
from duly_contracts.model_control import MODEL_CONTROL, Promotion, PromotionUnusable, promotion_of
from duly_runtime.kafka_log import records_until
from duly_runtime.logging import get_logger

from scoring.adapters.kafka_preflight import NotReadyToStart

_log = get_logger(__name__)
_RECORDS_MAX = 200


class ControlReader:
    """Its own client. Nobody else's reads, commits or rebalances touch it. One thread uses it at a time.

    The topic may be absent, then it is empty until somebody makes it. It has one partition, that of `next_offset`.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._reader = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap_servers.split(","),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
        )
        self.next_offset = 0

    def read_to_end(self) -> list[Promotion]:
        """Everything that is there now. Raises KafkaError, also where the topic gives nothing for half a minute;
        NotReadyToStart for a topic of several partitions."""
        if not self._assigned():
            return []
        ends = self._reader.end_offsets(self._reader.assignment())
        return self._promotions(records_until(self._reader, ends, _RECORDS_MAX))

    def poll(self, wait_seconds: float) -> list[Promotion]:
        """What came, in order; waits at most that long. A record nobody can use is logged and skipped.

        Raises KafkaError, NotReadyToStart.
        """
        if not self._assigned():
            return []
        batches = self._reader.poll(timeout_ms=int(wait_seconds * 1000), max_records=_RECORDS_MAX)
        return self._promotions(record for records in batches.values() for record in records)

    def close(self) -> None:
        self._reader.close()

    def _promotions(self, records: Iterable[Any]) -> list[Promotion]:
        found: list[Promotion] = []
        for record in records:
            self.next_offset = record.offset + 1
            try:
                promotion = promotion_of(record.key or b"", record.headers or (), record.value)
            except (EnvelopeInvalid, EventUnknown, EventUndecodable, PromotionUnusable) as error:
                _log.error("scoring.model_control_unusable", offset=record.offset, error=str(error))
            else:
                found += [promotion] if promotion else []
        return found

    def _assigned(self) -> bool:
        if not self._reader.assignment():
            partitions = self._reader.partitions_for_topic(MODEL_CONTROL)
            if not partitions:
                return False
            if len(partitions) > 1:
                raise NotReadyToStart(
                    f"{MODEL_CONTROL} has {len(partitions)} partitions: the order of its records decides which model "
                    "serves, so it must have one. Make it anew with one partition and promote again"
                )
            tps = [kafka.TopicPartition(MODEL_CONTROL, partition) for partition in partitions]
            begins = self._reader.beginning_offsets(tps)
            self._reader.assign(tps)
            for tp in tps:  # a position that is known: looking it up later might wait for ever
                self._reader.seek(tp, begins[tp])
        return True
