"""F2, F3: `kill -9` at any moment and at every point of a batch. 100 seeds: `make test-chaos`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from duly_chaos.campaign import PARTITIONS, parts_of, run_seed
from duly_chaos.faulty import POINTS
from duly_chaos.ledger_log import play
from duly_chaos.worker import PATIENCE_SECONDS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


@pytest.mark.parametrize("seed", [1])
def test_f2_killed_again_and_again_it_ends_where_the_pure_fold_does(
    seed: int, broker: Any, tmp_path: Path, kind: Any
) -> None:
    run = run_seed(seed, broker, tmp_path, kind)
    assert run.verdict is not None
    assert run.verdict.wrong == ()


def test_f3_killed_between_output_state_and_commit_it_repeats_and_skips_nothing(
    broker: Any, worker: Any, nothing_lost: Any
) -> None:
    book = play(31, 40, 40, live_days=30, partitions=PARTITIONS)
    for part, point in zip(parts_of(book, len(POINTS)), POINTS, strict=True):
        broker.send(part.records)
        worker.start([f"kill:{point}:1"])
        assert worker.wait(PATIENCE_SECONDS) == -9, worker.last_words()
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)
