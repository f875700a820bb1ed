"""The baseline of thin ledgers: the debtor's own rates and median, as whole curves."""

from __future__ import annotations

import numpy as np
import pytest
from duly_risk.curves import HORIZON_DAYS, pay_offset, survival, unpaid
from duly_risk.features import INDEX, N_STATIC
from duly_risk.model import CurveDays, FeatureFrame, Role, Rows
from duly_training.backtest.debtor_rate import DebtorRateModel, debtor_rate_model
from hypothesis import given
from hypothesis import strategies as st

MONDAY = 19_723
NONE = np.empty(0, dtype=np.int64)


def model(n: int = 500) -> DebtorRateModel:
    random = np.random.default_rng(1)
    delays = random.choice([0, 0, 0, 2, 9], n)
    frame = FeatureFrame(late_rate=0.2, any_late_rate=0.4, delay_mean=2.2, days_to_pay_mean=32.0)
    return debtor_rate_model(frame, delays, delays - 1, random.integers(0, 5, n))


def static(**values: float) -> Rows:
    row = np.full((1, N_STATIC), np.nan, dtype=np.float32)
    for name, value in values.items():
        row[0, INDEX[name]] = value
    return row


def curve(of: DebtorRateModel, term: int = 30, **values: float) -> np.ndarray:
    days = CurveDays(np.array([MONDAY]), np.array([MONDAY]), np.array([MONDAY + term]))
    return survival(of.curves(static(**values), days))


@pytest.mark.parametrize(("late", "any_late"), [(0.05, 0.2), (0.3, 0.5), (0.9, 0.95)])
def test_the_chance_of_being_late_is_the_debtors_own_rate(late, any_late):
    # 30 days from a Monday is a Wednesday: due + 5 is a Monday, so no weekend moves anything over the limit.
    one = curve(model(), n_known=20.0, h_median=0.0, h_late_rate=late, h_any_late_rate=any_late)
    at = np.array([MONDAY]), np.array([MONDAY + 30])
    assert unpaid(one, *at, 5)[0] == pytest.approx(late, abs=0.02)
    assert unpaid(one, *at, 1)[0] == pytest.approx(any_late, abs=0.02)


def test_a_debtor_who_always_pays_late_has_its_median_there():
    habit = curve(model(), n_known=60.0, h_median=12.0, h_late_rate=0.95, h_any_late_rate=0.97)
    stranger = curve(model(), n_known=0.0, h_late_rate=0.2, h_any_late_rate=0.4)
    assert 38 <= pay_offset(habit, 0.5)[0] <= 48
    assert pay_offset(stranger, 0.5)[0] == 30


def test_what_would_be_paid_on_a_weekend_is_paid_on_monday():
    hazards = -np.diff(curve(model(), 33, n_known=0.0, h_late_rate=0.2, h_any_late_rate=0.4)[0])
    weekday = (MONDAY + 1 + np.arange(HORIZON_DAYS) + 3) % 7
    assert hazards[weekday >= 5].sum() < 0.02
    assert hazards[weekday == 0].sum() > hazards[weekday == 2].sum()


def test_a_tenant_without_any_payment_gets_a_plain_curve_and_says_that_it_is_a_fallback():
    plain = debtor_rate_model(FeatureFrame(), NONE, NONE, NONE)
    assert plain.info.role is Role.FALLBACK
    assert plain.info.frame.late_rate == pytest.approx(0.1)
    one = curve(plain, n_known=0.0, h_late_rate=0.1, h_any_late_rate=0.3)
    assert np.all(np.diff(one) <= 0)
    assert one[0, -1] < 0.2


@given(
    st.integers(0, 60),
    st.one_of(st.none(), st.floats(-60, 120)),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(-400, 400),
    st.integers(0, 6),
)
def test_hazards_are_probabilities_whatever_is_known(n_known, median, late, any_late, term, weekday):
    values = {"n_known": n_known, "h_late_rate": late, "h_any_late_rate": any_late}
    if median is not None:
        values["h_median"] = median
    t0 = np.array([MONDAY + weekday])
    hazards = model(20).curves(static(**values), CurveDays(t0, t0, t0 + term))
    assert np.all(np.isfinite(hazards))
    assert np.all((hazards >= 0) & (hazards <= 1))


def test_an_invoice_alone_and_among_others_gives_equal_bytes():
    rows = np.concatenate(
        [static(n_known=n, h_median=n - 3, h_late_rate=n / 20, h_any_late_rate=n / 10) for n in range(10)]
    )
    t0 = MONDAY + np.arange(10)
    days = CurveDays(t0, t0, t0 + 20)
    together = model().curves(rows, days)
    alone = [
        model().curves(rows[i : i + 1], CurveDays(t0[i : i + 1], t0[i : i + 1], t0[i : i + 1] + 20)) for i in range(10)
    ]
    assert np.concatenate(alone).tobytes() == together.tobytes()
