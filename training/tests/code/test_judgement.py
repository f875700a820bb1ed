"""What the gate reads beside the measures, and what the report shows: slices, champion, checks, roll rates, money."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from duly_risk.book import Terms, book_of
from duly_risk.days import day_of
from duly_risk.features import INDEX, N_FEATURES
from duly_risk.measures import COLUMN, N_MEASURES, Measures, invoice_measures
from duly_risk.state import DebtorState
from duly_training.intervals import Intervals
from duly_training.judged import Judged
from duly_training.pipeline import CHAMPION_INVOICES_MIN, Champion, against_champion, model_checks
from duly_training.plots import weekly_money
from duly_training.predictions import Predictions
from duly_training.roll_rate import RollRate, roll_rates
from duly_training.slices import Slice, best_baseline, slices_of
from duly_training.timeline import NEVER, Changes, Snapshots, Timeline
from duly_training.window import MODEL, Window

# A Monday, the first of a month.
DAY = day_of(date(2024, 1, 1))


def measures(as_of: int, due: int, settled: int = 0) -> Measures:
    row = invoice_measures(book_of(DebtorState()), Terms("I", as_of, due, 100, "EUR"), as_of)
    row[COLUMN["n_known"]] = settled
    return row


def judged_of(
    as_of: list[int], paid: list[int], *, due_in: int = 10, settled: list[int] | None = None, cut: int = DAY + 1_000
) -> Judged:
    n = len(as_of)
    t0, due = np.array(as_of), np.array(as_of) + due_in
    known = settled or [0] * n
    rows = np.array([measures(*row) for row in zip(as_of, due.tolist(), known, strict=True)])
    return Judged(cut, np.arange(n), np.arange(n), rows, t0, t0, due, np.array(paid), np.arange(1.0, n + 1))


class TestSlices:
    P = np.array([0.9, 0.2, 0.1, 0.8, 0.3, 0.1])

    def slices(self, **changes: object) -> dict[str, Slice]:
        late = [True, False, False, True, True, False]
        judged = judged_of(
            [DAY, DAY, DAY, DAY + 40, DAY + 40, DAY + 40],
            [DAY + 60 if one else DAY + 41 for one in late],
            settled=[0, 2, 3, 20, 21, 50],
        )
        due = np.array([DAY + 10, DAY + 41, DAY + 41, DAY + 50, DAY + 50, DAY + 41])
        judged = replace(replace(judged, due=due), **changes)
        model, baseline = Predictions({5: self.P}), Predictions({5: np.full(6, 0.5)})
        return {one.name: one for one in slices_of(judged, model, baseline, ["", "steel", "steel", "", "", "wood"])}

    def test_settled_invoices_part_debtors_at_three_and_twenty(self) -> None:
        found = self.slices()
        names = ("fewer than 3 settled", "3 to 20 settled", "more than 20 settled")
        assert [(found[name].invoices, found[name].late) for name in names] == [(2, 1)] * 3

    def test_a_slice_is_measured_like_the_whole(self) -> None:
        cold = self.slices()["fewer than 3 settled"]  # p 0.9 came late, p 0.2 did not
        assert cold.auc == 1.0
        assert cold.logloss == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2)
        assert cold.baseline_logloss == pytest.approx(math.log(2))
        assert cold.ece == pytest.approx((0.1 + 0.2) / 2)
        assert cold.worse_by == pytest.approx(cold.logloss / math.log(2) - 1)

    def test_thirds_by_amount_sectors_that_are_known_and_months_are_parts_too(self) -> None:
        found = self.slices()
        assert [found[f"{size} invoices"].invoices for size in ("small", "medium", "large")] == [2, 2, 2]
        assert {name: one.invoices for name, one in found.items() if name.startswith("sector")} == {
            "sector steel": 2,
            "sector wood": 1,
        }
        assert [name for name in found if name.startswith("first known")] == [
            "first known in 2024-01",
            "first known in 2024-02",
        ]

    def test_invoices_that_had_no_time_to_be_late_are_left_out(self) -> None:
        found = self.slices(cut_day=DAY + 75)  # two are due on day 50, 25 days before the cut
        assert sum(one.invoices for name, one in found.items() if "settled" in name) == 4

    def test_a_slice_judges_from_five_hundred_invoices_and_thirty_late_ones_on(self) -> None:
        one = Slice("cold", 500, 30, 0.9, 0.1, 0.1, 0.0)
        assert one.is_judged
        assert not replace(one, invoices=499).is_judged
        assert not replace(one, late=29).is_judged

    def test_the_best_baseline_has_the_smallest_loss_and_the_first_name_among_equals(self) -> None:
        assert best_baseline({"logistic": 0.2, "constant": 0.3}) == "logistic"
        assert best_baseline({"logistic": 0.2, "constant": 0.2}) == "constant"


class TestAgainstTheChampion:
    """300 invoices, one a day, due the day after; two of three are late. The champion pays half of all days."""

    N = 300

    @pytest.fixture
    def window(self) -> Window:
        days = [DAY + number for number in range(self.N)]
        paid = [day + (30 if day % 3 else 1) for day in days]
        judged = judged_of(days, paid, due_in=1)
        ours = Predictions({5: np.where(judged.late(), 0.8, 0.2)})
        return Window(DAY, DAY + self.N, None, judged, {MODEL: ours}, {}, Intervals({}, {}), ())

    def test_both_are_measured_on_what_the_champion_had_not_seen(self, window, coin) -> None:
        said = against_champion(window, Champion(coin(0.5), DAY + 60))
        # Open at the end of due + 4, five days on: 1/32.
        theirs = (2 / 3) * -math.log(1 / 32) + (1 / 3) * -math.log(31 / 32)
        assert said.invoices == self.N - 60
        assert said.logloss == pytest.approx(-math.log(0.8))
        assert said.champion_logloss == pytest.approx(theirs)

    def test_too_few_of_them_are_no_comparison(self, window, coin) -> None:
        seen = self.N - CHAMPION_INVOICES_MIN
        assert against_champion(window, Champion(coin(), DAY + seen)).champion_logloss is not None
        said = against_champion(window, Champion(coin(), DAY + seen + 1))
        assert (said.invoices, said.logloss, said.champion_logloss) == (199, None, None)
        assert "199 invoices, 200 are needed" in said.note

    def test_unripe_invoices_compare_nothing(self, window, coin) -> None:
        early = replace(window, judged=replace(window.judged, cut_day=DAY + 31))
        assert against_champion(early, Champion(coin(), DAY)).invoices == 1

    def test_why_there_is_no_champion_is_handed_on(self, window) -> None:
        assert against_champion(window, "none was promoted").note == "none was promoted"


class Trees:
    """A Booster's predict by a formula. noise: added to the first row of a batch of several."""

    def __init__(self, slope: dict[str, float], base: float = 0.5, noise: float = 0.0) -> None:
        self.slope, self.base, self.noise = slope, base, noise

    def inplace_predict(self, rows: np.ndarray, validate_features: bool) -> np.ndarray:
        values = self.base + sum(weight * rows[:, INDEX[name]] for name, weight in self.slope.items())
        values = np.broadcast_to(np.asarray(values, dtype=np.float32), (len(rows),)).copy()
        if len(rows) > 1:
            values[0] += np.float32(self.noise)
        return values


