"""The fitted model: more days overdue never lower the risk, equal seeds give equal models, rows know no neighbours."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import xgboost as xgb
from duly_booster.model import predict
from duly_risk.days import day_of
from duly_risk.features import FEATURES, INDEX, N_FEATURES, NAMES
from duly_training.calibration import Calibration, calibrated, fitted_calibration
from duly_training.fallback import Serves, rate_model, serves
from duly_training.fit import FitSettings
from duly_training.origin import Kind, TooFewSettledInvoices, fit_before
from duly_training.pipeline import release
from duly_training.request import TrainingRequest

SETTINGS = FitSettings(7, parallel_trees=2, rounds_max=25, rounds_min=20)


def silent(*_: object) -> None: ...


@pytest.fixture(scope="module")
def request_of_it(known_until) -> TrainingRequest:
    return TrainingRequest(known_until, SETTINGS)


@pytest.fixture(scope="module")
def released(made_up_timeline, request_of_it):
    return release(made_up_timeline, request_of_it, "none was promoted", silent)


@pytest.mark.parametrize("feature", [feature.name for feature in FEATURES if feature.monotone])
def test_older_debt_and_a_worse_past_never_raise_the_hazard(released, feature):
    rows = released.final.sample.x[::8]
    before = predict(released.final.booster, rows)
    for more in (0.1, 1.0, 7.0, 60.0):
        worse = rows.copy()
        worse[:, INDEX[feature]] += np.float32(more)
        assert np.all(predict(released.final.booster, worse) <= before)


def test_a_row_alone_and_in_a_batch_give_equal_bytes(released):
    rows = released.final.sample.x[:200]
    alone = np.concatenate([predict(released.final.booster, row.reshape(1, N_FEATURES)) for row in rows])
    assert alone.tobytes() == predict(released.final.booster, rows).tobytes()


def test_the_same_data_and_seed_give_the_same_model_and_figures(released, made_up_timeline, request_of_it):
    again = release(made_up_timeline, request_of_it, "none was promoted", silent)
    assert again.final.booster.save_raw("ubj") == released.final.booster.save_raw("ubj")
    assert again.window.flat_metrics() == released.window.flat_metrics()
    assert again.verdict == released.verdict
    other = fit_before(made_up_timeline, made_up_timeline.cut_day, replace(SETTINGS, seed=8))
    assert other.booster.save_raw("ubj") != released.final.booster.save_raw("ubj")


def test_the_model_knows_more_than_a_constant(released):
    metrics = released.window.flat_metrics()
    assert metrics["hazard_logloss_late5"] < metrics["constant_logloss_late5"]
    assert metrics["hazard_auc_late5"] > 0.8
    assert metrics["hazard_mae_days"] < metrics["days_due_mae_days"]
    assert metrics["gain_logloss_over_constant_low"] > 0


def test_a_small_ledger_is_refused_and_the_debtors_rate_has_to_serve(released):
    assert not released.verdict.promote
    assert "logistic" in released.verdict.reason
    assert serves(released.verdict.promote, None) is Serves.RATE


def test_the_rate_model_sees_the_rate_and_the_day_alone(released, made_up_timeline):
    rate = rate_model(made_up_timeline, released.window, SETTINGS, silent)
    used = set(rate.final.booster.get_score())
    assert used <= {"h_late_rate", "pre_due", "dpd_day", "dow"}
    assert "h_late_rate" in used


def test_too_thin_a_history_is_refused(made_up_timeline):
    first = made_up_timeline.first_day
    with pytest.raises(TooFewSettledInvoices):
        fit_before(made_up_timeline, first + 40, SETTINGS)


def test_a_model_of_a_day_is_the_same_whatever_came_later(made_up_timeline):
    day = day_of(date(2025, 11, 1))
    whole = fit_before(made_up_timeline, day, SETTINGS)
    cut = fit_before(made_up_timeline.before(day), day, SETTINGS, Kind.HAZARD)
    assert whole.booster.save_raw("ubj") == cut.booster.save_raw("ubj")


def test_calibration_is_baked_into_leaves_that_stay_one_plain_booster(released):
    booster, rows = released.final.booster, released.final.sample.x
    moved = calibrated(booster, Calibration(0.3, 0.8))
    margin = booster.inplace_predict(rows, predict_type="margin")
    assert np.abs(moved.inplace_predict(rows, predict_type="margin") - (0.3 + 0.8 * margin)).max() < 1e-5
    assert moved.attributes() == booster.attributes()
    assert moved.feature_names == list(NAMES)
    again = xgb.Booster(model_file=moved.save_raw("ubj"))
    assert again.inplace_predict(rows).tobytes() == moved.inplace_predict(rows).tobytes()


def test_calibration_finds_what_was_bent_and_leaves_thin_data_alone():
    random = np.random.default_rng(3)
    margin = random.normal(-2, 1.5, 60_000)
    y = (random.random(60_000) < 1 / (1 + np.exp(-(0.4 + 1.15 * margin)))).astype(np.float32)
    found = fitted_calibration(margin, y, np.ones_like(y))
    assert found.slope == pytest.approx(1.15, abs=0.04)
    # The level of those days is theirs; what the model expects in all stays as it was.
    before, after = (1 / (1 + np.exp(-(a + b * margin))) for a, b in ((0, 1), (found.intercept, found.slope)))
    assert after.sum() == pytest.approx(before.sum(), rel=1e-6)
    steep = (random.random(60_000) < 1 / (1 + np.exp(-0.7 * margin))).astype(np.float32)
    assert [fitted_calibration(margin, steep, np.ones_like(y), at_least).slope for at_least in (0.8, 1.0)] == [0.8, 1.0]
    few = fitted_calibration(margin[:20], y[:20], np.ones(20, dtype=np.float32))
    assert (few.intercept, few.slope) == pytest.approx((0, 1), abs=0.25)
