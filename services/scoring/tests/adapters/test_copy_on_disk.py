"""With RocksDB a restart reads what came since; a copy that cannot be used is made anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from duly_chaos.worker import Worker
from scoring.application.pure_fold import pure_fold

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
ON_DISK = {"DULY_SCORING_STORE": "rocksdb"}


def said(worker: Worker, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]


def test_after_a_kill_only_the_rest_of_the_changelog_is_read_and_after_damage_all_of_it(
    worker: Any, broker: Any, play_ledger: Any, rules: Any
) -> None:
    book = play_ledger(seed=9, debtors=40, days=30, live_days=10)
    half = len(book.records) // 2
    ends = {record.partition: record.offset + 1 for record in book.records[:half]}
    broker.send(book.records[:half])
    worker.start(env=ON_DISK)
    worker.until_applied(ends)
    worker.kill()

    changelog = len(broker.read("scoring-debtors-changelog"))
    broker.send(book.records[half:])
    worker.start(env=ON_DISK)
    worker.until_applied(book.ends)
    assert sum(line["records"] for line in said(worker, "scoring.changelog_read")) < changelog / 4
    assert said(worker, "scoring.state_recovered")[-1]["debtors"] >= 30
    assert worker.stop() == 0

    for current in worker.data.glob("state/scoring/v1/tables/debtors-*.db/CURRENT"):
        current.write_text("nonsense")
    before = len(said(worker, "scoring.changelog_read"))
    worker.start(env=ON_DISK)
    worker.until_applied(book.ends)
    assert len(said(worker, "scoring.local_state_discarded")) == 1
    whole = len(broker.read("scoring-debtors-changelog"))
    assert [line["records"] for line in said(worker, "scoring.changelog_read")[before:]] == [whole]
    assert worker.stop() == 0
    table = {record.key: record.value for record in broker.read("scoring-debtors-changelog")}
    assert table == pure_fold(book.records, rules, book.partitions).blobs()
