"""F2, F6: kills and failed sends against a real broker. Nothing is lost, nothing that comes twice differs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import kafka
import pytest
from duly_runtime.log import Record
from duly_testing.eventually import eventually
from kafka.admin import ConfigResource, ConfigResourceType
from scoring.application.pure_fold import pure_fold

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_the_worker_ends_where_the_pure_fold_does(
    seed: int,
    worker: Any,
    send: Callable[..., None],
    read_topic: Callable[[str], list[Record]],
    play_ledger: Any,
    rules: Any,
) -> None:
    rng = random.Random(seed)
    book = play_ledger(seed=seed, debtors=60, days=60, live_days=20)
    expected = pure_fold(book.records, rules, book.partitions)

    quarter = len(book.records) // 4
    for life in range(4):
        send(book.records[life * quarter : (life + 1) * quarter])
        worker.start()
        target = rng.randrange(1, 200)
        eventually(lambda at_least=target: worker.facts() >= at_least, 60)
        worker.kill()
    send(book.records[4 * quarter :])
    worker.start()
    worker.until_applied(book.ends)

    table = {record.key: record.value for record in read_topic("scoring-debtors-changelog")}
    assert table == expected.blobs()
    wanted = {output.id: (output.value, output.headers) for output in expected.outputs if output.topic == "risk-scores"}
    for record in read_topic("risk-scores"):
        assert (record.value, record.headers) == wanted[dict(record.headers)["ce_id"].decode()]
    assert {dict(record.headers)["ce_id"].decode() for record in read_topic("risk-scores")} == set(wanted)


def test_a_failed_send_ends_the_process_before_anything_is_committed(
    worker: Any, kafka_bootstrap: str, send: Callable[..., None], play_ledger: Any
) -> None:
    book = play_ledger(seed=5, debtors=10, days=12, live_days=6, disturbed=False)
    send(book.records)
    live = {record.partition for record in book.records if b"ce_backfill" not in dict(record.headers)}
    _limit_message_bytes(kafka_bootstrap, 100)
    try:
        worker.start()
        assert worker.wait(60) == 70
        assert "scoring.send_failed" in worker.log.read_text()
    finally:
        _limit_message_bytes(kafka_bootstrap, 1_048_576)
    before = _committed(kafka_bootstrap, book.ends)
    assert any(before[partition] < book.ends[partition] for partition in live)

    worker.start()
    worker.until_applied(book.ends)


def test_a_restart_with_nothing_to_read_reports_the_committed_position(
    worker: Any, kafka_bootstrap: str, send: Callable[..., None], play_ledger: Any
) -> None:
    book = play_ledger(seed=6, debtors=5, days=8, live_days=4)
    send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    assert _committed(kafka_bootstrap, book.ends) == book.ends

    worker.start()
    worker.until_applied(book.ends)
    status = worker.status()
    assert (status["facts"], status["scores"], status["work"], status["outbox"]) == (0, 0, 0, 0)
    assert worker.get("/live") == 200


def test_without_its_changelog_the_worker_says_what_is_missing(worker: Any) -> None:
    worker.start(env={"DULY_SCORING_APP_VERSION": "2"})
    assert worker.wait(60) == 78
    assert "topics missing: scoring-v2-debtors-changelog" in worker.log.read_text()


def _limit_message_bytes(bootstrap: str, limit: int) -> None:
    admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, "risk-scores", configs={"max.message.bytes": str(limit)})
        admin.alter_configs([resource])
    finally:
        admin.close()


def _committed(bootstrap: str, ends: Mapping[int, int]) -> dict[int, int]:
    reader = kafka.KafkaConsumer(bootstrap_servers=bootstrap, group_id="scoring", enable_auto_commit=False)
    try:
        return {p: reader.committed(kafka.TopicPartition("ledger-events", p)) or 0 for p in ends}
    finally:
        reader.close()