class TestChecksOfAModel:
    OLDER, ALONE, BOUNDS = (
        "older debt is never safer",
        "a row alone equals itself in a batch",
        "hazards lie within 0 and 1",
    )

    def checks(self, trees: Trees) -> dict[str, str]:
        rows = np.linspace(0, 1, 8 * N_FEATURES, dtype=np.float32).reshape(8, N_FEATURES)
        return model_checks(SimpleNamespace(booster=trees, sample=SimpleNamespace(x=rows)))

    def test_a_model_that_holds_has_no_fault(self) -> None:
        assert self.checks(Trees({"h_late_rate": -0.1})) == {self.OLDER: "", self.ALONE: "", self.BOUNDS: ""}

    def test_a_debtor_who_was_late_more_often_may_not_look_safer(self) -> None:
        assert (
            self.checks(Trees({"h_late_rate": 0.1, "h_any_late_rate": -0.1}))[self.OLDER] == "violated by h_late_rate"
        )

    def test_a_neighbour_that_moves_a_row_is_found(self) -> None:
        assert self.checks(Trees({}, noise=1e-6))[self.ALONE] == "bytes differ"

    @pytest.mark.parametrize("base", [-0.01, 1.01, math.nan])
    def test_what_is_no_probability_is_found(self, base: float) -> None:
        assert self.checks(Trees({}, base))[self.BOUNDS] == "they do not"


