"""F17: crashes at every await, duplicates, partitions in any order; in memory. 1,000 seeds: `make test-chaos`."""

from __future__ import annotations

import random
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from duly_chaos.checker import compare
from duly_chaos.ledger_log import START, Ledger, play
from duly_chaos.simulated_broker import Disk, empty_store
from duly_chaos.simulation import BATCH, TAKE, simulate
from duly_risk.fallback import RulesModel

SEEDS = 100  # of each shell


@pytest.mark.parametrize("shell", [TAKE, BATCH])
def test_killed_at_every_await_of_a_small_log_the_next_life_ends_where_the_pure_fold_does(
    shell: str, rules: RulesModel
) -> None:
    book = play(1, 3, 5, live_days=4, partitions=2)
    awaits = simulate(1, shell, book, rules, []).awaits
    for at in range(1, awaits, 1 + awaits // 150):
        verdict = verdict_of(simulate(at, shell, book, rules, [at]), book, rules)
        assert verdict.wrong == (), f"killed at await {at}"


@pytest.mark.parametrize("shell", [TAKE, BATCH])
def test_whatever_the_seed_kills_refuses_and_delays_nothing_is_lost_and_nothing_differs(
    shell: str, rules: RulesModel
) -> None:
    for seed in range(SEEDS):
        rng = random.Random(seed)
        book = play(seed, rng.randrange(2, 6), rng.randrange(5, 9), live_days=5, partitions=rng.randrange(1, 4))
        dies_at = [rng.randrange(1, 400) for _ in range(rng.randrange(1, 5))]
        verdict = verdict_of(simulate(seed, shell, book, rules, dies_at), book, rules)
        assert verdict.wrong == (), f"seed {seed}"


@pytest.mark.parametrize("shell", [TAKE, BATCH])
def test_killed_at_every_await_of_a_tick_the_store_is_ahead_of_the_changelog_and_the_replay_writes_the_blobs_again(
    shell: str, rules: RulesModel
) -> None:
    book = Ledger(2)
    for number in range(4):
        book.invoice(f"D-{number}", f"I-{number}", START, backfill=True)
    before = simulate(1, shell, book, rules, [], Disk(local=empty_store())).disk
    book.tick(START + timedelta(days=1))  # nothing after it that would write the blobs anyway
    awaits = simulate(1, shell, book, rules, [], deepcopy(before)).awaits
    for at in range(1, awaits):
        for seed in range(3):
            verdict = verdict_of(simulate(seed, shell, book, rules, [at], deepcopy(before)), book, rules)
            assert verdict.wrong == (), f"killed at await {at}"


def verdict_of(simulated: Any, book: Any, model: RulesModel) -> Any:
    return compare(book, model, simulated.disk.topic, simulated.disk.committed)
