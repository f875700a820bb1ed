"""What every event log promises. `LogContract` is inherited by one test class per implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from uuid import uuid4

import pytest
from duly_contracts.keys import debtor_key, partition_of
from duly_runtime.log import Consumer, EventLog, Producer, Record, SendFailed, StartOffset, TopicPartition

from duly_testing.eventually import eventually

TOPIC = "ledger-events"


def drain(consumer: Consumer, count: int, within_seconds: float = 20.0) -> list[Record]:
    """The next `count` records a consumer is given."""
    found: list[Record] = []

    def enough() -> bool:
        for records in consumer.poll(0.1).values():
            found.extend(records)
        assert len(found) >= count, f"{len(found)} of {count} records"
        return True

    eventually(enough, within_seconds)
    return found


OpenConsumer = Callable[[StartOffset], Consumer]


class LogContract:
    """Subclasses provide the fixture `log`: an `EventLog` with the registry's topics, empty."""

    @pytest.fixture
    def open_consumer(self, log: EventLog) -> Iterator[OpenConsumer]:
        """Consumers of one group of this test's own, closed at its end: a forgotten one keeps its partitions."""
        group, opened = f"test-{uuid4()}", list[Consumer]()

        def open_one(start: StartOffset) -> Consumer:
            opened.append(log.consumer(group, [TOPIC], start))
            return opened[-1]

        yield open_one
        for consumer in opened:
            consumer.close()

    @pytest.fixture
    def producer(self, log: EventLog) -> Iterator[Producer]:
        opened = log.producer("contract")
        yield opened
        opened.close()

    def test_a_record_comes_back_as_it_was_sent(self, producer: Producer, open_consumer: OpenConsumer) -> None:
        key, value, headers = debtor_key("t", "D-1"), b"\x00value", [("ce_id", b"1"), ("x", b"\xff")]
        partition, offset = producer.send(TOPIC, key, value, headers).result(10)
        (record,) = drain(open_consumer(lambda _: None), 1)
        assert record == Record(TOPIC, partition, offset, key, value, tuple(headers))

    def test_a_key_always_lands_in_the_partition_of_its_hash(self, producer: Producer, log: EventLog) -> None:
        for number in range(20):
            key = debtor_key("t", f"D-{number}")
            partition, _ = producer.send(TOPIC, key, b"", []).result(10)
            assert partition == partition_of(key, log.partitions(TOPIC))

    def test_order_is_kept_per_key(self, producer: Producer, open_consumer: OpenConsumer) -> None:
        key = debtor_key("t", "D-1")
        pending = [producer.send(TOPIC, key, str(n).encode(), []) for n in range(300)]
        offsets = [sent.result(10)[1] for sent in pending]
        assert offsets == sorted(offsets)
        records = drain(open_consumer(lambda _: None), 300)
        assert [int(record.value) for record in records] == list(range(300))

    def test_an_explicit_partition_is_obeyed(self, producer: Producer, log: EventLog) -> None:
        for number in range(log.partitions(TOPIC)):
            assert producer.send(TOPIC, b"t|", b"tick", [], partition=number).result(10)[0] == number

    def test_a_consumer_starts_where_its_owner_says(
        self, producer: Producer, log: EventLog, open_consumer: OpenConsumer
    ) -> None:
        key = debtor_key("t", "D-1")
        for number in range(5):
            producer.send(TOPIC, key, str(number).encode(), []).result(10)
        home = partition_of(key, log.partitions(TOPIC))
        stored: Mapping[TopicPartition, int] = {TopicPartition(TOPIC, home): 3}
        records = drain(open_consumer(stored.get), 2)
        assert [record.value for record in records] == [b"3", b"4"]

    def test_records_whose_effects_were_not_stored_come_again(
        self, producer: Producer, open_consumer: OpenConsumer
    ) -> None:
        producer.send(TOPIC, debtor_key("t", "D-1"), b"x", []).result(10)
        first = open_consumer(lambda _: None)
        assert len(drain(first, 1)) == 1
        first.close()
        assert len(drain(open_consumer(lambda _: None), 1)) == 1

    def test_a_paused_partition_comes_back_from_the_offset_named(
        self, producer: Producer, open_consumer: OpenConsumer
    ) -> None:
        key = debtor_key("t", "D-1")
        for number in range(3):
            producer.send(TOPIC, key, str(number).encode(), []).result(10)
        consumer = open_consumer(lambda _: None)
        records = drain(consumer, 3)
        partition = TopicPartition(TOPIC, records[0].partition)
        consumer.pause_from(partition, 1)
        assert not consumer.poll(0.2)
        consumer.resume(partition)
        assert [record.value for record in drain(consumer, 2)] == [b"1", b"2"]

    def test_end_offsets_count_every_record(self, producer: Producer, log: EventLog) -> None:
        for number in range(7):
            producer.send(TOPIC, debtor_key("t", f"D-{number}"), b"", []).result(10)
        ends = log.end_offsets([TOPIC])
        assert len(ends) == log.partitions(TOPIC)
        assert sum(ends.values()) == 7

    def test_an_unknown_topic_is_refused_and_never_created(self, producer: Producer) -> None:
        with pytest.raises(SendFailed, match="no-such-topic"):
            producer.send("no-such-topic", b"k", b"v", []).result(10)
