"""Days on which nobody pays are learnt from the past and kept in the time to come."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import day_of, weekday_of
from duly_risk.features import N_STATIC, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows
from duly_training.backtest.closed_days import ClosedDays, ClosedDaysModel, closed_days

FIRST, LAST = date(2022, 1, 3), date(2024, 6, 28)


def payments(closed: set[date], per_day: int = 20, first: date = FIRST) -> list[int]:
    days = [first + timedelta(days=n) for n in range((LAST - first).days + 1)]
    return [day_of(day) for day in days if day.weekday() < 5 and day not in closed for _ in range(per_day)]


def learnt(closed: set[date], until: date, per_day: int = 20, first: date = FIRST) -> set[date]:
    found = closed_days(payments(closed, per_day, first), day_of(until)).days
    return {date(1970, 1, 1) + timedelta(days=day) for day in found if day > day_of(LAST)}


def test_a_day_of_the_year_without_payments_stays_closed_in_later_years():
    assert learnt({date(2022, 11, 15), date(2023, 11, 15)}, date(2025, 12, 31)) == {
        date(2024, 11, 15),
    }


def test_days_from_easter_move_with_easter():
    good_fridays = {date(2022, 4, 15), date(2023, 4, 7), date(2024, 3, 29)}
    assert learnt(good_fridays, date(2025, 12, 31)) == {date(2025, 4, 18)}


def test_the_last_monday_of_a_month_is_told_from_a_day_of_the_year():
    assert learnt({date(2022, 5, 30), date(2023, 5, 29), date(2024, 5, 27)}, date(2025, 12, 31)) == {date(2025, 5, 26)}


def test_a_day_that_was_busy_in_another_year_closes_nothing():
    assert learnt({date(2023, 3, 8)}, date(2025, 12, 31)) == set()


def test_too_few_payments_to_tell_close_nothing():
    assert learnt({date(2022, 11, 15), date(2023, 11, 15)}, date(2025, 12, 31), per_day=1) == set()


def test_the_weeks_before_a_ledger_begins_are_no_holidays():
    assert learnt(set(), date(2025, 12, 31), first=date(2023, 9, 4)) == set()


def test_no_payment_at_all_closes_nothing():
    assert closed_days([], day_of(LAST)).days == ()


def test_a_due_date_moves_over_weekend_and_closed_monday():
    monday = day_of(date(2024, 1, 1))
    assert weekday_of(monday) == 0
    due = np.array([monday - 3, monday - 2, monday - 1, monday, monday + 1])
    assert (ClosedDays((monday,)).after(due) - monday).tolist() == [-3, 1, 1, 1, 1]


class Half:
    info = ModelInfo("half", "1", Role.CHAMPION, schema_sha256(), FeatureFrame())

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        self.due = days.due
        return np.full((len(static), HORIZON_DAYS), 0.5, dtype=np.float32)


def test_hardly_anything_is_paid_on_a_closed_day_and_other_days_stay_as_they_are():
    monday = day_of(date(2024, 1, 1))
    t0 = np.array([monday - 4, monday + 9])
    half = Half()
    hazards = ClosedDaysModel(half, ClosedDays((monday,))).curves(
        np.zeros((2, N_STATIC), dtype=np.float32), CurveDays(t0, t0, np.array([monday, monday + 9]))
    )
    assert half.due.tolist() == [monday + 1, monday + 9]
    assert hazards[0, 3] < 0.05
    assert np.all(np.delete(hazards[0], 3) == 0.5)
    assert np.all(hazards[1] == 0.5)