def timeline_of(cut: int, *invoices: tuple[int, int, int]) -> Timeline:
    """invoices: issue, due and paid as days after DAY; each known from its issue on."""
    issue, due, paid = (np.array(column, dtype=np.int64) for column in zip(*invoices, strict=True))
    n = len(invoices)
    changes = Changes(
        np.arange(n),
        issue + DAY,
        issue + DAY,
        due + DAY,
        np.full(n, 100),
        np.where(paid == NEVER, NEVER, paid + DAY),
        np.full(n, NEVER),
    )
    nothing = Snapshots(np.empty((0, N_MEASURES)), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    names = tuple(str(number) for number in range(n))
    return Timeline(DAY + cut, "", names, names, np.arange(n), ("EUR",) * n, nothing, changes)


class TestRollRates:
    """Due on day 10, a window from day 200 on, everything known before day 1,000."""

    PAST = ((0, 10, 10), (0, 10, 30), (0, 10, 50), (0, 10, 100), (0, 10, NEVER))  # 0, 20, 40, 90 days late, never paid
    WINDOW = ((300, 310, 310), (300, 310, 350), (300, 310, 380), (300, 310, 400))  # 0, 40, 70, 90 days late

    def test_the_share_that_rolls_to_ninety_days_from_each_bucket(self) -> None:
        found = roll_rates(timeline_of(1_000, *self.PAST, *self.WINDOW), DAY + 200)
        # Of the past four were open 1 day after due, three after 30, two after 60; two of each rolled. Half an
        # invoice of five is added: the share where nothing is known is a tenth.
        assert found == (
            RollRate(1, 3, pytest.approx(1 / 3), pytest.approx(2.5 / 9)),
            RollRate(30, 3, pytest.approx(1 / 3), pytest.approx(2.5 / 8)),
            RollRate(60, 2, pytest.approx(1 / 2), pytest.approx(2.5 / 7)),
        )

    def test_a_vintage_counts_once_ninety_days_have_passed(self) -> None:
        assert roll_rates(timeline_of(401, *self.PAST, *self.WINDOW), DAY + 200) != ()
        assert roll_rates(timeline_of(400, *self.PAST, *self.WINDOW), DAY + 200) == ()
        assert roll_rates(timeline_of(1_000, *self.PAST, *self.WINDOW), DAY + 100) == ()

    def test_buckets_that_nobody_reached_are_left_out(self) -> None:
        found = roll_rates(timeline_of(1_000, *self.PAST, (300, 310, 310), (300, 310, 315)), DAY + 200)
        assert [(one.days_after_due, one.observed) for one in found] == [(1, 0.0)]


class TestWeeklyMoney:
    def test_each_invoice_is_expected_from_the_day_after_it_became_known(self, coin) -> None:
        judged = judged_of([DAY, DAY + 7], [DAY + 3, DAY + 20], cut=DAY + 21)
        money = weekly_money(coin(0.5), judged)
        # Week 0 is days DAY .. DAY + 6: the first invoice (1) has six days in it, the second (2) begins in week 1.
        first = [1 - 0.5**6, 0.5**6 - 0.5**13, 0.5**13 - 0.5**20]
        second = [0.0, 2 * (1 - 0.5**6), 2 * (0.5**6 - 0.5**13)]
        assert money.from_day == DAY
        assert money.expected == pytest.approx(np.add(first, second))
        assert money.actual.tolist() == [1.0, 0.0, 2.0]

    def test_a_week_that_ends_after_the_cut_and_open_invoices_are_left_out(self, coin) -> None:
        judged = judged_of([DAY, DAY], [DAY + 3, NEVER], cut=DAY + 13)
        money = weekly_money(coin(), judged)
        assert (len(money.expected), money.actual.tolist()) == (1, [1.0])
