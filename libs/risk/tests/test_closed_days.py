"""Closed days: rules that hold in every year, due dates that move past them, curves on which nobody pays then."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest
from duly_risk.archiving import DAYS_TO_PAY_MAX, DELAY_MAX, DELAY_MIN
from duly_risk.closed_days import YEARS, ClosedRule, closed_days, closed_rule, rules_of_day
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import date_of, day_of, on_business_days, weekday_of
from duly_risk.fallback import RulesModel
from duly_risk.model import FeatureFrame, FrameUnreadable
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD_FRIDAY, EASTER_MONDAY = ClosedRule("easter", 0, -2, 0), ClosedRule("easter", 0, 1, 0)
RULES = (GOOD_FRIDAY, EASTER_MONDAY, ClosedRule("day", 12, 25, 0), ClosedRule("nth", 5, 0, -1))


@pytest.mark.parametrize(
    ("rule", "words", "when"),
    [
        (GOOD_FRIDAY, "Good Friday", date(2024, 3, 29)),
        (ClosedRule("easter", 0, 60, 0), "Corpus Christi", date(2024, 5, 30)),
        (ClosedRule("day", 9, 7, 0), "7 September", date(2024, 9, 7)),
        (ClosedRule("nth", 5, 0, -1), "last Monday of May", date(2024, 5, 27)),
        (ClosedRule("nth", 11, 3, 4), "fourth Thursday of November", date(2024, 11, 28)),
        (ClosedRule("nth", 12, 4, -1), "last Friday of December", date(2024, 12, 27)),
    ],
)
def test_a_rule_has_a_name_and_a_day(rule, words, when):
    assert (rule.words, date_of(rule.in_year(2024))) == (words, when)


def test_a_fifth_monday_is_not_in_every_month():
    fifth = ClosedRule("nth", 2, 0, 5)
    assert [year for year in range(2020, 2060) if fifth.in_year(year) is not None] == [2044]


def butchers_easter(year: int) -> date:
    """The rule as S. Butcher's Ecclesiastical Calendar has it (1876), step by step."""
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), (i, k) = divmod(b, 4), divmod(c, 4)
    h = (19 * a + b - d - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    rest = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * rest) // 451
    month, day = divmod(h + rest - 7 * m + 114, 31)
    return date(year, month, day + 1)


def test_easter_is_that_of_another_rule_in_every_year_there_is():
    sunday = ClosedRule("easter", 0, 0, 0)
    assert [date_of(sunday.in_year(year)) for year in YEARS] == [butchers_easter(year) for year in YEARS]


@settings(deadline=None)
@given(st.integers(day_of(date(YEARS.start, 1, 1)), day_of(date(YEARS.stop, 1, 1)) - 1))
def test_the_rules_of_a_day_are_those_that_close_it(day):
    rules = rules_of_day(day)
    assert all(rule.in_year(date_of(day).year) == day for rule in rules)
    assert {rule.kind for rule in rules} >= ({"nth"} if weekday_of(day) < 5 else set())


def test_a_due_date_moves_past_weekends_and_closed_days_however_they_follow_each_other():
    thursday = day_of(date(2024, 3, 28))
    due = np.arange(thursday, thursday + 8)
    # Good Friday, a weekend, Easter Monday: what falls on any of them is due on Tuesday.
    assert (closed_days(RULES).open_day(due) - thursday).tolist() == [0, 5, 5, 5, 5, 5, 6, 7]


@settings(deadline=None)
@given(st.lists(st.integers(-20_000, 100_000), min_size=1, max_size=20))
def test_an_open_day_is_the_first_one_on_or_after_a_day(days):
    calendar = closed_days(RULES)
    moved = calendar.open_day(np.array(days, dtype=np.int64)).tolist()
    for day, after in zip(days, moved, strict=True):
        inside = [one for one in range(day, after) if 0 <= one < len(calendar.is_closed)]
        assert weekday_of(after) < 5
        assert all(weekday_of(one) >= 5 or calendar.is_closed[one] for one in inside)
        assert after - day <= 4
    alone = [calendar.open_day(np.array([day], dtype=np.int64))[0] for day in days]
    assert alone == moved


