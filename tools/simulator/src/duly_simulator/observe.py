"""The barrier's two readers against running services: `/status` over HTTP, end offsets from Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
from duly_contracts.topics import topics
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from duly_simulator.settle import Offsets, ServiceStatus, waited_topics

_STATUS_TIMEOUT_SECONDS = 2.0
_ENDS_TIMEOUT_MILLISECONDS = 5_000


class HttpStatusReader:
    """Asks all services concurrently. addresses: service -> base URL of its admin port."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._clients = {
            # Internal addresses: proxies of the environment have no business here. A connection per question, because
            # on a kept one the server's second packet waits 40 ms for the delayed acknowledgement of its first.
            service: httpx.Client(
                base_url=url,
                timeout=_STATUS_TIMEOUT_SECONDS,
                trust_env=False,
                limits=httpx.Limits(max_keepalive_connections=0),
            )
            for service, url in addresses.items()
        }
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(self._clients)), thread_name_prefix="status")

    def read(self) -> dict[str, ServiceStatus | None]:
        """Service -> its status; None for any answer that is not a status."""
        return dict(zip(self._clients, self._pool.map(_read_status, self._clients.values()), strict=True))

    def close(self) -> None:
        self._pool.shutdown()
        for client in self._clients.values():
            client.close()


class KafkaEndReader:
    """End offsets of all topics that some service must have applied. For one thread."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None, enable_auto_commit=False)
        self._partitions = [
            TopicPartition(name, partition)
            for name in waited_topics()
            for partition in range(topics()[name].partitions)
        ]

    def read(self) -> Offsets | None:
        """None where Kafka does not answer in time."""
        try:
            found = self._consumer.end_offsets(self._partitions, timeout_ms=_ENDS_TIMEOUT_MILLISECONDS)
        except KafkaError:
            return None
        ends: dict[str, dict[int, int]] = {}
        for partition, end in found.items():
            ends.setdefault(partition.topic, {})[partition.partition] = end
        return ends

    def close(self) -> None:
        self._consumer.close()


def _read_status(client: httpx.Client) -> ServiceStatus | None:
    try:
        answer = client.get("/status")
        if not answer.is_success:
            return None
        document = answer.json()
        return ServiceStatus(
            positions={
                str(topic): {int(partition): int(offset) for partition, offset in partitions.items()}
                for topic, partitions in document["positions"].items()
            },
            outbox=int(document["outbox"]),
            work=int(document["work"]),
        )
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return None
