"""The scoring step on a store in memory: order, replays, duplicates, poison, batch cuts."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from duly_contracts.keys import debtor_key, partition_of, slice_of
from duly_risk.asking import HazardInvalid
from duly_risk.codec import decode_state, encode_state
from duly_risk.facts import InvoiceStated, Position, RiskEvent
from duly_risk.fallback import RulesModel
from duly_risk.state import DebtorState, replaced
from duly_risk.step import fold
from duly_runtime.dlq import LETTER_BYTES_MAX
from duly_runtime.log import Record
from duly_runtime.poison_meter import TooMuchPoison
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring.adapters.memory import MemoryStates, OneModel
from scoring.application import score_batch, states
from scoring.application.outputs import Output
from scoring.application.pure_fold import pure_fold
from scoring.application.score_batch import Scorer
from scoring.domain.open_debtors import OpenDebtors

from duly.risk.v1 import events_pb2 as risk

DAY = date(2031, 3, 3)
KEY = debtor_key("acme", "D-1")


class Bench:
    """A scorer with its store, fed batch by batch as the stream does."""

    def __init__(self, models: Any = None, partitions: int = 12) -> None:
        self.store = MemoryStates()
        self.scorer = Scorer(self.store, partitions)
        self.models = models or OneModel(RulesModel())
        self.outputs: list[Output] = []

    def feed(self, records: list[Record]) -> list[Output]:
        outcome = self.scorer.score(records, self.models)
        for (partition, key), blob in outcome.blobs.items():
            self.store.put(partition, key, blob)
        self.outputs += outcome.outputs
        return outcome.outputs

    def restarted(self) -> Bench:
        """Another process on the same store."""
        other = Bench(self.models)
        other.store = self.store
        other.scorer = Scorer(self.store, 12)
        other.scorer.rebuild(self.store.places())
        return other

    def blobs(self) -> dict[bytes, bytes]:
        return {key: blob for (_, key), blob in self.store.blobs.items()}


def types(outputs: list[Output]) -> list[str]:
    return [dict(o.headers).get("ce_type", b"").decode() if o.topic == "risk-scores" else o.topic for o in outputs]


@pytest.mark.parametrize("seed", range(3))
def test_batch_cuts_do_not_change_a_byte(seed: int, play_ledger: Any, rules: OneModel) -> None:
    book = play_ledger(seed=seed, debtors=12, days=30, live_days=15)
    expected = pure_fold(book.records, rules, book.partitions)
    rng = random.Random(seed)
    bench, at = Bench(), 0
    while at < len(book.records):
        size = rng.choice([1, 2, 7, 128])
        bench.feed(book.records[at : at + size])
        at += size
    assert bench.blobs() == expected.blobs()
    assert {o.id: o for o in bench.outputs} == {o.id: o for o in expected.outputs}
    assert len(bench.outputs) == len(expected.outputs)


def test_partitions_may_arrive_in_any_order_to_each_other(play_ledger: Any, rules: OneModel) -> None:
    book = play_ledger(seed=9, debtors=12, days=20, live_days=10)
    expected = pure_fold(book.records, rules, book.partitions)
    bench = Bench()
    for partition in random.Random(9).sample(range(book.partitions), book.partitions):
        bench.feed([record for record in book.records if record.partition == partition])
    assert bench.blobs() == expected.blobs()
    assert {o.id: o for o in bench.outputs} == {o.id: o for o in expected.outputs}


def test_a_replay_sends_nothing_and_writes_the_same_blob_again(book: Any) -> None:
    book.invoice("D-1", "INV-1", DAY)
    book.pay("D-1", "INV-1", DAY + timedelta(days=3))
    bench = Bench()
    bench.feed(book.records)
    before = bench.blobs()

    outcome = bench.restarted().scorer.score(book.records, bench.models)
    assert outcome.outputs == []
    assert {key: blob for (_, key), blob in outcome.blobs.items()} == before


def test_a_replay_of_a_tick_over_newer_blobs_only_writes_them_again(play_ledger: Any) -> None:
    book = play_ledger(seed=4, debtors=10, days=12, live_days=8, disturbed=False)
    bench = Bench()
    bench.feed(book.records)
    before = bench.blobs()
    again = bench.restarted()
    for start in range(0, len(book.records), 50):
        assert again.feed(book.records[start : start + 50]) == []
    assert again.blobs() == before


def test_a_replayed_tick_writes_the_blobs_it_had_written_and_a_further_tick_of_the_date_none(book: Any) -> None:
    invoice = book.invoice("D-1", "INV-1", DAY)
    tick = next(one for one in book.tick(DAY) if one.partition == invoice.partition)
    bench = Bench()
    bench.feed([invoice, tick])
    before = bench.blobs()

    again = bench.restarted()
    replayed = again.scorer.score([tick], bench.models)
    assert (replayed.outputs, {key: blob for (_, key), blob in replayed.blobs.items()}) == ([], before)
    further = next(one for one in book.tick(DAY, hour=10) if one.partition == invoice.partition)
    outcome = again.scorer.score([further], bench.models)
    assert (outcome.outputs, outcome.blobs) == ([], {})


def test_the_same_event_at_a_later_offset_has_no_output(book: Any) -> None:
    first = book.invoice("D-1", "INV-1", DAY)
    book.again(first)
    bench = Bench()
    assert types(bench.feed(book.records)) == ["duly.risk.score_updated.v1"]
    assert decode_state(bench.blobs()[KEY]).facts_applied == 1


def test_a_score_names_its_cause(book: Any) -> None:
    record = book.invoice("D-1", "INV-1", DAY)
    (output,) = Bench().feed(book.records)
    cause, headers = dict(record.headers), dict(output.headers)
    assert headers["ce_causationid"] == cause["ce_id"]
    assert headers["ce_correlationid"] == cause["ce_correlationid"]
    assert headers["ce_time"] == cause["ce_time"]
    assert headers["ce_businessdate"] == b"2031-03-03"
    score = risk.RiskScoreUpdated.FromString(output.value)
    assert (score.score_id, score.ledger_version, score.role) == (output.id, record.offset, risk.MODEL_ROLE_FALLBACK)


def test_what_is_kept_decoded_is_bounded_by_bytes_and_changes_nothing(
    play_ledger: Any, rules: OneModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = play_ledger(seed=2, debtors=12, days=20, live_days=10)
    expected = pure_fold(book.records, rules, book.partitions)
    monkeypatch.setattr(states, "CACHED_BYTES_MAX", 3_000)
    monkeypatch.setattr(states, "CACHED_STATES_MAX", 5)
    bench = Bench()
    for start in range(0, len(book.records), 10):
        bench.feed(book.records[start : start + 10])
        kept = bench.scorer._states
        assert kept._cached_bytes == sum(len(blob) for blob, _ in kept._cache.values()) <= 3_000
        assert len(kept._cache) <= 5
    assert bench.blobs() == expected.blobs()


def test_backfill_folds_without_a_score(book: Any) -> None:
    book.invoice("D-1", "INV-1", DAY, backfill=True)
    book.tick(DAY, backfill=True)
    bench = Bench()
    assert bench.feed(book.records) == []
    assert decode_state(bench.blobs()[KEY]).invoices.keys() == {"INV-1"}


def test_a_tick_scores_open_debtors_once_a_date_in_key_order(book: Any) -> None:
    for debtor in ("D-1", "D-2", "D-3"):
        book.invoice(debtor, f"INV-{debtor}", DAY, backfill=True)
    book.pay("D-2", "INV-D-2", DAY, backfill=True)
    history, bench = len(book.records), Bench()
    bench.feed(book.records)
    book.tick(DAY + timedelta(days=1))
    book.tick(DAY + timedelta(days=1), hour=10)
    outputs = bench.feed(book.records[history:])
    assert sorted(output.key for output in outputs) == [debtor_key("acme", "D-1"), debtor_key("acme", "D-3")]
    assert len({output.id for output in outputs}) == 2


def test_a_debtor_who_moves_to_another_segment_is_told_once(book: Any) -> None:
    book.invoice("D-1", "INV-1", DAY)
    book.tick(DAY + timedelta(days=40))
    book.tick(DAY + timedelta(days=41))
    bench = Bench()
    outputs = bench.feed(book.records)
    told = [output for output in outputs if dict(output.headers)["ce_type"] == b"duly.risk.segment_changed.v1"]
    assert types(outputs).count("duly.risk.score_updated.v1") == 3
    (change,) = [risk.RiskSegmentChanged.FromString(output.value) for output in told]
    assert (change.before.risk_band, change.after.risk_band) == (risk.RISK_BAND_MEDIUM, risk.RISK_BAND_CRITICAL)
    assert change.after.behaviour == risk.BEHAVIOUR_NEW
    assert (change.business_date, change.rule_version) == ((DAY + timedelta(days=40)).isoformat(), "segments-1")
    assert change.score_id in [output.id for output in outputs]


def test_an_undecodable_event_goes_to_the_dead_letters_and_the_next_is_scored(book: Any, corrupted: Any) -> None:
    book.invoice("D-1", "INV-1", DAY)
    broken = corrupted(book.invoice("D-1", "INV-2", DAY))
    book.records[1] = broken
    book.invoice("D-1", "INV-3", DAY)
    bench = Bench()
    outputs = bench.feed(book.records)
    assert types(outputs) == [
        "duly.risk.score_updated.v1",
        "ledger-events-dlq",
        "duly.risk.debtor_degraded.v1",
        "duly.risk.score_updated.v1",
    ]
    letter = outputs[1]
    assert (letter.key, letter.value, letter.headers[: len(broken.headers)]) == (KEY, broken.value, broken.headers)
    assert dict(letter.headers)["dlq_offset"] == str(broken.offset).encode()
    event_id = dict(broken.headers)["ce_id"].decode()
    assert decode_state(bench.blobs()[KEY]).degraded_event_ids == (event_id,)
    assert list(risk.RiskDebtorDegraded.FromString(outputs[2].value).event_ids) == [event_id]
    assert bench.restarted().feed(book.records) == []  # a restart does not lose it, and does not send it again


def test_the_repaired_event_restores_the_debtor(book: Any, corrupted: Any) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    book.records[0] = corrupted(good)
    book.again(good)
    bench = Bench()
    assert types(bench.feed(book.records))[2:] == ["duly.risk.debtor_restored.v1", "duly.risk.score_updated.v1"]
    assert decode_state(bench.blobs()[KEY]).degraded_event_ids == ()


def test_a_fold_that_raises_costs_one_event_only(book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        book.invoice("D-1", f"INV-{number}", DAY)
    book.invoice("D-2", "INV-9", DAY)
    at_fault = dict(book.records[1].headers)["ce_id"].decode()
    real = score_batch.fold

    def fragile(state: Any, event: Any, position: Any) -> Any:
        if event.event_id == at_fault:
            raise ArithmeticError("no such number")
        return real(state, event, position)

    monkeypatch.setattr("duly_risk.batch.fold", fragile)
    monkeypatch.setattr(score_batch, "fold", fragile)
    bench = Bench()
    outputs = bench.feed(book.records)
    assert types(outputs).count("ledger-events-dlq") == 1
    assert types(outputs).count("duly.risk.score_updated.v1") == 3
    assert decode_state(bench.blobs()[KEY]).degraded_event_ids == (at_fault,)


def test_a_record_nobody_can_be_blamed_for_is_a_dead_letter_alone(book: Any) -> None:
    book.append(b"\xff\xfe", b"x", [])
    book.append(b"|D-1", b"x", [])
    book.append(debtor_key("acme", ""), b"\xff", book.tick(DAY)[0].headers, 0)
    bench = Bench()
    assert set(types(bench.feed([*book.records[:2], book.records[-1]]))) == {"ledger-events-dlq"}
    assert bench.blobs() == {}


def test_a_record_whose_key_and_envelope_name_two_tenants_is_not_folded(book: Any, rules: Any) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    alien = book.append(debtor_key("zeta", "D-1"), good.value, good.headers)
    bench = Bench()
    outputs = bench.feed([alien])
    assert types(outputs) == ["ledger-events-dlq", "duly.risk.debtor_degraded.v1"]
    assert dict(outputs[0].headers)["dlq_reason"] == b"envelope_invalid"
    assert dict(outputs[1].headers)["ce_tenantid"] == b"zeta"  # the key's, as everything that is sent under it
    assert decode_state(bench.blobs()[alien.key]).invoices == {}
    assert outputs == pure_fold([alien], rules, 12).outputs


def test_a_key_longer_than_any_of_ours_names_nobody(book: Any, rules: Any) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    huge = book.append(debtor_key("acme", "D" * 500_000), good.value, good.headers)
    bench = Bench()
    (letter,) = bench.feed([huge, book.append(huge.key * 2, b"", ())])[:1]
    assert max(output.size for output in bench.outputs) <= LETTER_BYTES_MAX
    assert dict(letter.headers)["dlq_reason"] == b"key_invalid"
    assert bench.blobs() == {}
    assert [letter] == pure_fold([huge], rules, 12).outputs


@pytest.mark.parametrize(("limit", "count"), [("BLOB_BYTES_MAX", 2), ("RECORD_BYTES_MAX", 2)])
def test_what_is_too_large_degrades_its_debtor_alone(
    limit: str, count: int, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.invoice("D-2", "INV-1", DAY)
    book.invoice("D-1", "INV-" + "9" * 5_000, DAY)
    monkeypatch.setattr(score_batch, limit, 4_000)
    bench = Bench()
    outputs = bench.feed(book.records)
    assert len(types(outputs)) == count + 1
    assert {"ledger-events-dlq", "duly.risk.debtor_degraded.v1"} <= set(types(outputs))
    assert decode_state(bench.blobs()[KEY]).invoices == {}


def test_a_model_that_answers_nonsense_is_not_the_events_fault(book: Any) -> None:
    class Broken(RulesModel):
        def curves(self, static: Any, days: Any) -> Any:
            return np.full((len(static), 182), np.nan, dtype=np.float32)

    book.invoice("D-1", "INV-1", DAY)
    bench = Bench(OneModel(Broken()))
    with pytest.raises(HazardInvalid):
        bench.feed(book.records)
    assert bench.blobs() == {}


def test_a_long_run_of_poison_ends_the_process(book: Any) -> None:
    for _ in range(100):
        book.append(KEY, b"", [])
    with pytest.raises(TooMuchPoison):
        Bench().feed(book.records)


def test_fold_faults_in_a_row_are_counted_over_batches(book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ArithmeticError("no such number")

    monkeypatch.setattr("duly_risk.batch.fold", broken)
    monkeypatch.setattr(score_batch, "fold", broken)
    bench = Bench()
    bench.feed([book.invoice(f"D-{number}", "INV", DAY) for number in range(60)])
    with pytest.raises(TooMuchPoison, match="100 unusable records in a row"):
        bench.feed([book.invoice(f"D-{number}", "INV", DAY) for number in range(60, 120)])


def test_what_one_debtor_cannot_bear_counts_once_however_many_facts_follow(
    book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_batch, "BLOB_BYTES_MAX", 10_000)
    book.invoice("D-1", "9" * 9_000, DAY, backfill=True)
    facts = [book.invoice("D-1", f"INV-{number}-{'9' * 2_000}", DAY) for number in range(150)]
    ticks = [tick for number in range(1, 3) for tick in book.tick(DAY + timedelta(days=number))]
    bench = Bench()
    for start in range(0, len(book.records), 40):
        bench.feed(book.records[start : start + 40])
    assert types(bench.outputs).count("ledger-events-dlq") == len(facts) + 2  # and its two ticks
    assert bench.scorer._meter._window_poison == 1
    assert bench.scorer._meter._window_records == 2 + len(ticks) - 2


def test_a_tick_that_many_debtors_cannot_bear_is_one_unusable_record(book: Any) -> None:
    tick = next(one for one in book.tick(DAY) if one.partition == 0)
    keys = [key for number in range(4_000) if partition_of(key := debtor_key("acme", f"D-{number}"), 12) == 0]
    bench = Bench()
    for key in keys[:150]:
        bench.store.put(0, key, b"\xff\xff")
    outputs = bench.restarted().feed([tick])
    assert types(outputs).count("ledger-events-dlq") == 150


DAMAGED = [b"\xff\xff\xff", encode_state(DebtorState()) + b"\x08\x63", b"\x08\x02\x52\x02\x08\x63"]


@pytest.mark.parametrize("blob", DAMAGED, ids=["garbage", "another format", "unknown band"])
def test_a_state_nobody_can_read_costs_its_debtor_alone_and_its_bytes_stay(blob: bytes, book: Any, rules: Any) -> None:
    invoices = [book.invoice(debtor, f"INV-{debtor}", DAY) for debtor in ("D-1", "D-2")]
    book.tick(DAY + timedelta(days=1))
    again = book.invoice("D-1", "INV-3", DAY)
    bench = Bench()
    bench.store.put(invoices[0].partition, KEY, blob)
    bench = bench.restarted()
    outputs = bench.feed(book.records)
    mine = types([output for output in outputs if output.key == KEY])
    assert mine == ["ledger-events-dlq", "duly.risk.debtor_degraded.v1"] * 2  # the tick passes over it
    letters = [dict(output.headers) for output in outputs if output.topic == "ledger-events-dlq"]
    assert {letter["dlq_reason"] for letter in letters} == {b"state_unreadable"}
    state = decode_state(bench.blobs()[KEY])
    assert (state.unreadable, state.applied.offset) == (blob, again.offset)
    expected = pure_fold(book.records, rules, 12, {KEY: DebtorState(unreadable=blob)})
    assert bench.blobs() == expected.blobs()
    assert {output.id: output for output in outputs} == {output.id: output for output in expected.outputs}
    assert bench.restarted().feed(book.records) == []


def test_the_first_tick_tells_of_a_state_nobody_can_read_and_later_ones_pass_over_it(book: Any, rules: Any) -> None:
    book.tick(DAY)
    book.tick(DAY + timedelta(days=1))
    bench = Bench()
    bench.store.put(partition_of(KEY, 12), KEY, b"\xff")
    bench = bench.restarted()
    assert types(bench.feed(book.records)) == ["ledger-events-dlq", "duly.risk.debtor_degraded.v1"]
    expected = pure_fold(book.records, rules, 12, {KEY: DebtorState(unreadable=b"\xff")})
    assert (bench.blobs(), bench.outputs) == (expected.blobs(), expected.outputs)


def test_a_debtor_is_restored_by_the_version_that_can_read_its_state(book: Any, rules: Any) -> None:
    first, second = book.invoice("D-1", "INV-1", DAY), book.invoice("D-1", "INV-2", DAY)
    bench = Bench()
    bench.feed([first])
    readable = bench.blobs()[KEY]
    bench.store.put(first.partition, KEY, readable + b"\x08\x63")
    bench.feed([second])
    kept = decode_state(bench.blobs()[KEY])
    bench.store.put(first.partition, KEY, encode_state(replaced(kept, unreadable=readable)))

    outputs = bench.restarted().feed([book.again(second)])
    assert types(outputs) == ["duly.risk.debtor_restored.v1", "duly.risk.score_updated.v1"]
    assert decode_state(bench.blobs()[KEY]).invoices.keys() == {"INV-1", "INV-2"}


def test_an_outcome_that_does_not_fit_into_its_bytes_is_not_the_end_of_the_process(book: Any) -> None:
    state = DebtorState()
    for offset, total in enumerate((6 * 10**18, 6 * 10**18)):  # as no fact can say any more
        stated = InvoiceStated(f"I-{offset}", 20_000, 20_010, total, "EUR", "")
        state = fold(state, RiskEvent(f"e{offset}", "n", 22_000, True, stated), Position(0, -9 + offset)).state
    record = book.invoice("D-1", "INV-1", DAY)
    other = book.invoice("D-2", "INV-2", DAY)
    bench = Bench()
    bench.store.put(record.partition, KEY, encode_state(state))
    outputs = bench.feed([record, other])
    assert sorted(types(outputs)) == [
        "duly.risk.debtor_degraded.v1",
        "duly.risk.score_updated.v1",
        "ledger-events-dlq",
    ]


def test_a_tick_over_many_debtors_comes_in_portions_that_add_up_to_the_whole(
    play_ledger: Any, rules: RulesModel
) -> None:
    book = play_ledger(seed=4, debtors=120, days=20, live_days=1, disturbed=False)
    ticks = book.tick(DAY + timedelta(days=30))
    whole, cut = Bench(rules), Bench(rules)
    for bench in (whole, cut):
        bench.feed(book.records[: -len(ticks)])
        bench.outputs.clear()
    whole.feed(ticks)

    blobs_of_portions = []
    for portion in cut.scorer.portions(ticks, cut.models, debtors_max=1):
        cut.outputs += portion.outputs
        blobs_of_portions.append(len(portion.blobs))
        cut.store.blobs.update(portion.blobs)
    assert cut.outputs == whole.outputs
    assert cut.blobs() == whole.blobs()
    assert max(blobs_of_portions) <= score_batch.ITEMS_PER_CALL


def test_a_burst_of_facts_of_a_debtor_with_many_open_invoices_is_cut_by_rows(
    book: Any, rules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Counting(RulesModel):
        def curves(self, static: Any, days: Any) -> Any:
            asked.append(len(static))
            return super().curves(static, days)

    for number in range(30):
        book.invoice("D-1", f"INV-{number}", DAY, backfill=True)
    for number in range(6):
        book.invoice("D-1", f"LIVE-{number}", DAY)
    expected = pure_fold(book.records, rules, 12)
    monkeypatch.setattr(score_batch, "ROWS_PER_CALL", 60)
    monkeypatch.setattr(score_batch, "PORTION_BYTES", 1)
    bench = Bench(OneModel(Counting()))
    bench.feed(book.records[:30])
    portions = []
    for portion in bench.scorer.portions(book.records[30:], bench.models):
        portions.append(portion.scores)
        bench.outputs += portion.outputs
        bench.store.blobs.update(portion.blobs)
    assert (len(asked), sum(asked), max(asked) <= 90) == (3, sum(range(31, 37)), True)
    assert portions == [2, 2, 2, 0]
    assert (bench.outputs, bench.blobs()) == (expected.outputs, expected.blobs())


def test_facts_do_not_wait_for_the_ticks_of_other_partitions(play_ledger: Any, rules: RulesModel) -> None:
    book = play_ledger(seed=4, debtors=120, days=20, live_days=1, disturbed=False)
    ticks = book.tick(DAY + timedelta(days=30))
    fact = book.invoice("D-1", "LATE", DAY + timedelta(days=30))
    behind = [tick for tick in ticks if tick.partition == fact.partition]
    chunk = [tick for tick in ticks if tick not in behind] + [fact]
    whole, cut = Bench(rules), Bench(rules)
    for bench in (whole, cut):
        bench.feed([record for record in book.records if record not in (*ticks, fact)])
        bench.outputs.clear()
    whole.feed(chunk)

    portions = []
    for portion in cut.scorer.portions(chunk, cut.models):
        portions.append(portion)
        cut.store.blobs.update(portion.blobs)
    assert [{key for _, key in portions[0].blobs}, portions[0].facts] == [{fact.key}, 1]
    assert sum(portion.facts for portion in portions) == 1
    assert [output for portion in portions for output in portion.outputs] == whole.outputs
    assert cut.blobs() == whole.blobs()


def test_after_a_recovery_a_tick_visits_the_open_debtors_and_forgets_the_others(play_ledger: Any) -> None:
    book = play_ledger(seed=4, debtors=60, days=20, live_days=1, disturbed=False)
    bench = Bench()
    bench.feed(book.records)
    known = len(bench.scorer.open_debtors)
    other = bench.restarted()
    assert len(other.scorer.open_debtors) == len(bench.store.blobs) > known
    ticks = book.tick(DAY + timedelta(days=30))
    causes = {dict(tick.headers)["ce_id"] for tick in ticks}
    expected = pure_fold(book.records, OneModel(RulesModel()), 12).outputs
    wanted = {output.id for output in expected if dict(output.headers).get("ce_causationid") in causes}
    assert {output.id for output in other.feed(ticks)} == wanted
    assert len(other.scorer.open_debtors) == known


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=80), st.integers(1, 7))
def test_the_slices_of_a_tick_hold_each_open_debtor_once(notes: list[tuple[int, bool]], parts: int) -> None:
    index = OpenDebtors()
    expected: dict[bytes, bool] = {}
    for number, is_open in notes:
        key = debtor_key("acme", f"D-{number}")
        index.note(3, key, is_open)
        expected[key] = is_open
        slices = [index.walk(3, "acme", 12, part, parts) for part in range(parts)]
        assert sorted(key for found in slices for key in found) == sorted(k for k, v in expected.items() if v)
        assert all(slice_of(key, 12, parts) == part for part, found in enumerate(slices) for key in found)
