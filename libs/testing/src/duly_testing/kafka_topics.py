"""The registry's topics on a test broker: all there, all empty."""

from __future__ import annotations

from contextlib import suppress

import kafka
from duly_contracts.topics import topics
from duly_runtime.kafka_log import KafkaLog
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from duly_testing.eventually import eventually


def empty_topics(bootstrap_servers: str, partitions: int | None = None) -> None:
    """Delete every topic that is not Kafka's own, then create the registry's. partitions: instead of the registry's."""
    admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        present = [name for name in admin.list_topics() if not name.startswith("__")]
        if present:
            admin.delete_topics(present)
        eventually(lambda: not [name for name in admin.list_topics() if not name.startswith("__")], 30)
        wanted = [
            NewTopic(name, partitions or topic.partitions, 1, topic_configs=topic.config())
            for name, topic in topics().items()
        ]
        eventually(lambda: _created(admin, wanted), 30)
    finally:
        admin.close()
    eventually(lambda: _led(bootstrap_servers), 30)


def _created(admin: kafka.KafkaAdminClient, wanted: list[NewTopic]) -> bool:
    """A name stays taken for a moment after its deletion; asking again is harmless."""
    there = set(admin.list_topics())
    missing = [topic for topic in wanted if topic.name not in there]
    if not missing:
        return True
    with suppress(KafkaError):
        admin.create_topics(missing)
    return False


def _led(bootstrap_servers: str) -> bool:
    """A new partition is announced a moment before its leader serves it; clients that ask in between wait long."""
    try:
        return bool(KafkaLog(bootstrap_servers).end_offsets(list(topics())))
    except KafkaError:
        return False
