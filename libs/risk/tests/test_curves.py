"""Curves: the design's vectors, coherence."""

import itertools

import numpy as np
import pytest
from duly_risk.curves import HORIZON_DAYS, expected_days, pay_offset, survival, unpaid
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
