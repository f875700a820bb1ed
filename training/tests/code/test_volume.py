"""Volume to come: a steady rise is followed, what a small or lumpy ledger does by chance is not."""

import numpy as np
from duly_training.backtest.volume import growth_of, is_quarterly
from hypothesis import given
from hypothesis import strategies as st

WEEKS = 13


def test_a_steady_volume_stays_what_it_is():
    assert growth_of(np.full(WEEKS, 70.0)) == 1.0


def test_a_rise_in_every_week_is_carried_on_by_nearly_all_of_it():
    weeks = 100 * 1.03 ** np.arange(WEEKS)
    latest = weeks[-6:].mean() / weeks.mean()
    assert 0.95 * np.log(latest) < np.log(growth_of(weeks)) < np.log(latest)


def test_one_run_a_month_is_no_growth_wherever_the_month_lies():
    for start in range(4):
        weeks = np.where(np.arange(WEEKS) % 4 == start, 100.0, 0.0)
        assert abs(growth_of(weeks) - 1) < 0.05


def test_the_luck_of_a_few_invoices_moves_little():
    random = np.random.default_rng(1)
    moved = [abs(np.log(growth_of(random.poisson(0.5, WEEKS) * 10.0))) for _ in range(200)]
    assert np.mean(moved) < 0.05


def test_without_volume_nothing_grows():
    assert growth_of(np.zeros(WEEKS)) == 1.0
    assert growth_of(np.array([])) == 1.0
    assert growth_of(np.array([5.0] * 7 + [0.0] * 6)) == 1.0


@given(st.lists(st.floats(0, 1e12), min_size=0, max_size=WEEKS), st.floats(0.001, 1e6))
def test_it_is_bounded_and_knows_no_unit(weeks, unit):
    growth = growth_of(np.array(weeks))
    assert 0.5 <= growth <= 2.0
    assert np.isclose(growth_of(np.array(weeks) * unit), growth, rtol=1e-6)


def test_monthly_runs_are_quarterly_and_neither_a_steady_nor_a_lucky_volume_is():
    random = np.random.default_rng(2)
    month_starts = np.arange("2024-01", "2025-01", dtype="datetime64[M]").astype("datetime64[D]").astype(int)
    runs = np.bincount((month_starts - month_starts[0]) // 7, minlength=39)[:39] * 1000.0
    assert is_quarterly(runs + random.random(39))
    assert not is_quarterly(np.full(39, 5.0))
    assert not is_quarterly(100 * 1.02 ** np.arange(39))
    assert not any(is_quarterly(random.poisson(4, 39) * 1.0) for _ in range(20))


def test_a_ledger_of_a_quarter_is_not_called_quarterly():
    assert not is_quarterly(np.arange(13.0))
