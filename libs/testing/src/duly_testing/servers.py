"""Real servers for tests, by tiers in the order of `DULY_TEST_TIERS` (default `env,docker,native`).

env: the server that a variable names. docker: testcontainers, where an engine answers and has the image.
native: Kafka and PostgreSQL from pip-installed parts (`duly_localstack`).
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from duly_localstack import jars
from duly_localstack.kafka import KafkaServer
from duly_localstack.ports import free_port
from duly_localstack.postgres import PostgresServer

from duly_testing.containers import start_kafka_container, start_postgres_container


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server answers, and which tier it came from."""

    address: str
    tier: str


class NoServer(RuntimeError):
    """No tier could offer the server."""


def state_dir() -> Path:
    """Where jars are kept between runs."""
    return Path(os.environ.get("DULY_STATE", ".duly")).resolve()


@cache
def kafka() -> Server:
    """One Kafka broker per test process."""
    return _first_tier("DULY_TEST_KAFKA_BOOTSTRAP_SERVERS", start_kafka_container, _native_kafka)


@cache
def postgres() -> Server:
    """One PostgreSQL server per test process; the address is a superuser URL without a database."""
    return _first_tier("DULY_TEST_DATABASE_URL", start_postgres_container, _native_postgres)


def _first_tier(variable: str, docker: Callable[[], str | None], native: Callable[[], str]) -> Server:
    tried = []
    for tier in os.environ.get("DULY_TEST_TIERS", "env,docker,native").split(","):
        tried.append(tier)
        if tier == "env" and os.environ.get(variable):
            return Server(os.environ[variable], tier)
        if tier == "docker" and (address := docker()):
            return Server(address, tier)
        if tier == "native":
            return Server(native(), tier)
    raise NoServer(f"no server in tiers {', '.join(tried)}: set {variable} or allow tier native")


def _native_kafka() -> str:
    folder = Path(tempfile.mkdtemp(prefix="duly-kafka-"))
    jars_dir = jars.ensure_jars(state_dir() / "jars" / "kafka-4.3.0")
    server = KafkaServer(
        jars_dir=jars_dir,
        data_dir=folder / "data",
        log_file=folder / "kafka.log",
        port=free_port(),
        controller_port=free_port(),
    )
    server.start()
    atexit.register(server.stop)
    return server.bootstrap_servers


def _native_postgres() -> str:
    folder = Path(tempfile.mkdtemp(prefix="duly-postgres-"))
    server = PostgresServer(
        data_dir=folder / "data", port=free_port(), log_file=folder / "postgres.log", superuser_password="test-only"
    )
    server.start()
    atexit.register(server.stop)
    return server.dsn()
