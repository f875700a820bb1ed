"""The engine job and how its engines are judged. No engine is started and nothing is timed."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scoring import bootstrap

from bench import toy
from bench.engine_job import Expected, ToyStep, events, expected, mismatches
from bench.peers import tree_walk
from bench.peers.broker import Stored
from bench.peers.engines import ENGINES
from bench.peers.job import calm_collector
from bench.peers.latency import FIRST, Pace, waits_of
from bench.peers.report import EngineResult, ratios, tables
from bench.peers.run import Check, Round, Sample, rated
from bench.peers.tree_walk import Trees, TreeWalk

GOOD = Check(wrong_keys=0, scores=10, expected_scores=10, uncommitted=0)


class SumOfRow:
    """A model that depends on every feature, one row or many."""

    def inplace_predict(self, rows: np.ndarray, predict_type: str) -> np.ndarray:
        return np.array([row.sum() for row in rows], np.float32)


class Held:
    def __init__(self) -> None:
        self.states: dict[tuple[int, bytes], bytes] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.states.get((partition, key))


def a_round(rate: float, check: Check = GOOD) -> Round:
    return Round(events_per_second=rate, cpu_us=10.0, broker_busy=0.5, check=check)


def found(name: str, *rates: float, faults: tuple[str, ...] = ()) -> EngineResult:
    engine = next(engine for engine in ENGINES if engine.name == name)
    return EngineResult(engine, events=10, rounds=dict(enumerate(map(a_round, rates))), faults=list(faults))


class TestTheJob:
    records = events(count=400, keys=30, partitions=4, topic="t")

    def test_one_by_one_and_in_batches_give_equal_bytes(self) -> None:
        truth = expected(self.records, SumOfRow())
        states: dict[bytes, bytes] = {}
        scores = []
        for record in self.records:
            states[record.key], score = toy.score_one(states.get(record.key), record.offset, record.value, SumOfRow())
            assert score is not None
            scores.append((record.key, score))
        assert mismatches(truth, states, scores, repeats=False) == 0

    def test_where_a_batch_ends_does_not_matter(self) -> None:
        truth, held = expected(self.records, SumOfRow()), Held()
        scores = []
        for start in range(0, len(self.records), 7):
            outcome = ToyStep(held, SumOfRow()).score(self.records[start : start + 7])
            held.states.update(outcome.blobs)
            scores += [(output.key, output.value) for output in outcome.outputs]
        assert mismatches(truth, {key: state for (_, key), state in held.states.items()}, scores, repeats=False) == 0

    def test_a_replay_scores_nothing_and_keeps_the_state(self) -> None:
        held = Held()
        held.states = dict(ToyStep(held, SumOfRow()).score(self.records).blobs)
        again = ToyStep(held, SumOfRow()).score(self.records)
        assert again.outputs == []
        assert again.blobs == held.states
        record = self.records[0]
        state = held.states[record.partition, record.key]
        assert toy.score_one(state, record.offset, record.value, SumOfRow()) == (state, None)

    def test_a_lost_a_repeated_and_a_wrong_score_are_seen(self) -> None:
        truth = Expected({b"a": b"2", b"b": b"1"}, {b"a": [b"x", b"y"], b"b": [b"z"]})
        states, scores = {b"a": b"2", b"b": b"1"}, [(b"a", b"x"), (b"a", b"y"), (b"b", b"z")]
        assert mismatches(truth, states, scores, repeats=False) == 0
        assert mismatches(truth, states, scores[1:], repeats=False) == 1
        assert mismatches(truth, states, [*scores, scores[0]], repeats=False) == 1
        assert mismatches(truth, {**states, b"b": b"0"}, scores, repeats=False) == 1


@pytest.mark.skipif(tree_walk.compiler() is None, reason="no C compiler")
def test_the_cheap_predictor_gives_the_bytes_of_xgboost(tmp_path: Path) -> None:
    import xgboost

    rng = np.random.default_rng(3)
    rows = rng.random((500, 5), dtype=np.float32)
    labels = (rows[:, 0] > 0.7).astype(np.float32)  # some trees stay shallow
    settings = {"max_depth": 3, "objective": "binary:logistic", "nthread": 1, "seed": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(rows, labels, nthread=1), num_boost_round=12)
    compiler = tree_walk.compiler()
    assert compiler is not None
    tree_walk.build(compiler, tmp_path / "walk.so")
    Trees.of(booster, depth=3).save(tmp_path / "trees.npz")
    walk = TreeWalk(tmp_path / "walk.so", Trees.load(tmp_path / "trees.npz"))

    margins = booster.inplace_predict(rows, predict_type="margin")
    assert walk.inplace_predict(rows, predict_type="margin").tobytes() == margins.tobytes()
    assert walk.inplace_predict(rows[7:8], predict_type="margin")[0] == margins[7]


def test_the_first_tenth_of_the_scores_is_warm_up() -> None:
    scores = [Stored(0, n, at=1000 + (5000 if n >= 10 else 0) + 10 * n, key=b"", value=b"") for n in range(100)]
    samples = [Sample(0.0, 0, 1.0, 1.0), Sample(6.0, 20, 2.0, 1.5), Sample(6.8, 100, 2.4, 1.9)]
    round_ = rated(scores, samples, GOOD)
    assert round_.events_per_second == pytest.approx(90 / 0.89)
    assert round_.cpu_us == pytest.approx(0.4 / 80 * 1e6)
    assert round_.broker_busy == pytest.approx(0.5)


def test_a_wait_is_from_the_append_of_the_event_to_that_of_its_score() -> None:
    pace = Pace(rate=10, seconds=2, warm_up=1)
    records = events(count=FIRST + pace.events, keys=3, partitions=2, topic="t")
    sent = [Stored(record.partition, record.offset, 100, record.key, b"") for record in records]
    scores = [Stored(0, n, 100 + n, r.key, r.offset.to_bytes(8, "little")) for n, r in enumerate(records)]
    assert waits_of(records, sent, scores, [pace]) == {10: [float(n) for n in range(FIRST + 10, FIRST + 20)]}


def test_an_engine_that_loses_repeats_or_does_not_commit_is_disqualified_visibly() -> None:
    assert GOOD.fault == ""
    assert Check(wrong_keys=2, scores=9, expected_scores=10, uncommitted=0).fault == "2 keys wrong, -1 scores"
    assert Check(wrong_keys=0, scores=10, expected_scores=10, uncommitted=3).fault == "3 events not committed"
    wrong = found("quix-walk", 100.0, faults=("2 keys wrong, -1 scores",))
    assert wrong.verdict == "DISQUALIFIED: 2 keys wrong, -1 scores"
    assert "DISQUALIFIED" in tables([wrong], [])


def test_a_life_that_ends_too_soon_is_said_and_is_no_disqualification() -> None:
    stopped = found("quix", 100.0)
    stopped.failures.append("quix ended too soon. Log: somewhere")
    assert stopped.verdict == "1 FAILED: quix ended too soon"
    assert EngineResult(stopped.engine, events=10).verdict == "not measured"


def test_a_target_is_judged_by_the_median_of_the_rounds_ratios() -> None:
    entries = judged(found("duly-batch", 80, 90, 300), found("quix-walk", 40, 50, 100))
    assert [(entry["ours"], entry["theirs"]) for entry in entries] == [("duly-batch", "quix-walk")]
    assert entries[0]["found"]["median"] == 2.0
    assert entries[0]["holds"] is True
    assert judged(found("duly-batch", 79), found("quix-walk", 40))[0]["holds"] is False


def judged(*engines: EngineResult) -> list[dict[str, Any]]:
    return ratios({each.engine.name: each for each in engines})


def test_no_two_lives_share_a_group_or_a_changelog() -> None:
    names = [engine.names(life, "events") for life in (1, 2) for engine in ENGINES]
    assert len({engine.name for engine in ENGINES}) == len(ENGINES)
    by_life = [{name.changelog for name in names[: len(ENGINES)]}, {name.changelog for name in names[len(ENGINES) :]}]
    assert not by_life[0] & by_life[1]


def test_peers_have_the_cycle_collector_that_scoring_has() -> None:
    before, set_to = gc.get_threshold(), []
    try:
        for calm in (bootstrap.calm_collector, calm_collector):
            gc.set_threshold(*before)
            calm()
            set_to.append((gc.get_threshold(), gc.get_freeze_count() > 0))
            gc.unfreeze()
    finally:
        gc.set_threshold(*before)
    assert set_to[0] == set_to[1] != (before, False)
