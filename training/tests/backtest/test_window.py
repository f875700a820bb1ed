"""Which days a back-test asks about."""

from __future__ import annotations

from datetime import date

import pytest
from duly_risk.days import date_of, day_of, weekday_of
from duly_training.backtest.window import WindowInvalid, backtest_window, measured_snapshots

KNOWN = date(2024, 1, 1)


def test_snapshots_are_every_second_monday_unless_named():
    window = backtest_window(KNOWN, date(2024, 1, 2), date(2024, 2, 20), None)
    assert window.snapshots == (date(2024, 1, 8), date(2024, 1, 22), date(2024, 2, 5), date(2024, 2, 19))


def test_named_snapshots_are_taken_in_order_and_once():
    named = (date(2024, 3, 5), date(2024, 1, 31), date(2024, 3, 5))
    assert backtest_window(KNOWN, KNOWN, KNOWN, named).snapshots == (date(2024, 1, 31), date(2024, 3, 5))


def test_no_snapshots_may_be_asked_for():
    assert backtest_window(KNOWN, KNOWN, KNOWN, ()).snapshots == ()


@pytest.mark.parametrize(
    ("first", "last", "snapshots", "named"),
    [
        (date(2023, 12, 31), date(2024, 2, 1), None, "--predict-from"),
        (date(2024, 2, 1), date(2024, 1, 31), None, "--predict-to"),
        (date(2024, 1, 1), date(2024, 1, 31), (date(2023, 12, 30),), "snapshot"),
    ],
)
def test_dates_that_would_show_the_model_its_future_are_refused(first, last, snapshots, named):
    with pytest.raises(WindowInvalid, match=named):
        backtest_window(KNOWN, first, last, snapshots)


def test_the_evening_before_the_cut_is_no_future():
    assert backtest_window(KNOWN, KNOWN, KNOWN, (date(2023, 12, 31),)).snapshots == (date(2023, 12, 31),)


def test_the_band_is_measured_on_the_same_weekday_before_and_between_the_asked_ones():
    window = backtest_window(KNOWN, KNOWN, date(2024, 3, 1), (date(2024, 1, 10), date(2024, 1, 31)))
    days = measured_snapshots(window, day_of(date(2023, 10, 1)), 7)
    assert {weekday_of(day) for day in days} == {2}
    assert (date_of(days[0]), date_of(days[-1])) == (date(2023, 10, 4), date(2024, 1, 31))
    assert set(window.snapshots) <= {date_of(day) for day in days}


def test_without_snapshots_none_is_measured():
    assert measured_snapshots(backtest_window(KNOWN, KNOWN, KNOWN, ()), day_of(KNOWN) - 100, 7) == ()
