"""A tick over many debtors comes in portions, and its slices hold each open debtor once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from duly_contracts.keys import debtor_key, slice_of
from duly_risk.fallback import RulesModel
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring.adapters.memory import OneModel
from scoring.application import score_batch
from scoring.application.pure_fold import pure_fold
from scoring.domain.open_debtors import OpenDebtors

NewBench = Callable[..., Any]
DAY = date(2031, 3, 3)


def test_a_tick_over_many_debtors_comes_in_portions_that_add_up_to_the_whole(
    new_bench: NewBench, play_ledger: Any, rules: RulesModel
) -> None:
    book = play_ledger(seed=4, debtors=120, days=20, live_days=1, disturbed=False)
    ticks = book.tick(DAY + timedelta(days=30))
    whole, cut = new_bench(rules), new_bench(rules)
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
    new_bench: NewBench, book: Any, rules: Any, monkeypatch: pytest.MonkeyPatch
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
    bench = new_bench(OneModel(Counting()))
    bench.feed(book.records[:30])
    portions = []
    for portion in bench.scorer.portions(book.records[30:], bench.models):
        portions.append(portion.scores)
        bench.outputs += portion.outputs
        bench.store.blobs.update(portion.blobs)
    assert (len(asked), sum(asked), max(asked) <= 90) == (3, sum(range(31, 37)), True)
    assert portions == [2, 2, 2, 0]
    assert (bench.outputs, bench.blobs()) == (expected.outputs, expected.blobs())


def test_facts_do_not_wait_for_the_ticks_of_other_partitions(
    new_bench: NewBench, play_ledger: Any, rules: RulesModel
) -> None:
    book = play_ledger(seed=4, debtors=120, days=20, live_days=1, disturbed=False)
    ticks = book.tick(DAY + timedelta(days=30))
    fact = book.invoice("D-1", "LATE", DAY + timedelta(days=30))
    behind = [tick for tick in ticks if tick.partition == fact.partition]
    chunk = [tick for tick in ticks if tick not in behind] + [fact]
    whole, cut = new_bench(rules), new_bench(rules)
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


def test_after_a_recovery_a_tick_visits_the_open_debtors_and_forgets_the_others(
    new_bench: NewBench, play_ledger: Any
) -> None:
    book = play_ledger(seed=4, debtors=60, days=20, live_days=1, disturbed=False)
    bench = new_bench()
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
