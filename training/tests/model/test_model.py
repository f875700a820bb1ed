"""The fitted model: more days overdue never lower the risk, equal seeds give equal models, rows know no neighbours."""

import numpy as np
import pytest
from duly_booster.model import predict
from duly_risk.features import FEATURES, INDEX, N_FEATURES
from duly_training.fit import FitSettings
from duly_training.history import history_of
from duly_training.pipeline import TooFewSettledInvoices, fit_and_judge

SETTINGS = FitSettings(trees_max=60, trees_min=20)


@pytest.fixture(scope="module")
def history(made_up_ledger, known_until):
    return history_of(made_up_ledger.facts(known_until), known_until)


@pytest.fixture(scope="module")
def fitted(history):
    return fit_and_judge(history, SETTINGS, 7, lambda *_: None)


@pytest.mark.parametrize("feature", [feature.name for feature in FEATURES if feature.monotone])
def test_older_debt_and_a_worse_past_never_raise_the_hazard(fitted, feature):
    rows = fitted.known.rows.x[:: max(1, len(fitted.known.rows.x) // 500)]
    before = predict(fitted.booster, rows)
    for more in (0.1, 1.0, 7.0, 60.0):
        worse = rows.copy()
        worse[:, INDEX[feature]] += np.float32(more)
        assert np.all(predict(fitted.booster, worse) <= before)


def test_a_row_alone_and_in_a_batch_give_equal_bytes(fitted):
    rows = fitted.known.rows.x[:200]
    alone = np.concatenate([predict(fitted.booster, row.reshape(1, N_FEATURES)) for row in rows])
    assert alone.tobytes() == predict(fitted.booster, rows).tobytes()


def test_the_same_data_and_seed_give_the_same_model_and_figures(fitted, history):
    again = fit_and_judge(history, SETTINGS, 7, lambda *_: None)
    assert again.booster.save_raw("ubj") == fitted.booster.save_raw("ubj")
    assert again.metrics == fitted.metrics
    other = fit_and_judge(history, SETTINGS, 8, lambda *_: None)
    assert other.booster.save_raw("ubj") != fitted.booster.save_raw("ubj")


def test_the_model_knows_more_than_a_constant(fitted):
    assert fitted.metrics["hazard_logloss_late5"] < fitted.metrics["constant_logloss_late5"]
    assert fitted.metrics["hazard_auc_late5"] > 0.8
    assert fitted.metrics["hazard_mae_days"] < fitted.metrics["constant_mae_days"]
    assert {name.split("_")[0] for name in fitted.metrics} == {"constant", "debtor", "logistic", "hazard", "test"}


def test_too_thin_a_history_is_refused(history):
    first = min(event.business_day for events in history.by_debtor.values() for event in events)
    with pytest.raises(TooFewSettledInvoices):
        fit_and_judge(history.before(first + 40), SETTINGS, 7, lambda *_: None)
