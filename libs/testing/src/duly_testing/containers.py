"""Kafka and PostgreSQL in containers, through testcontainers, where a Docker engine answers and has the image.

One environment contract for Kafka: that of `apache/kafka` (`KAFKA_FOO_BAR` sets `foo.bar`), which the locally built
image keeps too.
"""

from __future__ import annotations

import atexit
import os
import socket
from typing import Any

from duly_localstack.ports import free_port

_READY_SECONDS = 60


def image_present(name: str) -> bool:
    """Whether an engine answers and holds the image. The engine is asked, not the CLI: the CLI exists without one."""
    if not _engine_listens():
        return False
    import docker
    from docker.errors import DockerException, ImageNotFound

    try:
        client = docker.from_env(timeout=3)
        client.ping()
        client.images.get(name)
    except (DockerException, ImageNotFound):
        return False
    return True


def start_kafka_container() -> str | None:
    """Address of one KRaft node in a container; None where this tier is not to be had."""
    image = os.environ.get("TEST_KAFKA_IMAGE", "apache/kafka:4.3.0")
    if not image_present(image):
        return None
    _loopback_only()
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()
    container: Any = DockerContainer(image)
    container.ports[9092] = ("127.0.0.1", port)  # with_bind_ports would listen on every address
    for name, value in kafka_environment(port).items():
        container = container.with_env(name, value)
    started = LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(_READY_SECONDS)
    container.waiting_for(started).start()
    atexit.register(container.stop)
    return f"127.0.0.1:{port}"


def start_postgres_container() -> str | None:
    """Superuser URL of a PostgreSQL server in a container; None where this tier is not to be had."""
    image = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:18")
    if not image_present(image):
        return None
    _loopback_only()
    from testcontainers.community.postgres import PostgresContainer

    container: Any = PostgresContainer(image, username="postgres", password="test-only", dbname="postgres", driver=None)
    container.start()
    atexit.register(container.stop)
    return str(container.get_connection_url())


def kafka_environment(host_port: int) -> dict[str, str]:
    """Settings of one broker that is also its own controller, reached from this host on `host_port`."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "HOST://0.0.0.0:9092,BROKER://0.0.0.0:9094,CONTROLLER://127.0.0.1:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"HOST://127.0.0.1:{host_port},BROKER://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "HOST:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }


def _engine_listens() -> bool:
    """Asked before the SDK, which leaves its socket open when nobody is there."""
    if "DOCKER_HOST" in os.environ:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex("/var/run/docker.sock") == 0


def _loopback_only() -> None:
    # The reaper image cannot be pulled everywhere; containers are stopped at exit instead.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
