"""The published figures of the simple baselines, on real receivables that are not shipped, within 0.002."""

import os
from datetime import date
from pathlib import Path

import pytest
from duly_ledger_export import read_ledger
from duly_risk.days import day_of
from duly_training.baselines import simple_baselines
from duly_training.folding import timeline_of
from duly_training.history import read_history
from duly_training.judged import judged_between
from duly_training.metrics import metrics_of
from duly_training.origin import known_before

FILE = Path(os.environ.get("DULY_DATA_DIR", "data")) / "datarisk-invoices" / "invoices.csv.gz"

# Per window: invoices, labels before it, and their late share; constant logloss; of the debtor's rate AUC, logloss,
# Brier, ECE, capture; days MAE of due date, median, decayed and plain mean delay; C of the mean delay.
REFERENCE = {
    (date(2020, 7, 1), date(2020, 10, 1)): (
        (6_767, 44_760, 0.0755),
        0.1940,
        (0.844, 0.1497, 0.0394, 0.022, 0.50),
        (1.81, 1.60, 1.93, 2.01),
        0.700,
    ),
    (date(2020, 3, 1), date(2020, 4, 1)): (
        (1_943, 36_689, 0.0666),
        0.4793,
        (0.693, 0.5388, 0.1298, 0.098, 0.28),
        (4.86, 4.09, 4.56, 4.42),
        0.681,
    ),
}


@pytest.fixture(scope="module")
def timeline():
    if not FILE.is_file():
        pytest.skip("the ledger is not shipped; DULY_DATA_DIR names the folder that holds datarisk-invoices/")
    return timeline_of(read_history(read_ledger(FILE), date(2021, 1, 1)))


# Reading and folding takes half a minute of one core, and minutes on a busy one.
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("window", REFERENCE, ids=str)
def test_the_baselines_are_the_published_ones(timeline, window):
    (n, labels, share), constant, rate, days, c = REFERENCE[window]
    origin = day_of(window[0])
    frame = known_before(timeline, origin).frame
    labelled = judged_between(timeline, timeline.first_day, origin, origin, frame)
    labelled = labelled.where(labelled.ripe())
    judged = judged_between(timeline, origin, day_of(window[1]), timeline.cut_day, frame)
    judged = judged.where(judged.ripe())
    assert (len(judged), len(labelled)) == (n, labels)
    assert labelled.late().mean() == pytest.approx(share, abs=5e-5)
    by_name = simple_baselines(labelled, judged, frame)
    found = {name: metrics_of(one, judged) for name, one in by_name.items()}
    assert found["constant"]["logloss_late5"] == pytest.approx(constant, abs=0.002)
    names = [f"{measure}_late5" for measure in ("auc", "logloss", "brier", "ece")]
    assert [found["debtor_rate"][name] for name in names] == pytest.approx(rate[:4], abs=0.002)
    assert found["debtor_rate"]["capture_late5"] == pytest.approx(rate[4], abs=0.006)
    rules = ("days_due", "days_median", "days_ewm", "days_mean")
    assert [found[rule]["mae_days"] for rule in rules] == pytest.approx(days, abs=0.006)
    assert found["days_mean"]["concordance"] == pytest.approx(c, abs=0.01)
