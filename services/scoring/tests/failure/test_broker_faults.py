"""F6: what cannot be sent ends the process before anything is committed; once the broker is back nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from duly_chaos.broker import CHANGELOG, SCORES, Broker
from duly_chaos.campaign import PARTITIONS
from duly_chaos.checker import check
from duly_chaos.ledger_log import play
from duly_chaos.worker import PATIENCE_SECONDS, Worker
from duly_localstack import jars
from duly_localstack.kafka import KafkaServer
from duly_localstack.ports import free_port
from duly_risk.fallback import RulesModel
from duly_testing import servers
from duly_testing.eventually import eventually
from scoring.adapters.memory import OneModel

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


@pytest.mark.parametrize("topic", [SCORES, CHANGELOG])
def test_f6_a_refused_record_ends_the_process_before_anything_is_committed(
    topic: str, broker: Any, worker: Any, nothing_lost: Any
) -> None:
    book = play(5, 10, 12, live_days=12, disturbed=False, partitions=PARTITIONS)
    broker.send(book.records)
    with broker.refusing_more_than(100, topic):
        worker.start()
        assert worker.wait(PATIENCE_SECONDS) == 70, worker.last_words()
    before = broker.committed(PARTITIONS)
    assert any(before[partition] < end for partition, end in book.ends.items())

    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)


@pytest.fixture
def own_server(kafka_server: Any, tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker that a test may kill. kafka_server: skips this where no broker is to be had."""
    with KafkaServer(
        jars_dir=jars.ensure_jars(servers.state_dir() / "jars" / "kafka-4.3.0"),
        data_dir=tmp_path / "kafka",
        log_file=tmp_path / "kafka.log",
        port=free_port(),
        controller_port=free_port(),
    ) as server:
        yield server


def test_f6_without_its_broker_the_worker_ends_and_after_the_return_nothing_is_lost(
    own_server: KafkaServer, tmp_path: Path, kind: Any
) -> None:
    book = play(6, 40, 40, live_days=30, partitions=PARTITIONS)
    with closing(Broker(own_server.bootstrap_servers)) as broker:
        broker.fresh_topics(PARTITIONS)
        broker.send(book.records)
    worker = Worker(own_server.bootstrap_servers, tmp_path, kind)
    worker.start(["slow-step:0.2", "send-timeout:3"])
    eventually(lambda: worker.facts() > 50, PATIENCE_SECONDS)
    own_server.kill(signal.SIGKILL)
    assert worker.wait(PATIENCE_SECONDS) == 70, worker.last_words()

    own_server.start()
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    with closing(Broker(own_server.bootstrap_servers)) as broker:
        assert check(broker, book, OneModel(RulesModel())).wrong == ()
