"""Measures on small vectors that can be checked by hand, and intervals that draw debtors."""

import numpy as np
import pytest
from duly_training.fairness import by_group, proxy_auc
from duly_training.intervals import intervals_of
from duly_training.judged import Judged
from duly_training.metrics import (
    auc,
    average_precision,
    calibration_error,
    calibration_error_by_chance,
    calibration_line,
    capture,
    concordance,
    late_metrics,
)
from duly_training.predictions import Predictions
from duly_training.timeline import NEVER


def test_measures_of_a_small_vector():
    y, p = np.array([True, False, False, True]), np.array([0.9, 0.2, 0.4, 0.6])
    measured = late_metrics(y, p, np.ones(4))
    assert measured["auc"] == 1.0
    assert measured["ap"] == 1.0
    assert measured["brier"] == pytest.approx((0.01 + 0.04 + 0.16 + 0.16) / 4)
    assert measured["logloss"] == pytest.approx(-np.log([0.9, 0.8, 0.6, 0.6]).mean())
    assert calibration_error(y, p) == pytest.approx((0.1 + 0.2 + 0.4 + 0.4) / 4)


def test_ranking_counts_ties_half():
    y, p = np.array([True, True, False, False]), np.array([0.9, 0.5, 0.5, 0.1])
    assert auc(y, p) == pytest.approx(3.5 / 4)
    assert average_precision(y, p) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_capture_is_the_late_share_inside_the_top_tenth():
    y = np.array([True, True] + [False] * 18)
    p = np.array([0.9, 0.1] + [0.5] * 18)
    assert capture(y, p, np.ones(20)) == 0.5
    assert capture(y, p, np.array([9.0, 1.0] + [1.0] * 18)) == pytest.approx(0.9)


def test_concordance_knows_that_an_open_invoice_is_later_than_those_paid_before():
    delay, paid = np.array([0, 5, 9, 3]), np.array([True, True, True, False])
    # Known orders: 0 before 5, 9 and the open one; 5 before 9. The open one may still come before 5 or after 9.
    assert concordance(delay, paid, np.array([1.0, 2.0, 3.0, 4.0])) == 1.0
    assert concordance(delay, paid, np.array([4.0, 3.0, 2.0, 1.0])) == 0.0
    assert concordance(delay, paid, np.zeros(4)) == 0.5


def test_a_calibrated_model_has_slope_one_and_the_error_that_chance_shows():
    random = np.random.default_rng(1)
    p = random.uniform(0.01, 0.4, 20_000)
    y = random.random(20_000) < p
    slope, intercept = calibration_line(y, p)
    assert slope == pytest.approx(1, abs=0.06)
    assert intercept == pytest.approx(0, abs=0.1)
    assert calibration_error(y, p) == pytest.approx(calibration_error_by_chance(p), abs=0.006)
    # Half as far from the mean on the logit: twice the slope.
    assert calibration_line(y, 1 / (1 + np.sqrt((1 - p) / p)))[0] == pytest.approx(2 * slope, rel=1e-6)


def judged(debtors: int, each: int) -> Judged:
    n = debtors * each
    days = np.full(n, 20_000)
    late = np.repeat(np.arange(debtors) % 4 == 0, each)
    paid = np.where(late, days + 40, days + 30)
    return Judged(
        21_000, np.arange(n), np.repeat(np.arange(debtors), each), np.zeros((n, 1)), days, days, days + 30, paid, days
    )


def test_debtors_are_drawn_not_invoices():
    widths = []
    for debtors, each in ((40, 1), (40, 25)):
        of = judged(debtors, each)
        constant = Predictions({5: np.full(len(of), 0.25)}, days=np.full(len(of), 30.0))
        knows = Predictions({5: np.where(of.late(), 0.6, 0.1)})
        found = intervals_of(of, {"hazard": knows, "constant": constant}, draws=400)
        assert found.gains["constant"].above_zero
        assert found.measured["constant_mae_days"].value == pytest.approx(2.5)
        assert found.measured["hazard_auc_late5"].value == 1.0
        widths.append(found.measured["constant_mae_days"].high - found.measured["constant_mae_days"].low)
    # 25 invoices of one debtor say no more than one.
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


def test_a_gain_by_chance_is_not_sure():
    of = judged(12, 1)
    hazard = Predictions({5: np.where(np.arange(12) % 3 == 0, 0.3, 0.22)})
    found = intervals_of(of, {"hazard": hazard, "constant": Predictions({5: np.full(12, 0.25)})}, draws=200)
    assert not found.gains["constant"].above_zero


def test_an_open_invoice_is_late_once_it_had_its_time():
    of = judged(4, 1)
    still_open = Judged(20_061, *(getattr(of, name) for name in Judged.__slots__[1:7]), np.full(4, NEVER), of.amount)
    assert still_open.ripe().all()
    assert still_open.late().all()
    assert still_open.days.tolist() == [120] * 4
    assert still_open.delay.tolist() == [30] * 4


def test_groups_are_compared_with_the_largest():
    y, p = np.zeros(100, dtype=bool), np.linspace(0, 1, 100)
    y[::7] = True
    rows = by_group(y, p, p[:, np.newaxis].astype(np.float32), ["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    assert [row.group for row in rows] == ["a", "b", "c"]
    assert rows[2].top_share == 1.0
    assert rows[2].alarm
    assert rows[2].told > 0.9


def test_features_that_carry_a_group_are_found_out():
    random = np.random.default_rng(2)
    member = random.random(2_000) < 0.5
    noise = random.normal(size=(2_000, 3)).astype(np.float32)
    assert proxy_auc(noise, member) == pytest.approx(0.5, abs=0.05)
    noise[:, 0] += 2 * member
    assert proxy_auc(noise, member) > 0.85
