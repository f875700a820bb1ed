"""Issue rule: a pure fold of the log gives byte-identical states and outputs to the running worker."""

from __future__ import annotations

from typing import Any

import pytest
from duly_contracts.keys import partition_of
from scoring.application.pure_fold import pure_fold

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
EVENTS_MIN = 20_000


def test_the_worker_and_the_pure_fold_agree_byte_for_byte(
    worker: Any, broker: Any, play_ledger: Any, rules: Any
) -> None:
    book = play_ledger(seed=3, debtors=400, days=125, live_days=15)
    assert len(book.records) >= EVENTS_MIN
    broker.send(book.records)

    worker.start()
    expected = pure_fold(book.records, rules, book.partitions)
    worker.until_applied(book.ends, within_seconds=120)

    table = {record.key: record for record in broker.read("scoring-debtors-changelog")}
    assert {key: record.value for key, record in table.items()} == expected.blobs()
    assert all(record.partition == partition_of(key, book.partitions) for key, record in table.items())
    wanted = {(o.topic, o.key, o.value, o.headers) for o in expected.outputs}
    records = [*broker.read("risk-scores"), *broker.read("ledger-events-dlq")]
    written = [(record.topic, record.key, record.value, record.headers) for record in records]
    assert len(written) == len(expected.outputs)
    assert set(written) == wanted
    assert worker.stop() == 0
