"""The measures of monitoring, each against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from duly_training.metrics import calibration_error, calibration_line
from duly_training.monitor.chance import error_by_chance, slope_and_error
from duly_training.monitor.drift import DEBTORS_MIN, MISSING_DEBTORS_MIN, FitBins, psi
from duly_training.monitor.payments import DailyPayments, cusum
from duly_training.monitor.recorded import RecordedScore, rank_agreement, score_flow
from duly_training.monitor.report import Level, RipeCalibration, calibration_of, drift_level
from hypothesis import given, settings
from hypothesis import strategies as st

SHARES = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=10).map(lambda parts: [p / sum(parts) for p in parts])


def test_psi_of_the_documented_example() -> None:
    assert psi((0.5, 0.5), (0.6, 0.4)) == pytest.approx(0.0405, abs=5e-5)


def test_an_empty_bin_counts_as_the_floor() -> None:
    assert psi((0.5, 0.5), (1.0, 0.0)) == pytest.approx(0.5 * math.log(2) + (1e-4 - 0.5) * math.log(2e-4))


@settings(deadline=None)
@given(SHARES)
def test_psi_is_zero_for_equals_and_never_negative(shares: list[float]) -> None:
    assert psi(shares, shares) == 0.0
    assert psi(shares, shares[::-1]) >= 0.0


def test_bins_hold_equal_mass_and_a_value_that_repeats_is_not_cut() -> None:
    assert FitBins.of(np.arange(1000.0)).shares == pytest.approx([0.1] * 10)
    mostly_zero = FitBins.of(np.array([0.0] * 950 + [1.0] * 50))
    assert (mostly_zero.edges, mostly_zero.shares) == ((0.0,), (0.95, 0.05))


def test_missing_values_are_a_share_of_their_own() -> None:
    half = np.where(np.arange(1000) % 2 == 0, np.nan, np.arange(1000.0))
    drift = FitBins.of(np.arange(1000.0)).drift_of(half, np.arange(1000))
    assert (drift.missing_then, drift.missing_now) == (0.0, 0.5)
    assert drift.psi == pytest.approx(0.0, abs=1e-3)


def missing_level(known: np.ndarray, debtor: np.ndarray) -> Level:
    """Of a quantity that was never missing at the fit."""
    return drift_level("delay", FitBins.of(np.arange(1000.0)).drift_of(np.where(known, 5.0, np.nan), debtor))


def test_what_one_new_debtor_lacks_is_no_drift_however_many_invoices_it_has() -> None:
    others, new = np.arange(40), np.full(60, 99)
    debtor = np.concatenate([others, new])
    assert missing_level(debtor != 99, debtor) is Level.OK
    assert missing_level((debtor != 99) & (debtor >= 3), debtor) is Level.WARN  # 3 of the 40 others
    assert missing_level(np.zeros(100, bool), debtor) is Level.ALARM


def test_missing_values_of_a_few_debtors_say_nothing() -> None:
    few = np.repeat(np.arange(MISSING_DEBTORS_MIN - 1), 10)
    assert missing_level(np.zeros(len(few), bool), few) is Level.OK
    enough = np.repeat(np.arange(MISSING_DEBTORS_MIN), 10)
    assert missing_level(np.zeros(len(enough), bool), enough) is Level.ALARM


def test_too_few_debtors_say_nothing_however_many_invoices_they_have() -> None:
    bins = FitBins.of(np.arange(1000.0))
    one_more = np.arange(DEBTORS_MIN)
    assert bins.drift_of(np.full(DEBTORS_MIN, 5.0), one_more // 2).psi is None
    assert bins.drift_of(np.full(DEBTORS_MIN - 1, 5.0), one_more[1:]).psi is None
    assert (bins.drift_of(np.full(DEBTORS_MIN, 5.0), one_more).psi or 0) > 5


def crowd(debtors: int, invoices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p, and the invoices of debtors that all pay alike: y is calibrated, one draw for each debtor."""
    random = np.random.default_rng(1)
    p = random.uniform(0.1, 0.9, debtors)
    late = random.random(debtors) < p
    return np.repeat(late, invoices), np.repeat(p, invoices), np.repeat(np.arange(debtors), invoices)


def test_what_chance_explains_of_a_calibration_error_counts_debtors_not_invoices() -> None:
    y, p, debtor = crowd(100, 10)
    assert calibration_error(y, p) < error_by_chance(y, p, debtor)
    assert error_by_chance(y, p, debtor) > 2 * error_by_chance(y, p, np.arange(1000))
    assert error_by_chance(y, p, debtor) == error_by_chance(y, p, debtor)


