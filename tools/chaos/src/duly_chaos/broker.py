"""What the harness asks of the broker beside the worker: write a log, read topics whole, lower a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import kafka
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import Record
from duly_testing.eventually import eventually
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove, NewTopic
from kafka.errors import KafkaError

LEDGER, SCORES, CHANGELOG = "ledger-events", "risk-scores", "scoring-debtors-changelog"
DLQ, CONTROL = "ledger-events-dlq", "model-control"
GROUP = "scoring"
_OFFSETS = "__consumer_offsets"
_TOPICS = (LEDGER, SCORES, CHANGELOG, DLQ, CONTROL)


class Broker:
    """One broker whose topics of scoring belong to the harness. Close it: it holds clients."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._producer = KafkaLog(bootstrap).producer("harness")
        self._reader = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=GROUP, enable_auto_commit=False, allow_auto_create_topics=False
        )

    def close(self) -> None:
        self._producer.close()
        self._reader.close()

    def fresh_topics(self, partitions: int, keep_members: bool = False) -> None:
        """The topics that scoring knows, all empty. keep_members: whoever is in the group stays in it."""
        if not keep_members:
            self.put_out_members()
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            with suppress(KafkaError):
                admin.delete_topics(list(_TOPICS))
            eventually(lambda: not set(_TOPICS) & set(admin.list_topics()), 120)
            wanted = [NewTopic(name, 1 if name == CONTROL else partitions, 1) for name in _TOPICS]
            eventually(lambda: _created(admin, wanted), 120)
        finally:
            admin.close()
        eventually(self._led, 120)
        # The broker forgets what was committed in a deleted topic a moment later: a worker that finds it begins there.
        eventually(lambda: not any(self.committed(partitions).values()), 120)

    def put_out_members(self) -> None:
        """Nobody is in the group any more, not even a worker that was killed before."""
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            eventually(lambda: _put_out(admin), 120)
        finally:
            admin.close()

    def send(self, records: Sequence[Record]) -> None:
        """Write records where the ledger put them."""
        pending = [self._producer.send(r.topic, r.key, r.value, r.headers, r.partition) for r in records]
        for sent, record in zip(pending, records, strict=True):
            assert sent.result(120) == (record.partition, record.offset)

    def read(self, topic: str) -> list[Record]:
        """Everything in a topic, partition by partition in offset order."""
        tps = [kafka.TopicPartition(topic, p) for p in sorted(self._reader.partitions_for_topic(topic) or ())]
        self._reader.assign(tps)
        self._reader.seek_to_beginning(*tps)
        ends = self._reader.end_offsets(tps)
        found: list[Record] = []
        while any(self._reader.position(tp) < ends[tp] for tp in tps):
            for batch in self._reader.poll(timeout_ms=500).values():
                found += [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers or ())) for r in batch]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def committed(self, partitions: int) -> dict[int, int]:
        """The group's offsets."""
        return {p: self._reader.committed(kafka.TopicPartition(LEDGER, p)) or 0 for p in range(partitions)}

    @contextmanager
    def refusing_more_than(self, bytes_max: int, topic: str) -> Iterator[None]:
        """While open, the broker refuses records of that topic above a size."""
        self._limit(topic, bytes_max)
        try:
            yield
        finally:
            self._limit(topic, 1_048_576)

    def _limit(self, topic: str, limit: int) -> None:
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(limit)})
            admin.alter_configs([resource])
        finally:
            admin.close()

    def _led(self) -> bool:
        try:
            return bool(KafkaLog(self.bootstrap).end_offsets(list(_TOPICS)))
        except KafkaError:
            return False


def _put_out(admin: kafka.KafkaAdminClient) -> bool:
    """Static members outlive their process: the next of that name would be given partitions of the topics before."""
    if _OFFSETS not in admin.list_topics():
        return True  # a new broker: nobody was ever in a group
    try:
        members = admin.describe_groups([GROUP])[GROUP]["members"]
        if members:
            leaving = [MemberToRemove(one["member_id"], one["group_instance_id"]) for one in members]
            admin.remove_group_members(GROUP, leaving)
    except KafkaError:  # the coordinator moves or loads
        return False
    return True


def _created(admin: kafka.KafkaAdminClient, wanted: Sequence[NewTopic]) -> bool:
    """A name stays taken for a moment after its deletion; asking again is harmless."""
    there = set(admin.list_topics())
    missing = [topic for topic in wanted if topic.name not in there]
    with suppress(KafkaError):
        if missing:
            admin.create_topics(missing)
    return not missing
