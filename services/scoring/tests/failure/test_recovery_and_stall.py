"""F8, F9: a lost disk, and a partition that stands still."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from duly_testing.eventually import eventually
from scoring_chaos.broker import SCORES
from scoring_chaos.campaign import PARTITIONS
from scoring_chaos.ledger_log import START, play
from scoring_chaos.worker import PATIENCE_SECONDS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


def test_f8_with_its_disk_gone_the_worker_recovers_the_fold_and_is_ready_only_then(
    broker: Any, worker: Any, nothing_lost: Any, tmp_path: Path
) -> None:
    book = play(61, 60, 40, live_days=10, partitions=PARTITIONS)
    broker.send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    worker.kill()
    shutil.rmtree(worker.data)
    before, already = len(broker.read(SCORES)), len(book.records)
    book.tick(START + timedelta(days=40))
    broker.send(book.records[already:])

    go_on = tmp_path / "go-on"
    worker.start([f"hold-recovery:{go_on}", "watch:1"])
    eventually(lambda: worker.get("/live") == 200, PATIENCE_SECONDS)
    until = time.monotonic() + 5  # longer than the watchdog's limit: recovering is no reason to exit (F9)
    while time.monotonic() < until:
        assert not worker.ended(), worker.last_words()
        assert worker.get("/ready") == 503
    assert len(broker.read(SCORES)) == before
    worker.kill()

    worker.start([f"hold-recovery:{go_on}"])
    eventually(lambda: worker.get("/ready") == 503, PATIENCE_SECONDS)
    go_on.touch()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)


def test_f9_one_partition_that_stands_still_ends_the_process_with_71(
    broker: Any, worker: Any, nothing_lost: Any
) -> None:
    book = play(62, 30, 30, live_days=10, partitions=PARTITIONS)
    broker.send(book.records)
    worker.start(["stall:2", "watch:5"])
    assert worker.wait(PATIENCE_SECONDS) == 71, worker.last_words()
    committed = broker.committed(PARTITIONS)
    assert committed == {**book.ends, 2: 0}
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)
