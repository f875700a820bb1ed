"""F8, F9: a lost disk, a partition that stands still, a recovery that waits for what will never come."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from duly_chaos.broker import SCORES
from duly_chaos.campaign import PARTITIONS
from duly_chaos.ledger_log import START, play
from duly_chaos.worker import PATIENCE_SECONDS, kinds
from duly_testing.eventually import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

# The broker keeps the member for so long after its end.
SESSION_LONG = {"DULY_SCORING_SESSION_TIMEOUT_SECONDS": "300"}


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
    assert committed.pop(2) == 0
    assert all(0 < at <= book.ends[partition] for partition, at in committed.items())  # the others went on
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)


def test_f9_partitions_that_are_no_more_end_the_recovery_with_71_and_the_next_life_has_those_there_are(
    broker: Any, worker: Any, nothing_lost: Any
) -> None:
    book = play(63, 30, 30, live_days=10, partitions=PARTITIONS)
    broker.send(book.records)
    worker.start(env=SESSION_LONG)
    worker.until_applied(book.ends)
    worker.kill()
    broker.fresh_topics(PARTITIONS // 2, keep_members=True)
    smaller = play(64, 30, 30, live_days=10, partitions=PARTITIONS // 2)
    broker.send(smaller.records)

    worker.start(["patience:5"], env=SESSION_LONG)
    assert worker.wait(PATIENCE_SECONDS) == 71, worker.last_words()
    assert "scoring.recovery_stuck" in worker.last_words()
    worker.start(env=SESSION_LONG)
    worker.until_applied(smaller.ends)
    assert worker.stop() == 0
    nothing_lost(smaller)


@pytest.mark.parametrize("kind", kinds()[:1], ids=str)
def test_f9_a_recovery_with_nothing_left_to_read_ends_with_71_and_one_that_reads_takes_its_time(
    broker: Any, worker: Any, nothing_lost: Any
) -> None:
    book = play(65, 30, 30, live_days=10, partitions=PARTITIONS)
    broker.send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    worker.kill()
    shutil.rmtree(worker.data)
    worker.start(["far-recovery:1000000", "patience:5"])
    assert worker.wait(PATIENCE_SECONDS) == 71, worker.last_words()

    shutil.rmtree(worker.data)
    worker.start(["slow-recovery:3", "patience:5"])  # some fetches: in all longer than the patience
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)
