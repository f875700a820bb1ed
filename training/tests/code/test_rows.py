"""Rows, labels and splits: each day at risk once, the payment on its day, nothing from after the cut."""

import numpy as np
import pytest
from duly_risk.book import Terms, book_of
from duly_risk.curves import HORIZON_DAYS
from duly_risk.features import INDEX
from duly_risk.measures import debtor_measures, invoice_measures
from duly_risk.model import FeatureFrame
from duly_risk.state import Closing, DebtorState
from duly_training.dataset import rows_of
from duly_training.evaluate import expected_calibration_error, late_metrics
from duly_training.snapshots import Outcome, Snapshot
from duly_training.splits import is_ripe, splits_of

T0 = 20_000
DUE = T0 + 14
FRAME = FeatureFrame({"EUR": 100.0})


def snapshot(as_of: int = T0, name: str = "I") -> Snapshot:
    terms, book = Terms(name, T0, DUE, 100, "EUR"), book_of(DebtorState())
    measures = np.array(invoice_measures(book, terms, as_of, debtor_measures(book)))
    return Snapshot("D", terms, as_of, None, measures)


def rows(outcome: Outcome, as_of: int = T0, cut: int = T0 + 1000):
    return rows_of([snapshot(as_of)], {("D", "I"): outcome}, FRAME, cut, rows_max=10**6)


def test_a_paid_invoice_has_a_row_a_day_and_its_payment_on_the_last():
    data = rows(Outcome(DUE, Closing.PAID, T0 + 20))
    assert data.day.tolist() == list(range(T0 + 1, T0 + 21))
    assert data.y.tolist() == [0.0] * 19 + [1.0]
    assert data.x[:, INDEX["lag"]].tolist() == list(range(1, 21))
    assert data.x[:, INDEX["dpd_day"]].max() == 20 - 14 - {5: 2, 6: 1}.get((DUE + 3) % 7, 0)


@pytest.mark.parametrize(
    ("outcome", "as_of", "cut", "n", "events"),
    [
        (Outcome(DUE, Closing.PAID, T0 + 20), T0 + 15, T0 + 1000, 5, 1),
        (Outcome(DUE, Closing.PAID, T0 + 20), T0 + 20, T0 + 1000, 0, 0),
        (Outcome(DUE, Closing.PAID, T0 + 20), T0, T0 + 11, 10, 0),
        (Outcome(DUE, None, 0), T0, T0 + 31, 30, 0),
        (Outcome(DUE, None, 0), T0, T0 + 1000, HORIZON_DAYS, 0),
        (Outcome(DUE, Closing.VOIDED, T0 + 5), T0, T0 + 1000, 4, 0),
        (Outcome(DUE, Closing.CREDITED, T0 + 5), T0, T0 + 1000, 4, 0),
        (Outcome(DUE, Closing.WRITTEN_OFF, T0 + 90), T0, T0 + 1000, HORIZON_DAYS, 0),
    ],
)
def test_rows_end_with_payment_credit_cut_or_horizon(outcome, as_of, cut, n, events):
    data = rows(outcome, as_of, cut)
    assert (len(data.y), data.events) == (n, events)


def test_thinning_keeps_every_payment_and_the_weight_of_the_rest():
    names = [f"I{i}" for i in range(200)]
    outcomes = {("D", name): Outcome(DUE, Closing.PAID, T0 + 50) for name in names}
    data = rows_of([snapshot(name=name) for name in names], outcomes, FRAME, T0 + 1000, rows_max=2_000)
    assert data.events == 200
    assert len(data.y) == pytest.approx(2_000, rel=0.05)
    assert data.weight[data.y == 0].sum() == pytest.approx(200 * 49, rel=1e-4)
    assert set(data.weight[data.y == 1]) == {1.0}


def test_what_judges_comes_after_what_is_fitted():
    splits = splits_of(T0, T0 + 450)
    assert (splits.test_from, splits.validation_from) == (T0 + 450 - 135, T0 + 450 - 135 - 67)
    long = splits_of(T0, T0 + 3000)
    assert (long.cut_day - long.test_from, long.test_from - long.validation_from) == (182, 92)


def test_a_label_counts_only_when_slow_payers_had_their_time():
    assert is_ripe(T0, 5, T0 + 30)
    assert not is_ripe(T0, 5, T0 + 29)
    assert not is_ripe(T0, 45, T0 + 44)


def test_measures_of_a_small_vector():
    y, p = np.array([True, False, False, True]), np.array([0.9, 0.2, 0.4, 0.6])
    measured = late_metrics(y, p)
    assert measured["auc"] == 1.0
    assert measured["brier"] == pytest.approx((0.01 + 0.04 + 0.16 + 0.16) / 4)
    assert measured["logloss"] == pytest.approx(-np.log([0.9, 0.8, 0.6, 0.6]).mean())
    assert expected_calibration_error(y, p) == pytest.approx((0.1 + 0.2 + 0.4 + 0.4) / 4)
