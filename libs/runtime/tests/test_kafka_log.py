"""What only the Kafka client needs: it notices when its own heartbeats stop."""

from __future__ import annotations

import pytest
from duly_contracts.keys import debtor_key
from duly_runtime import kafka_log
from duly_runtime.kafka_log import KafkaLog, KafkaLogConsumer
from duly_runtime.log import Record
from duly_testing.eventually import eventually

pytestmark = pytest.mark.kafka
TOPIC = "ledger-events"


def test_a_consumer_that_lost_its_heartbeats_is_replaced_and_reads_on(
    kafka_log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly_runtime.kafka_log._LOOK_EVERY_SECONDS", 0.5)
    monkeypatch.setattr("duly_runtime.kafka_log._SILENT_SECONDS_MAX", 5.0)
    consumer = kafka_log.consumer("silent", [TOPIC], lambda _: None)
    assert isinstance(consumer, KafkaLogConsumer)
    producer, key, found = kafka_log.producer("test"), debtor_key("t", "D-1"), list[Record]()

    def read(count: int) -> bool:
        for records in consumer.poll(0.1).values():
            found.extend(records)
        return len(found) >= count

    producer.send(TOPIC, key, b"first", []).result(10)
    eventually(lambda: read(1), 20)
    before = consumer._consumer
    before._coordinator._disable_heartbeat()  # as the client does to itself
    eventually(lambda: read(1) and consumer._consumer is not before, 30)
    producer.send(TOPIC, key, b"second", []).result(10)
    eventually(lambda: read(2) and found[-1].value == b"second", 30)
    consumer.close()
    producer.close()


def test_the_limits_leave_room_for_a_slow_broker() -> None:
    assert kafka_log._SILENT_SECONDS_MAX < 45, "before the broker puts the member out"
    assert kafka_log._SILENT_SECONDS_MAX >= 3 * 3.0, "three missed heartbeats at least"
