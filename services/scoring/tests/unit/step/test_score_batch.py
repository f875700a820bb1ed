"""The scoring step on a store in memory: order, replays, duplicates, batch cuts."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from duly_contracts.keys import debtor_key
from duly_risk.codec import decode_state
from scoring.adapters.memory import OneModel
from scoring.application import states
from scoring.application.outputs import Output
from scoring.application.pure_fold import pure_fold

from duly.risk.v1 import events_pb2 as risk

NewBench = Callable[..., Any]
DAY = date(2031, 3, 3)
KEY = debtor_key("acme", "D-1")


def types(outputs: list[Output]) -> list[str]:
    return [dict(o.headers).get("ce_type", b"").decode() if o.topic == "risk-scores" else o.topic for o in outputs]


@pytest.mark.parametrize("seed", range(3))
def test_batch_cuts_do_not_change_a_byte(new_bench: NewBench, seed: int, play_ledger: Any, rules: OneModel) -> None:
    book = play_ledger(seed=seed, debtors=12, days=30, live_days=15)
    expected = pure_fold(book.records, rules, book.partitions)
    rng = random.Random(seed)
    bench, at = new_bench(), 0
    while at < len(book.records):
        size = rng.choice([1, 2, 7, 128])
        bench.feed(book.records[at : at + size])
        at += size
    assert bench.blobs() == expected.blobs()
    assert {o.id: o for o in bench.outputs} == {o.id: o for o in expected.outputs}
    assert len(bench.outputs) == len(expected.outputs)


def test_partitions_may_arrive_in_any_order_to_each_other(
    new_bench: NewBench, play_ledger: Any, rules: OneModel
) -> None:
    book = play_ledger(seed=9, debtors=12, days=20, live_days=10)
    expected = pure_fold(book.records, rules, book.partitions)
    bench = new_bench()
    for partition in random.Random(9).sample(range(book.partitions), book.partitions):
        bench.feed([record for record in book.records if record.partition == partition])
    assert bench.blobs() == expected.blobs()
    assert {o.id: o for o in bench.outputs} == {o.id: o for o in expected.outputs}


def test_a_replay_sends_nothing_and_writes_the_same_blob_again(new_bench: NewBench, book: Any) -> None:
    book.invoice("D-1", "INV-1", DAY)
    book.pay("D-1", "INV-1", DAY + timedelta(days=3))
    bench = new_bench()
    bench.feed(book.records)
    before = bench.blobs()

    outcome = bench.restarted().scorer.score(book.records, bench.models)
    assert outcome.outputs == []
    assert {key: blob for (_, key), blob in outcome.blobs.items()} == before


def test_a_replay_of_a_tick_over_newer_blobs_only_writes_them_again(new_bench: NewBench, play_ledger: Any) -> None:
    book = play_ledger(seed=4, debtors=10, days=12, live_days=8, disturbed=False)
    bench = new_bench()
    bench.feed(book.records)
    before = bench.blobs()
    again = bench.restarted()
    for start in range(0, len(book.records), 50):
        assert again.feed(book.records[start : start + 50]) == []
    assert again.blobs() == before


def test_a_replayed_tick_writes_the_blobs_it_had_written_and_a_further_tick_of_the_date_none(
    new_bench: NewBench, book: Any
) -> None:
    invoice = book.invoice("D-1", "INV-1", DAY)
    tick = next(one for one in book.tick(DAY) if one.partition == invoice.partition)
    bench = new_bench()
    bench.feed([invoice, tick])
    before = bench.blobs()

    again = bench.restarted()
    replayed = again.scorer.score([tick], bench.models)
    assert (replayed.outputs, {key: blob for (_, key), blob in replayed.blobs.items()}) == ([], before)
    further = next(one for one in book.tick(DAY, hour=10) if one.partition == invoice.partition)
    outcome = again.scorer.score([further], bench.models)
    assert (outcome.outputs, outcome.blobs) == ([], {})


def test_the_same_event_at_a_later_offset_has_no_output(new_bench: NewBench, book: Any) -> None:
    first = book.invoice("D-1", "INV-1", DAY)
    book.again(first)
    bench = new_bench()
    assert types(bench.feed(book.records)) == ["duly.risk.score_updated.v1"]
    assert decode_state(bench.blobs()[KEY]).facts_applied == 1


def test_a_score_names_its_cause(new_bench: NewBench, book: Any) -> None:
    record = book.invoice("D-1", "INV-1", DAY)
    (output,) = new_bench().feed(book.records)
    cause, headers = dict(record.headers), dict(output.headers)
    assert headers["ce_causationid"] == cause["ce_id"]
    assert headers["ce_correlationid"] == cause["ce_correlationid"]
    assert headers["ce_time"] == cause["ce_time"]
    assert headers["ce_businessdate"] == b"2031-03-03"
    score = risk.RiskScoreUpdated.FromString(output.value)
    assert (score.score_id, score.ledger_version, score.role) == (output.id, record.offset, risk.MODEL_ROLE_FALLBACK)


def test_what_is_kept_decoded_is_bounded_by_bytes_and_changes_nothing(
    new_bench: NewBench, play_ledger: Any, rules: OneModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = play_ledger(seed=2, debtors=12, days=20, live_days=10)
    expected = pure_fold(book.records, rules, book.partitions)
    monkeypatch.setattr(states, "CACHED_BYTES_MAX", 3_000)
    monkeypatch.setattr(states, "CACHED_STATES_MAX", 5)
    bench = new_bench()
    for start in range(0, len(book.records), 10):
        bench.feed(book.records[start : start + 10])
        kept = bench.scorer._states
        assert kept._cached_bytes == sum(len(blob) for blob, _ in kept._cache.values()) <= 3_000
        assert len(kept._cache) <= 5
    assert bench.blobs() == expected.blobs()


def test_backfill_folds_without_a_score(new_bench: NewBench, book: Any) -> None:
    book.invoice("D-1", "INV-1", DAY, backfill=True)
    book.tick(DAY, backfill=True)
    bench = new_bench()
    assert bench.feed(book.records) == []
    assert decode_state(bench.blobs()[KEY]).invoices.keys() == {"INV-1"}


def test_a_tick_scores_open_debtors_once_a_date_in_key_order(new_bench: NewBench, book: Any) -> None:
    for debtor in ("D-1", "D-2", "D-3"):
        book.invoice(debtor, f"INV-{debtor}", DAY, backfill=True)
    book.pay("D-2", "INV-D-2", DAY, backfill=True)
    history, bench = len(book.records), new_bench()
    bench.feed(book.records)
    book.tick(DAY + timedelta(days=1))
    book.tick(DAY + timedelta(days=1), hour=10)
    outputs = bench.feed(book.records[history:])
    assert sorted(output.key for output in outputs) == [debtor_key("acme", "D-1"), debtor_key("acme", "D-3")]
    assert len({output.id for output in outputs}) == 2


def test_a_debtor_who_moves_to_another_segment_is_told_once(new_bench: NewBench, book: Any) -> None:
    book.invoice("D-1", "INV-1", DAY)
    book.tick(DAY + timedelta(days=40))
    book.tick(DAY + timedelta(days=41))
    bench = new_bench()
    outputs = bench.feed(book.records)
    told = [output for output in outputs if dict(output.headers)["ce_type"] == b"duly.risk.segment_changed.v1"]
    assert types(outputs).count("duly.risk.score_updated.v1") == 3
    (change,) = [risk.RiskSegmentChanged.FromString(output.value) for output in told]
    assert (change.before.risk_band, change.after.risk_band) == (risk.RISK_BAND_MEDIUM, risk.RISK_BAND_CRITICAL)
    assert change.after.behaviour == risk.BEHAVIOUR_NEW
    assert (change.business_date, change.rule_version) == ((DAY + timedelta(days=40)).isoformat(), "segments-1")
    assert change.score_id in [output.id for output in outputs]
