"""A whole back-test: one row per invoice and per week, nothing from the future, the same bytes again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from duly_risk.days import day_of
from duly_training.backtest import cash_rows, predictions
from duly_training.backtest.fit_cache import FitCache
from duly_training.backtest.run import BacktestResult, backtest
from duly_training.backtest.window import backtest_window
from duly_training.fit import FitSettings
from duly_training.history import History, history_of

SETTINGS = FitSettings(3, parallel_trees=1, rounds_max=25, rounds_min=15)
CUT, LAST = date(2025, 12, 1), date(2026, 1, 20)
WINDOW = backtest_window(CUT, CUT, LAST, None)


def silent(*_: object) -> None: ...


@pytest.fixture(scope="module")
def history(made_up_ledger, known_until) -> History:
    return history_of(made_up_ledger.facts(known_until), known_until)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fit")


def run(history: History, folder: Path, settings: FitSettings = SETTINGS) -> BacktestResult:
    return backtest(history, WINDOW, settings, FitCache(folder / "one"), silent)


@pytest.fixture(scope="module")
def result(history, folder) -> BacktestResult:
    return run(history, folder)


def records(columns: tuple[str, ...], rows) -> list[dict[str, str]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]


def predicted(result: BacktestResult) -> list[dict[str, str]]:
    return records(predictions.COLUMNS, result.predictions)


def cash(result: BacktestResult) -> list[dict[str, str]]:
    return records(cash_rows.COLUMNS, result.cash)


class TestPredictions:
    def test_each_invoice_issued_inside_the_window_has_one_row(self, result, made_up_ledger):
        issued = [fact.message for fact in made_up_ledger.facts() if hasattr(fact.message, "issue_date")]
        expected = {one.invoice_id for one in issued if CUT.isoformat() <= one.issue_date <= LAST.isoformat()}
        assert sorted(row["invoice_id"] for row in predicted(result)) == sorted(expected)

    def test_later_limits_are_never_more_likely_and_dates_are_in_order(self, result):
        for row in predicted(result):
            assert 1 >= float(row["p_late_1d"]) >= float(row["p_late_5d"]) >= float(row["p_late_30d"]) >= 0
            assert row["as_of"] < row["q10_date"] <= row["median_date"] <= row["q90_date"]
            assert 0 < float(row["expected_days"]) <= 180


class TestCash:
    def test_every_snapshot_has_thirteen_weeks_of_both_kinds(self, result):
        assert len(result.cash) == len(WINDOW.snapshots) * 13 * 2
        one = [row for row in cash(result) if row["snapshot"] == "2025-12-01" and row["open_book_only"] == "true"]
        assert (one[0]["week_start"], one[1]["week_start"]) == ("2025-12-02", "2025-12-09")

    def test_a_band_holds_its_expectation_and_never_begins_below_nothing(self, result):
        for row in cash(result):
            assert 0 <= Decimal(row["q10"]) <= Decimal(row["expected"]) <= Decimal(row["q90"])

    def test_new_invoices_only_add(self, result):
        rows = cash(result)
        alone = {(row["snapshot"], row["week_start"]): row for row in rows if row["open_book_only"] == "true"}
        for row in rows:
            assert Decimal(row["expected"]) >= Decimal(alone[row["snapshot"], row["week_start"]]["expected"])

    def test_amounts_have_the_decimals_of_their_currency(self, result):
        assert {row["currency"] for row in cash(result)} == {"EUR"}
        assert all(len(row["q90"].split(".")[1]) == 2 for row in cash(result))


class TestReproducibility:
    def test_a_run_that_picks_up_a_stored_fit_gives_the_same_rows(self, result, history, folder):
        assert run(history, folder) == result

    def test_nothing_that_became_known_after_a_day_changes_what_was_said_on_it(self, result, history, folder):
        until = day_of(date(2026, 1, 5))
        cut_short = run(history.before(until), folder)
        before = {row for row in result.predictions if row[2] < "2026-01-05"}
        assert before == {row for row in cut_short.predictions if row[2] < "2026-01-05"}
        said = {row for row in result.cash if row[0] < "2026-01-05"}
        assert said
        assert said == {row for row in cut_short.cash if row[0] < "2026-01-05"}

    def test_another_seed_gives_another_model(self, result, history, tmp_path):
        other = run(history, tmp_path, replace(SETTINGS, seed=4))
        assert other.model.version != result.model.version


class TestThinLedgers:
    @pytest.fixture
    def thin(self, history, tmp_path) -> BacktestResult:
        few = replace(history, by_debtor=dict(list(history.by_debtor.items())[:2]))
        return run(few, tmp_path)

    def test_the_baseline_answers_and_says_so(self, thin):
        assert "100 are needed" in thin.fallback
        assert {(row["model_version"], row["role"]) for row in predicted(thin)} == {("debtor-rate-1", "FALLBACK")}

    def test_an_empty_ledger_gives_empty_files(self, history, tmp_path):
        empty = run(replace(history, by_debtor={}), tmp_path)
        assert (list(empty.predictions), list(empty.cash)) == ([], [])
