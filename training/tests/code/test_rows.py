"""Rows, labels and splits: each day at risk once, the payment on its day, nothing from after the cut."""

from datetime import date

import numpy as np
import pytest
from duly_risk.book import Terms, book_of
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import day_of
from duly_risk.facts import NoBalanceChange, RiskEvent
from duly_risk.features import INDEX
from duly_risk.measures import invoice_measures
from duly_risk.model import FeatureFrame
from duly_risk.state import DebtorState
from duly_training.dataset import RowSource
from duly_training.history import History
from duly_training.splits import begin_of, end_of, monthly_origins, window_from, without_strays
from duly_training.timeline import FIRST, NEVER, Outcomes, Snapshots

T0 = 20_000
DUE = T0 + 14
FRAME = FeatureFrame({"EUR": 100.0})


def snapshots(n: int = 1, as_of: int = T0) -> Snapshots:
    terms, book = Terms("I", T0, DUE, 100, "EUR"), book_of(DebtorState())
    rows = [invoice_measures(book, terms, as_of)] * n
    return Snapshots(np.array(rows), np.arange(n), np.full(n, FIRST))


def outcomes(n: int = 1, paid: int = NEVER, censored: int = NEVER) -> Outcomes:
    days = [np.full(n, day) for day in (T0, DUE, 100, paid, censored)]
    return Outcomes(np.ones(n, dtype=bool), *days)


def rows(outcome: Outcomes, as_of: int = T0, cut: int = T0 + 1000):
    return RowSource(snapshots(as_of=as_of), outcome, FRAME, cut).all()


def test_a_paid_invoice_has_a_row_a_day_and_its_payment_on_the_last():
    data = rows(outcomes(paid=T0 + 20))
    assert data.day.tolist() == list(range(T0 + 1, T0 + 21))
    assert data.y.tolist() == [0.0] * 19 + [1.0]
    assert data.x[:, INDEX["lag"]].tolist() == list(range(1, 21))
    assert data.x[:, INDEX["dpd_day"]].max() == 20 - 14 - {5: 2, 6: 1}.get((DUE + 3) % 7, 0)


@pytest.mark.parametrize(
    ("paid", "censored", "as_of", "cut", "n", "events"),
    [
        pytest.param(T0 + 20, NEVER, T0 + 15, T0 + 1000, 5, 1, id="from a later day on"),
        pytest.param(T0 + 20, NEVER, T0 + 20, T0 + 1000, 0, 0, id="paid on the day itself"),
        pytest.param(T0 + 20, NEVER, T0, T0 + 11, 10, 0, id="the payment is not known yet"),
        pytest.param(NEVER, NEVER, T0, T0 + 31, 30, 0, id="open at the cut"),
        pytest.param(NEVER, NEVER, T0, T0 + 1000, HORIZON_DAYS, 0, id="open beyond the horizon"),
        pytest.param(NEVER, T0 + 5, T0, T0 + 1000, 4, 0, id="voided or credited"),
    ],
)
def test_rows_end_with_payment_credit_cut_or_horizon(paid, censored, as_of, cut, n, events):
    data = rows(outcomes(paid=paid, censored=censored), as_of, cut)
    assert (len(data.y), data.events) == (n, events)


def test_thinning_keeps_every_payment_the_days_around_due_and_the_weight_of_the_rest():
    source = RowSource(snapshots(400), outcomes(400, paid=T0 + 50), FRAME, T0 + 1000, far_share=0.1)
    data = source.all()
    past_due = data.x[:, INDEX["pre_due"]] + data.x[:, INDEX["dpd_day"]]
    near = (past_due >= -3) & (past_due <= 6)
    assert data.events == 400
    assert near.sum() == 400 * 10
    assert set(data.weight[near | (data.y == 1)]) == {1.0}
    assert data.weight[data.y == 0].sum() == pytest.approx(400 * 49, rel=0.05)
    assert len(data.y) == pytest.approx(400 * (1 + 10 + 3.9), rel=0.05)


def test_batches_hold_the_same_rows_as_the_whole():
    source = RowSource(snapshots(37), outcomes(37, paid=T0 + 50), FRAME, T0 + 1000, far_share=0.3, seed=5)
    whole, parts = source.all(), list(source.batches(5))
    assert len(parts) == 8
    for name in ("x", "y", "weight", "day"):
        assert np.concatenate([getattr(part, name) for part in parts]).tobytes() == getattr(whole, name).tobytes()


def test_what_judges_comes_after_what_is_fitted():
    assert window_from(T0, T0 + 450) == T0 + 450 - 135
    assert window_from(T0, T0 + 3000) == T0 + 3000 - 182


def test_a_history_begins_with_its_first_invoice() -> None:
    assert begin_of(np.arange(T0, T0 + 400), T0 + 400) == T0
    assert begin_of(np.empty(0, dtype=np.int64), T0) == T0


def test_a_few_invoices_long_before_all_others_are_not_its_begin() -> None:
    strays = [T0 - 13_000, T0 - 5_000]
    usual = list(range(T0, T0 + 100))
    assert begin_of(np.array([*usual, *strays]), T0 + 100) == T0
    # More than a twentieth, or no long pause: that is how the company began.
    assert begin_of(np.array([*usual[:15], *strays]), T0 + 100) == T0 - 13_000
    assert begin_of(np.array([*usual, T0 - 182]), T0 + 100) == T0 - 182


def test_a_history_ends_where_it_was_cut_but_for_a_few_long_after_all_others() -> None:
    usual = list(range(T0, T0 + 100))
    assert end_of(np.array(usual), T0 + 500) == T0 + 500
    assert end_of(np.empty(0, dtype=np.int64), T0) == T0
    assert end_of(np.array([T0 + 40_000, *usual, T0 + 5_000]), T0 + 40_001) == T0 + 100
    # More than a twentieth, or no long pause: that is how it went on.
    assert end_of(np.array([*usual[:15], T0 + 5_000]), T0 + 5_001) == T0 + 5_001
    assert end_of(np.array([*usual, T0 + 99 + 182]), T0 + 400) == T0 + 400


def test_strays_ahead_are_taken_away_and_counted() -> None:
    days = [*range(T0, T0 + 100), T0 + 40_000]
    events = tuple(RiskEvent(f"{day}", "party.upserted", day, True, NoBalanceChange()) for day in days)
    stray = events[-1]
    history = History(T0 + 40_001, {"D": events, "E": (stray,)}, "sha")
    kept = without_strays(history)
    assert (kept.cut_day, kept.left_out, kept.by_debtor, kept.sha256) == (T0 + 100, 2, {"D": events[:-1]}, "sha")
    assert without_strays(kept) is kept


def test_monthly_origins_are_those_whose_invoices_had_their_time():
    origins = monthly_origins(day_of(date(2018, 8, 17)), day_of(date(2021, 1, 1)), 3)
    assert origins == (date(2020, 9, 1), date(2020, 10, 1), date(2020, 11, 1))
    assert monthly_origins(day_of(date(2020, 8, 17)), day_of(date(2021, 1, 1)), 30) == (
        date(2020, 10, 1),
        date(2020, 11, 1),
    )
