"""What cannot be used: it costs one record or one debtor, is told once, and a long run of it ends the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from duly_contracts.keys import debtor_key, partition_of
from duly_risk.asking import HazardInvalid
from duly_risk.codec import decode_state, encode_state
from duly_risk.facts import InvoiceStated, Position, RiskEvent
from duly_risk.fallback import RulesModel
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_runtime.dlq import LETTER_BYTES_MAX
from duly_runtime.poison_meter import TooMuchPoison
from scoring.adapters.memory import MemoryStates, OneModel
from scoring.application import score_batch
from scoring.application.outputs import Output
from scoring.application.pure_fold import pure_fold
from scoring.application.score_batch import Scorer
from scoring.entrypoints.scoring_step import ScoringStep

from duly.risk.v1 import events_pb2 as risk

NewBench = Callable[..., Any]
DAY = date(2031, 3, 3)
KEY = debtor_key("acme", "D-1")


def types(outputs: list[Output]) -> list[str]:
    return [dict(o.headers).get("ce_type", b"").decode() if o.topic == "risk-scores" else o.topic for o in outputs]


def test_an_undecodable_event_goes_to_the_dead_letters_and_the_next_is_scored(
    new_bench: NewBench, book: Any, corrupted: Any
) -> None:
    book.invoice("D-1", "INV-1", DAY)
    broken = corrupted(book.invoice("D-1", "INV-2", DAY))
    book.records[1] = broken
    book.invoice("D-1", "INV-3", DAY)
    bench = new_bench()
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


def test_a_header_without_a_value_is_an_empty_one(new_bench: NewBench, book: Any, corrupted: Any) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    for record in (good, corrupted(good)):
        null, empty = (replace(record, headers=(*record.headers, ("x-note", value))) for value in (None, b""))
        outputs = new_bench().feed([null])
        assert outputs == new_bench().feed([empty])
        assert outputs


def test_a_step_that_ends_early_is_an_error_and_no_batch_that_is_done(book: Any) -> None:
    class Ended(OneModel):
        def serving(self, tenant: str, day: int) -> Any:
            raise StopIteration

    class Source:
        def current(self) -> Any:
            return Ended(RulesModel())

    step = ScoringStep(Scorer(MemoryStates(), 12), Source())
    with pytest.raises(RuntimeError):
        list(step.portions([book.invoice("D-1", "INV-1", DAY)]))


def test_the_repaired_event_restores_the_debtor(new_bench: NewBench, book: Any, corrupted: Any) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    book.records[0] = corrupted(good)
    book.again(good)
    bench = new_bench()
    assert types(bench.feed(book.records))[2:] == ["duly.risk.debtor_restored.v1", "duly.risk.score_updated.v1"]
    assert decode_state(bench.blobs()[KEY]).degraded_event_ids == ()


@pytest.mark.patches_the_step
def test_a_fold_that_raises_costs_one_event_only(
    new_bench: NewBench, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    bench = new_bench()
    outputs = bench.feed(book.records)
    assert types(outputs).count("ledger-events-dlq") == 1
    assert types(outputs).count("duly.risk.score_updated.v1") == 3
    assert decode_state(bench.blobs()[KEY]).degraded_event_ids == (at_fault,)


def test_a_record_nobody_can_be_blamed_for_is_a_dead_letter_alone(new_bench: NewBench, book: Any) -> None:
    book.append(b"\xff\xfe", b"x", [])
    book.append(b"|D-1", b"x", [])
    book.append(debtor_key("acme", ""), b"\xff", book.tick(DAY)[0].headers, 0)
    bench = new_bench()
    assert set(types(bench.feed([*book.records[:2], book.records[-1]]))) == {"ledger-events-dlq"}
    assert bench.blobs() == {}


def test_a_record_whose_key_and_envelope_name_two_tenants_is_not_folded(
    new_bench: NewBench, book: Any, rules: Any
) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    alien = book.append(debtor_key("zeta", "D-1"), good.value, good.headers)
    bench = new_bench()
    outputs = bench.feed([alien])
    assert types(outputs) == ["ledger-events-dlq", "duly.risk.debtor_degraded.v1"]
    assert dict(outputs[0].headers)["dlq_reason"] == b"envelope_invalid"
    assert dict(outputs[1].headers)["ce_tenantid"] == b"zeta"  # the key's, as everything that is sent under it
    assert decode_state(bench.blobs()[alien.key]).invoices == {}
    assert outputs == pure_fold([alien], rules, 12).outputs


def test_a_key_longer_than_any_of_ours_names_nobody(new_bench: NewBench, book: Any, rules: Any) -> None:
    good = book.invoice("D-1", "INV-1", DAY)
    huge = book.append(debtor_key("acme", "D" * 500_000), good.value, good.headers)
    bench = new_bench()
    (letter,) = bench.feed([huge, book.append(huge.key * 2, b"", ())])[:1]
    assert max(output.size for output in bench.outputs) <= LETTER_BYTES_MAX
    assert dict(letter.headers)["dlq_reason"] == b"key_invalid"
    assert bench.blobs() == {}
    assert [letter] == pure_fold([huge], rules, 12).outputs


@pytest.mark.parametrize(("limit", "count"), [("BLOB_BYTES_MAX", 2), ("RECORD_BYTES_MAX", 2)])
def test_what_is_too_large_degrades_its_debtor_alone(
    new_bench: NewBench, limit: str, count: int, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.invoice("D-2", "INV-1", DAY)
    book.invoice("D-1", "INV-" + "9" * 5_000, DAY)
    monkeypatch.setattr(score_batch, limit, 4_000)
    bench = new_bench()
    outputs = bench.feed(book.records)
    assert len(types(outputs)) == count + 1
    assert {"ledger-events-dlq", "duly.risk.debtor_degraded.v1"} <= set(types(outputs))
    assert decode_state(bench.blobs()[KEY]).invoices == {}


def test_a_model_that_answers_nonsense_is_not_the_events_fault(new_bench: NewBench, book: Any) -> None:
    class Broken(RulesModel):
        def curves(self, static: Any, days: Any) -> Any:
            return np.full((len(static), 182), np.nan, dtype=np.float32)

    book.invoice("D-1", "INV-1", DAY)
    bench = new_bench(OneModel(Broken()))
    with pytest.raises(HazardInvalid):
        bench.feed(book.records)
    assert bench.blobs() == {}


def test_a_long_run_of_poison_ends_the_process(new_bench: NewBench, book: Any) -> None:
    for _ in range(100):
        book.append(KEY, b"", [])
    with pytest.raises(TooMuchPoison):
        new_bench().feed(book.records)


@pytest.mark.patches_the_step
def test_fold_faults_in_a_row_are_counted_over_batches(
    new_bench: NewBench, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ArithmeticError("no such number")

    monkeypatch.setattr("duly_risk.batch.fold", broken)
    monkeypatch.setattr(score_batch, "fold", broken)
    bench = new_bench()
    bench.feed([book.invoice(f"D-{number}", "INV", DAY) for number in range(60)])
    with pytest.raises(TooMuchPoison, match="100 unusable records in a row"):
        bench.feed([book.invoice(f"D-{number}", "INV", DAY) for number in range(60, 120)])


def test_what_one_debtor_cannot_bear_counts_once_however_many_facts_follow(
    new_bench: NewBench, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_batch, "BLOB_BYTES_MAX", 10_000)
    book.invoice("D-1", "9" * 9_000, DAY, backfill=True)
    facts = [book.invoice("D-1", f"INV-{number}-{'9' * 2_000}", DAY) for number in range(150)]
    ticks = [tick for number in range(1, 3) for tick in book.tick(DAY + timedelta(days=number))]
    bench = new_bench()
    for start in range(0, len(book.records), 40):
        bench.feed(book.records[start : start + 40])
    assert types(bench.outputs).count("ledger-events-dlq") == len(facts) + 2  # and its two ticks
    assert bench.scorer._meter._window_poison == 1
    assert bench.scorer._meter._window_records == 2 + len(ticks) - 2


def test_a_tick_that_many_debtors_cannot_bear_is_one_unusable_record(new_bench: NewBench, book: Any) -> None:
    tick = next(one for one in book.tick(DAY) if one.partition == 0)
    keys = [key for number in range(4_000) if partition_of(key := debtor_key("acme", f"D-{number}"), 12) == 0]
    bench = new_bench()
    for key in keys[:150]:
        bench.store.put(0, key, b"\xff\xff")
    outputs = bench.restarted().feed([tick])
    assert types(outputs).count("ledger-events-dlq") == 150


DAMAGED = [
    b"\xff\xff\xff",
    encode_state(DebtorState()) + b"\x08\x63",
    b"\x08\x02\x52\x02\x08\x63",
    encode_state(DebtorState(business_day=4_000_000)),
]


@pytest.mark.parametrize("blob", DAMAGED, ids=["garbage", "another format", "unknown band", "a day on no calendar"])
def test_a_state_nobody_can_read_costs_its_debtor_alone_and_its_bytes_stay(
    new_bench: NewBench, blob: bytes, book: Any, rules: Any
) -> None:
    invoices = [book.invoice(debtor, f"INV-{debtor}", DAY) for debtor in ("D-1", "D-2")]
    book.tick(DAY + timedelta(days=1))
    again = book.invoice("D-1", "INV-3", DAY)
    bench = new_bench()
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


def test_the_first_tick_tells_of_a_state_nobody_can_read_and_later_ones_pass_over_it(
    new_bench: NewBench, book: Any, rules: Any
) -> None:
    book.tick(DAY)
    book.tick(DAY + timedelta(days=1))
    bench = new_bench()
    bench.store.put(partition_of(KEY, 12), KEY, b"\xff")
    bench = bench.restarted()
    assert types(bench.feed(book.records)) == ["ledger-events-dlq", "duly.risk.debtor_degraded.v1"]
    expected = pure_fold(book.records, rules, 12, {KEY: DebtorState(unreadable=b"\xff")})
    assert (bench.blobs(), bench.outputs) == (expected.blobs(), expected.outputs)


def test_a_debtor_is_restored_by_the_version_that_can_read_its_state(
    new_bench: NewBench, book: Any, rules: Any
) -> None:
    first, second = book.invoice("D-1", "INV-1", DAY), book.invoice("D-1", "INV-2", DAY)
    bench = new_bench()
    bench.feed([first])
    readable = bench.blobs()[KEY]
    bench.store.put(first.partition, KEY, readable + b"\x08\x63")
    bench.feed([second])
    kept = decode_state(bench.blobs()[KEY])
    bench.store.put(first.partition, KEY, encode_state(kept._replace(unreadable=readable)))

    outputs = bench.restarted().feed([book.again(second)])
    assert types(outputs) == ["duly.risk.debtor_restored.v1", "duly.risk.score_updated.v1"]
    assert decode_state(bench.blobs()[KEY]).invoices.keys() == {"INV-1", "INV-2"}


def test_an_outcome_that_does_not_fit_into_its_bytes_is_not_the_end_of_the_process(
    new_bench: NewBench, book: Any
) -> None:
    state = DebtorState()
    for offset, total in enumerate((6 * 10**18, 6 * 10**18)):  # as no fact can say any more
        stated = InvoiceStated(f"I-{offset}", 20_000, 20_010, total, "EUR", "")
        state = fold(state, RiskEvent(f"e{offset}", "n", 22_000, True, stated), Position(0, -9 + offset)).state
    record = book.invoice("D-1", "INV-1", DAY)
    other = book.invoice("D-2", "INV-2", DAY)
    bench = new_bench()
    bench.store.put(record.partition, KEY, encode_state(state))
    outputs = bench.feed([record, other])
    assert sorted(types(outputs)) == [
        "duly.risk.debtor_degraded.v1",
        "duly.risk.score_updated.v1",
        "ledger-events-dlq",
    ]
