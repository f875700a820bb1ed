from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from duly_localstack.class_archive import ensure_class_archive
from duly_localstack.errors import StackError
from duly_localstack.kafka import MESSAGE_BYTES_MAX, KafkaServer, live_brokers
from duly_localstack.ports import free_port, is_free
from duly_localstack.process import descendants
from duly_localstack.supervisor import RestartPolicy, Supervisor
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def server(jars_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    folder = tmp_path_factory.mktemp("kafka")
    made = KafkaServer(jars_dir, folder / "data", folder / "logs" / "kafka.jsonl", free_port(), free_port())
    yield made
    made.stop()


def test_kafka_starts_keeps_a_record_over_a_stop_and_a_kill_and_leaves_no_process(server: KafkaServer) -> None:
    server.start()
    with closing(KafkaAdminClient(bootstrap_servers=server.bootstrap_servers)) as admin:
        admin.create_topics([NewTopic("ledger-events", 3, 1)])
    with closing(KafkaProducer(bootstrap_servers=server.bootstrap_servers, acks="all")) as producer:
        producer.send("ledger-events", key=b"debtor", value=b"fact").get(timeout=30)
    first = server.pid
    server.kill()
    assert server.pid is None
    server.start()
    assert server.pid not in (None, first)
    server.stop()
    server.port, server.controller_port = free_port(), free_port()
    server.start()
    with closing(
        KafkaConsumer(
            "ledger-events",
            bootstrap_servers=server.bootstrap_servers,
            auto_offset_reset="earliest",
            consumer_timeout_ms=20_000,
        )
    ) as consumer:
        assert next(consumer).value == b"fact"
    pid = server.pid
    assert pid is not None
    server.stop()
    assert not psutil.pid_exists(pid)
    assert descendants(pid) == []
    assert is_free(server.port)
    assert live_brokers(server.port) == 0


def test_kafka_listens_on_loopback_alone_within_its_memory_and_makes_no_topic_by_accident(server: KafkaServer) -> None:
    server.start()
    process = psutil.Process(server.pid)
    listening = {entry.laddr.ip for entry in process.net_connections() if entry.status == psutil.CONN_LISTEN}
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert process.memory_info().rss < 600 * 1024**2
    with (
        closing(
            KafkaProducer(bootstrap_servers=server.bootstrap_servers, max_block_ms=500, max_request_size=10 * 1024**2)
        ) as producer,
        pytest.raises(Exception, match=r"metadata|Unknown|topic"),
    ):
        producer.send("never-made", b"x").get(timeout=5)
    with closing(KafkaAdminClient(bootstrap_servers=server.bootstrap_servers)) as admin:
        assert "never-made" not in admin.list_topics()
    assert server.properties()["message.max.bytes"] == MESSAGE_BYTES_MAX


def test_a_supervisor_restarts_a_killed_kafka(server: KafkaServer, eventually: Callable[..., None]) -> None:
    server.stop()
    server.prepare()
    with Supervisor(policy=RestartPolicy(delay_seconds_first=0.05)) as supervisor:
        supervisor.start(server.child_spec())
        first = supervisor.pid("kafka")
        supervisor.kill("kafka")
        eventually(lambda: supervisor.pid("kafka") not in (None, first))
        eventually(server.is_ready, within_seconds=30)
    assert is_free(server.port)


def test_a_port_in_use_is_told_before_anything_starts(server: KafkaServer, jars_dir: Path, tmp_path: Path) -> None:
    server.start()
    second = KafkaServer(jars_dir, server.data_dir, tmp_path / "log", server.port, free_port())
    with pytest.raises(StackError, match=rf"{server.port} \(Kafka\)"):
        second.start()
    assert second.pid is None


def test_missing_jars_are_told(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path / "jars", tmp_path / "data", tmp_path / "log", free_port(), free_port())
    with pytest.raises(StackError, match=r"Kafka's jars are not in .*duly up"):
        server.start()


def test_a_broker_that_cannot_start_shows_its_last_lines(jars_dir: Path, tmp_path: Path) -> None:
    server = KafkaServer(jars_dir, tmp_path / "data", tmp_path / "log", free_port(), free_port(), heap_mb=384)
    server.prepare()
    server.heap_mb = 1
    with pytest.raises(StackError, match=r"kafka ended at its start \(exit code 1\)(.|\n)*heap"):
        server.start()


@pytest.mark.slow
def test_a_class_archive_is_made_once_and_used(jars_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "jars"
    copy.mkdir()
    for jar in jars_dir.glob("*.jar"):
        (copy / jar.name).hardlink_to(jar)
    archive = ensure_class_archive(copy)
    made_at = archive.stat().st_mtime_ns
    assert ensure_class_archive(copy).stat().st_mtime_ns == made_at
    assert sorted(path.name for path in copy.iterdir() if path.suffix != ".jar") == [archive.name]
    with KafkaServer(copy, tmp_path / "data", tmp_path / "log", free_port(), free_port()) as server:
        mapped = {entry.path for entry in psutil.Process(server.pid).memory_maps()}
        assert str(archive) in mapped
