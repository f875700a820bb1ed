"""What must hold before a worker starts, and what it asks the broker beside Faust."""

from __future__ import annotations

from collections.abc import Mapping

import kafka
from duly_contracts.topics import dlq_of
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

LEDGER = "ledger-events"
SCORES = "risk-scores"


class NotReadyToStart(RuntimeError):
    """The broker is away, or topics are missing or do not match. The text says what to do."""

    code = "not_ready_to_start"


class Preflight:
    """A short-lived client."""

    def __init__(self, bootstrap_servers: str) -> None:
        try:
            self._reader = kafka.KafkaConsumer(
                bootstrap_servers=bootstrap_servers.split(","), allow_auto_create_topics=False
            )
        except KafkaError as error:
            raise NotReadyToStart(f"Kafka at {bootstrap_servers} does not answer: {error}") from error

    def check_topics(self, changelog: str) -> int:
        """Number of partitions of `ledger-events`, which the changelog must share. Raises NotReadyToStart."""
        counts = {topic: self._count(topic) for topic in (LEDGER, changelog, SCORES, dlq_of(LEDGER))}
        missing = [topic for topic, count in counts.items() if not count]
        if missing:
            raise NotReadyToStart(
                f"topics missing: {', '.join(missing)}. Create the topics of the registry first "
                f"(cleanup.policy=compact for {changelog}); scoring never creates one"
            )
        if counts[changelog] != counts[LEDGER]:
            raise NotReadyToStart(
                f"{changelog} has {counts[changelog]} partitions, {LEDGER} has {counts[LEDGER]}: they must be equal"
            )
        return counts[LEDGER]

    def ends(self, topic: str) -> Mapping[int, int]:
        """Next offset of each partition."""
        tps = [kafka.TopicPartition(topic, p) for p in self._reader.partitions_for_topic(topic) or ()]
        return {tp.partition: end for tp, end in self._reader.end_offsets(tps).items()}

    def close(self) -> None:
        self._reader.close()

    def _count(self, topic: str) -> int:
        return len(self._reader.partitions_for_topic(topic) or ())


class BrokersGroup:
    """`guards.Group`. Connects on first use."""

    def __init__(self, bootstrap_servers: str, group: str, instance_id: str, partitions: int) -> None:
        self._bootstrap = bootstrap_servers.split(",")
        self._group = group
        self._instance_id = instance_id
        self._tps = [kafka.TopicPartition(LEDGER, partition) for partition in range(partitions)]
        self._reader: kafka.KafkaConsumer | None = None

    def offsets(self) -> tuple[Mapping[int, int], Mapping[int, int]]:
        if self._reader is None:
            self._reader = kafka.KafkaConsumer(
                bootstrap_servers=self._bootstrap,
                group_id=self._group,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
            )
        ends = self._reader.end_offsets(self._tps)
        committed = {tp.partition: self._reader.committed(tp) or 0 for tp in self._tps}
        return {tp.partition: end for tp, end in ends.items()}, committed

    def put_out(self) -> None:
        admin = kafka.KafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            admin.remove_group_members(self._group, [MemberToRemove(group_instance_id=self._instance_id)])
        finally:
            admin.close()