def test_a_calibration_slope_is_as_sure_as_its_debtors_are_many() -> None:
    y, p, debtor = crowd(100, 10)
    clustered, alone = slope_and_error(y, p, debtor), slope_and_error(y, p, np.arange(1000))
    assert clustered is not None
    assert alone is not None
    assert clustered[0] == alone[0] == calibration_line(y, p)[0]
    assert abs(clustered[0] - 1) < clustered[1]
    assert clustered[1] == pytest.approx(math.sqrt(10) * alone[1], rel=0.01)


@pytest.mark.parametrize("p", [np.full(300, 0.3), np.full(300, 0.5), np.linspace(1e-9, 1e-7, 300)])
def test_probabilities_that_are_all_alike_have_no_slope(p: np.ndarray) -> None:
    assert slope_and_error(np.arange(300) % 3 == 0, p, np.arange(300) // 3) is None


def calibration(p: np.ndarray, debtor: np.ndarray) -> RipeCalibration:
    """Every second invoice is late."""
    return calibration_of(30, np.arange(len(p)) % 2 == 0, p, debtor, ripe_share=1.0)


def test_a_slope_that_does_not_exist_raises_no_level_and_hides_none() -> None:
    alike = calibration(np.full(400, 0.5), np.arange(400))
    assert (alike.slope, alike.slope_error, alike.level) == (None, None, Level.OK)
    sure = calibration(np.full(400, 1.0), np.arange(400))
    assert (sure.slope, sure.ece, sure.level) == (None, 0.5, Level.ALARM)
    json.dumps([asdict(alike), asdict(sure)], allow_nan=False)


def test_a_few_debtors_are_sure_of_no_slope() -> None:
    spread = np.linspace(0.3, 0.7, 400)
    assert calibration(spread, np.zeros(400, np.int64)).slope is None
    assert calibration(spread, np.arange(400) % 29).slope is None
    assert calibration(spread, np.arange(400) % 30).slope is not None


def test_a_slope_of_nothing_is_an_alarm() -> None:
    flat = calibration(np.linspace(0.1, 0.9, 400), np.arange(400))
    assert flat.slope == pytest.approx(0.0, abs=0.02)
    assert flat.level is Level.ALARM


def test_the_cusum_adds_log_likelihood_ratios_and_begins_anew_after_an_alarm() -> None:
    """With rho 0.85, 10 expected and none paid, a day adds 0.15 x 10 = 1.5; over a dispersion of 1 the 4th passes 5."""
    nothing_paid = DailyPayments(100, np.zeros(6), np.full(6, 10.0), np.full(6, 9.0))
    one = cusum(nothing_paid, dispersion=1.0)
    assert (one.alarms, one.value) == ((103,), pytest.approx(3.0))
    assert cusum(nothing_paid, dispersion=3.0).alarms == ()
    assert cusum(nothing_paid, dispersion=1.0, rho=1 / 0.85).value == 0.0


def test_payments_as_expected_leave_the_sum_at_zero() -> None:
    fine = DailyPayments(0, np.full(200, 10.0), np.full(200, 10.0), np.full(200, 9.0))
    assert cusum(fine, 1.0) == cusum(fine, 1.0, rho=1 / 0.85)
    assert cusum(fine, 1.0).value == 0.0


def test_dispersion_is_the_residuals_over_the_variance_and_never_below_poisson() -> None:
    swinging = DailyPayments(0, np.array([4.0, 16.0] * 50), np.full(100, 10.0), np.full(100, 9.0))
    assert swinging.dispersion == pytest.approx(4.0)
    still = DailyPayments(0, np.full(100, 10.0), np.full(100, 10.0), np.full(100, 9.0))
    assert still.dispersion == 1.0


def score(debtor: int, risk: float, band: str = "LOW", before: str = "LOW", *, shadow: bool = False) -> RecordedScore:
    return RecordedScore(f"D-{debtor}", debtor, 1, shadow, "risk 2", band, before, risk)


def test_bands_moves_and_agreement_come_from_recorded_scores_each_counted_once() -> None:
    champions = [score(i, i / 100) for i in range(40)] + [score(99, 0.5, "HIGH", "LOW")]
    shadows = [score(i, i / 50, shadow=True) for i in range(40)]
    flow = score_flow([*champions, *champions, *shadows])
    assert (flow.scores, flow.bands, flow.moves) == (41, {"LOW": 40, "HIGH": 1}, {("LOW", "HIGH"): 1})
    assert (flow.pairs, flow.agreement) == (40, pytest.approx(1.0))
    assert flow.versions == {"risk 2": 41, "risk 2 SHADOW": 40}


def test_a_few_pairs_or_all_alike_give_no_agreement() -> None:
    assert rank_agreement([(0.1, 0.2)] * 29) is None
    assert rank_agreement([(0.1, 0.2)] * 50) is None
    assert rank_agreement([(i, -i) for i in range(50)]) == pytest.approx(-1.0)