def test_without_rules_weekends_alone_move_a_due_date_and_curves_stay_as_they_are():
    days, hazards = np.arange(20_000, 20_030), np.full((2, HORIZON_DAYS), 0.5, dtype=np.float32)
    assert closed_days(()).open_day(days).tolist() == on_business_days(days).tolist()
    assert closed_days(()).laid_on(hazards, np.array([20_000, 20_001])) is hazards


def test_hardly_anything_is_paid_on_a_closed_day_and_other_days_stay_as_they_are():
    christmas = day_of(date(2024, 12, 25))
    hazards = np.full((2, HORIZON_DAYS), 0.5, dtype=np.float32)
    laid = closed_days((ClosedRule("day", 12, 25, 0),)).laid_on(hazards, np.array([christmas - 4, christmas]))
    assert laid[0, 3] == np.float32(0.5) * np.float32(0.03)
    assert np.all(np.delete(laid[0], 3) == 0.5)
    assert np.all(laid[1] == 0.5)


def test_rules_travel_in_the_frame():
    frame = FeatureFrame({"EUR": 100.0}, closed_rules=RULES)
    assert FeatureFrame.from_json(frame.to_json()) == frame


@pytest.mark.parametrize(
    "row",
    [
        ["day", 2, 29, 0],
        ["day", 13, 1, 0],
        ["easter", 0, 3, 0],
        ["nth", 5, 5, 1],
        ["noon", 1, 1, 0],
        ["day", 1],
        [],
        ["day", True, 1, 0],
        ["day", 1.0, 1, 0],
    ],
)
def test_what_is_no_rule_makes_a_frame_unreadable(row):
    with pytest.raises(ValueError, match="no rule"):
        closed_rule(row)
    with pytest.raises(FrameUnreadable):
        FeatureFrame.from_json(json.dumps({"closed_rules": [row]}))


@pytest.mark.parametrize(
    "frame",
    [
        "[" * 100_000,
        '{"amount_median_minor": {"EUR": "x"}}',
        '{"amount_median_minor": {"EUR": NaN}}',
        '{"amount_median_minor": [1]}',
        '{"other_median_minor": 0}',
        '{"other_median_minor": true}',
        '{"other_median_minor": 0.5}',
        '{"amount_median_minor": {"EUR": 1e-320}}',
        f'{{"other_median_minor": 1{"0" * 400}}}',
        '{"late_rate": "x"}',
        '{"late_rate": 1e308}',
        '{"late_rate": -5}',
        '{"any_late_rate": 1.01}',
        '{"delay_mean": Infinity}',
        '{"delay_mean": -10001}',
        '{"days_to_pay_mean": 1e300}',
        '{"tier_cuts_minor": {"EUR": ["a", "b"]}}',
        '{"tier_cuts_minor": {"EUR": [null, null]}}',
        '{"closed_rules": [["day", 12, 25, 0], ["day", 12, 25, 0]]}',
    ],
)
def test_a_frame_of_anything_but_numbers_that_a_fit_can_give_is_unreadable(frame):
    with pytest.raises(FrameUnreadable):
        FeatureFrame.from_json(frame)


@pytest.mark.parametrize(
    "frame",
    [
        RulesModel.info.frame,
        FeatureFrame(),
        FeatureFrame({"EUR": 1.0}, 1.0, 0.0, 0.0, float(DELAY_MIN), 0.0),
        FeatureFrame({"KRW": 1e15}, 1e15, 1.0, 1.0, float(DELAY_MAX), float(DAYS_TO_PAY_MAX)),
    ],
    ids=["rules", "empty ledger", "least", "most"],
)
def test_whatever_a_fit_can_give_is_read(frame):
    assert FeatureFrame.from_json(frame.to_json()) == frame
