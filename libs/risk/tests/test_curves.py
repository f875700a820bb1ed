"""Curves: the design's vectors, coherence, and days that are asked or interpolated."""

import itertools

import numpy as np
import pytest
from duly_risk.curves import HORIZON_DAYS, expand, expected_days, grid_for, pay_offset, survival, unpaid
from hypothesis import given
from hypothesis import strategies as st

DAY = 20_000
VECTOR = np.array([0.1, 0.5, 0.2])


def test_the_vector_of_the_design():
    curve = survival(VECTOR)
    assert curve.tolist() == pytest.approx([1, 0.9, 0.45, 0.36])
    assert expected_days(curve, 3) == pytest.approx(2.35)
    assert pay_offset(curve, 0.5) == 2
    assert pay_offset(curve, 0.1) == 1
    assert pay_offset(curve, 0.9) is None
    assert [unpaid(curve, DAY, DAY + 1, k) for k in (1, 2)] == pytest.approx([0.9, 0.45])


def test_what_is_already_late_by_k_days_is_so_with_certainty():
    assert unpaid(survival(VECTOR), DAY, DAY - 40, 30) == 1.0


@given(st.lists(st.floats(0, 1), min_size=HORIZON_DAYS, max_size=HORIZON_DAYS), st.integers(-200, 200))
def test_p_unpaid_never_rises_in_k(hazards, term):
    curve = survival(np.array(hazards))
    probabilities = [unpaid(curve, DAY, DAY + term, k) for k in range(1, 120)]
    assert all(0 <= later <= earlier <= 1 for earlier, later in itertools.pairwise(probabilities))


@given(st.integers(-400, 400))
def test_every_day_to_two_weeks_past_due_is_asked_of_the_model(term):
    grid = grid_for(DAY, DAY + term)
    near = max(21, min(HORIZON_DAYS, term + 14))
    assert grid.offsets[:near].tolist() == list(range(1, near + 1))
    assert len(grid.offsets) <= HORIZON_DAYS
    # A hazard that depends on the weekday and falls in a line between anchors is reproduced, beyond them it repeats.
    weekly = np.linspace(0.0, 0.06, 7, dtype=np.float32)
    full = expand(weekly[(grid.offsets - 1) % 7], grid)
    assert full.tolist() == pytest.approx(np.resize(weekly, HORIZON_DAYS).tolist())
    assert np.array_equal(full[grid.offsets - 1].astype(np.float32), weekly[(grid.offsets - 1) % 7])


def test_days_between_anchors_lie_on_the_line_between_them():
    grid = grid_for(DAY, DAY)
    assert len(grid.offsets) == 35
    line = (grid.offsets // 7 / 100).astype(np.float32)
    full = expand(line, grid)
    assert np.all(np.diff(full[:7]) >= 0)
    assert full[14:105:7].tolist() == pytest.approx(
        np.interp(np.arange(14, 105, 7), [14, 42, 98], full[[14, 42, 98]]).tolist()
    )
    assert full[105:].tolist() == full[98:-7].tolist()
