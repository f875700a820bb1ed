"""F4, F5: partitions move between workers, also away from one that does not know it."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from duly_chaos.campaign import PARTITIONS, parts_of
from duly_chaos.joining import SESSION, join_and_leave
from duly_chaos.ledger_log import play
from duly_chaos.worker import PATIENCE_SECONDS
from duly_testing.eventually import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


def test_f4_a_second_worker_comes_and_goes_under_load_and_nothing_is_lost_or_out_of_order(
    broker: Any, make_worker: Any, nothing_lost: Any
) -> None:
    book = play(51, 60, 60, live_days=50, partitions=PARTITIONS)
    join_and_leave(broker, book, make_worker, times=2, seed=51)
    nothing_lost(book)


@pytest.mark.parametrize(("faults", "codes"), [(["zombie:8"], {72}), (["slow-step:0.1"], {0, 70, 72})])
def test_f5_a_worker_that_was_frozen_past_its_session_ends_or_changes_nothing(
    faults: list[str], codes: set[int], broker: Any, make_worker: Any, nothing_lost: Any
) -> None:
    book = play(52, 60, 60, live_days=50, partitions=PARTITIONS)
    parts = list(parts_of(book, 3))
    frozen, other = make_worker("scoring-0"), make_worker("scoring-1")
    broker.send(parts[0].records)
    frozen.start([*faults, "slow-step:0.05"], env=SESSION)
    other.start(env=SESSION)
    eventually(lambda: frozen.positions() and other.positions(), PATIENCE_SECONDS)
    broker.send(parts[1].records)
    frozen.signal(signal.SIGSTOP)
    until = time.monotonic() + 9  # longer than the session and than the gap that `zombie` allows
    try:
        other.until_applied(parts[1].ends)
        eventually(lambda: time.monotonic() > until, 20)
        broker.send(parts[2].records)
    finally:
        frozen.signal(signal.SIGCONT)
    if codes == {72}:
        assert frozen.wait(30) == 72, frozen.last_words()
    eventually(lambda: {**frozen.positions(), **other.positions()} == book.ends, PATIENCE_SECONDS)
    for worker in (frozen, other):
        if not worker.ended():
            assert worker.stop() == 0, worker.last_words()
    assert frozen.wait(1) in codes, frozen.last_words()

    # Stopped while partitions moved, neither may have committed all: a later life takes up what is left.
    frozen.start(env=SESSION)
    frozen.until_applied(book.ends)
    assert frozen.stop() == 0
    nothing_lost(book)
