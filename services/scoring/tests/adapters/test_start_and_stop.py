"""A worker that has nothing to do, and one that cannot begin."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def test_a_restart_with_nothing_to_read_reports_the_committed_position(
    worker: Any, broker: Any, play_ledger: Any
) -> None:
    book = play_ledger(seed=6, debtors=5, days=8, live_days=4)
    broker.send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    assert broker.committed(book.partitions) == book.ends

    worker.start()
    worker.until_applied(book.ends)
    status = worker.status()
    assert (status["facts"], status["scores"], status["work"], status["outbox"]) == (0, 0, 0, 0)
    assert worker.get("/live") == 200


def test_without_its_changelog_the_worker_says_what_is_missing(worker: Any) -> None:
    worker.start(env={"DULY_SCORING_APP_VERSION": "2"})
    assert worker.wait(60) == 78
    assert "topics missing: scoring-v2-debtors-changelog" in worker.last_words()
