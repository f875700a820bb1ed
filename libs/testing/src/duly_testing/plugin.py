"""pytest plugin: real servers by fixture, skipped with a reason where absent (failed where they are required)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
import structlog
from duly_runtime.kafka_log import KafkaLog
from hypothesis import settings
from psycopg import sql

from duly_testing import servers
from duly_testing.clock import FakeClock
from duly_testing.kafka_topics import empty_topics
from duly_testing.memory_log import MemoryLog


def pytest_configure(config: pytest.Config) -> None:
    """Logs go through the standard library, so that pytest captures them; no property fails on a busy machine."""
    settings.register_profile("duly", deadline=None)
    settings.load_profile("duly")
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _required(kind: str) -> bool:
    return os.environ.get("CI") == "true" or kind in os.environ.get("DULY_REQUIRE", "").split(",")


def _server_or_skip(kind: str, start: Callable[[], servers.Server]) -> servers.Server:
    try:
        return start()
    except Exception as error:  # whatever keeps a server from starting is the reason to skip, or to fail where required
        if _required(kind):
            raise
        pytest.skip(f"no {kind}: {error}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests without a server marker run with sockets off: a unit test that talks is no unit test."""
    if not any(item.get_closest_marker(name) for name in ("kafka", "postgres", "docker", "sockets")):
        item.add_marker(pytest.mark.disable_socket)
        from pytest_socket import disable_socket

        disable_socket(allow_unix_socket=True)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    from pytest_socket import enable_socket

    enable_socket()


@pytest.fixture(scope="session")
def kafka_server() -> servers.Server:
    """A Kafka broker; its topics belong to whichever test asked last."""
    return _server_or_skip("kafka", servers.kafka)


@pytest.fixture
def kafka_bootstrap(kafka_server: servers.Server) -> str:
    """Address of a broker with the registry's topics, all empty."""
    empty_topics(kafka_server.address)
    return kafka_server.address


@pytest.fixture
def kafka_log(kafka_bootstrap: str) -> KafkaLog:
    """The real event log, empty."""
    return KafkaLog(kafka_bootstrap)


@pytest.fixture
def memory_log() -> MemoryLog:
    """The event log in memory, empty."""
    return MemoryLog()


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until told."""
    return FakeClock()


@pytest.fixture(scope="session")
def postgres_server() -> servers.Server:
    """A PostgreSQL server."""
    return _server_or_skip("postgres", servers.postgres)


@pytest.fixture
def make_database(postgres_server: servers.Server) -> Iterator[Callable[[], str]]:
    """Makes empty databases, each its own; dropped at the end of the test."""
    names: list[str] = []

    def make() -> str:
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(postgres_server.address, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        names.append(name)
        return postgres_server.address.rsplit("/", 1)[0] + f"/{name}"

    yield make
    with psycopg.connect(postgres_server.address, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def pg_dsn(make_database: Callable[[], str]) -> str:
    """URL of an empty database of this test's own."""
    return make_database()
