"""Days on which nobody pays are learnt from the past as rules, which hold in every year."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from duly_risk.days import day_of
from duly_training.closed_days import closed_rules

FIRST, LAST = date(2022, 1, 3), date(2024, 6, 28)


def payments(closed: set[date], per_day: int = 20, first: date = FIRST) -> np.ndarray:
    days = [first + timedelta(days=n) for n in range((LAST - first).days + 1)]
    open_days = [day_of(day) for day in days if day.weekday() < 5 and day not in closed]
    return np.repeat(np.array(open_days, dtype=np.int64), per_day)


def learnt(*closed: date, per_day: int = 20, first: date = FIRST) -> list[str]:
    return [rule.words for rule in closed_rules(payments(set(closed), per_day, first))]


def test_a_day_of_the_year_without_payments():
    assert learnt(date(2022, 11, 15), date(2023, 11, 15)) == ["15 November"]


def test_days_from_easter_move_with_easter():
    assert learnt(date(2022, 4, 15), date(2023, 4, 7), date(2024, 3, 29)) == ["Good Friday"]


def test_one_good_friday_is_taken_for_one_and_not_for_a_day_of_the_year():
    assert learnt(date(2024, 3, 29), first=date(2023, 9, 4)) == ["Good Friday"]


def test_the_last_monday_of_a_month_is_told_from_a_day_of_the_year():
    assert learnt(date(2022, 5, 30), date(2023, 5, 29), date(2024, 5, 27)) == ["last Monday of May"]


def test_a_day_that_was_busy_in_another_year_is_no_rule():
    assert learnt(date(2023, 3, 8)) == []


def test_too_few_payments_tell_nothing():
    assert learnt(date(2022, 11, 15), date(2023, 11, 15), per_day=1) == []


def test_days_that_luck_left_nearly_empty_are_no_holidays():
    rng = np.random.default_rng(1)
    days = np.unique(payments(set()))
    learnt_by_chance = [closed_rules(np.repeat(days, rng.poisson(mean, len(days)))) for mean in (6, 9, 12, 20)]
    assert learnt_by_chance == [(), (), (), ()]


def test_the_weeks_before_a_ledger_begins_are_no_holidays():
    assert learnt(first=date(2023, 9, 4)) == []


def test_no_payment_at_all_tells_nothing():
    assert closed_rules(np.empty(0, dtype=np.int64)) == ()


def test_the_order_of_payments_tells_nothing():
    paid = payments({date(2022, 11, 15), date(2023, 11, 15), date(2022, 4, 15), date(2023, 4, 7), date(2024, 3, 29)})
    assert closed_rules(paid[::-1]) == closed_rules(paid)
    assert len(closed_rules(paid)) == 2
