"""The topics of the registry on the local broker, one replica each."""

from __future__ import annotations

import kafka
from duly_contracts.topics import topics
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from duly_cli.errors import StackError


def ensure_topics(bootstrap_servers: str) -> int:
    """Create what is missing; how many topics the registry has. Raises StackError."""
    try:
        admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap_servers)
        try:
            there = set(admin.list_topics())
            missing = [
                NewTopic(name, topic.partitions, 1, topic_configs=topic.config())
                for name, topic in topics().items()
                if name not in there
            ]
            if missing:
                admin.create_topics(missing)
        finally:
            admin.close()
    except KafkaError as error:
        raise StackError(f"The topics cannot be made on {bootstrap_servers}: {error}.") from error
    return len(topics())
