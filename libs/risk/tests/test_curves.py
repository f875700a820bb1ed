"""Curves: the design's vectors, coherence, and that no curve knows its neighbours."""

import itertools

import numpy as np
import pytest
from duly_risk.curves import CASH_WEEKS, HORIZON_DAYS, expected_days, pay_offset, survival, unpaid
from duly_risk.outlook import cash_of_weeks
from hypothesis import given, settings
from hypothesis import strategies as st

DAY = 20_000
VECTOR = np.array([[0.1, 0.5, 0.2]])


def p_unpaid(hazards: np.ndarray, due_in: int, k: int) -> float:
    return float(unpaid(survival(hazards), np.array([DAY]), np.array([DAY + due_in]), k)[0])


def test_the_vector_of_the_design():
    curves = survival(VECTOR)
    assert curves[0].tolist() == pytest.approx([1, 0.9, 0.45, 0.36])
    assert expected_days(curves, 3) == pytest.approx([2.35])
    assert pay_offset(curves, 0.5).tolist() == [2]
    assert pay_offset(curves, 0.1).tolist() == [1]
    assert pay_offset(curves, 0.9).tolist() == [4]  # beyond the horizon
    assert [p_unpaid(VECTOR, 1, k) for k in (1, 2)] == pytest.approx([0.9, 0.45])


def test_what_is_already_late_by_k_days_is_so_with_certainty():
    assert p_unpaid(VECTOR, -40, 30) == 1.0


@given(st.lists(st.floats(0, 1), min_size=HORIZON_DAYS, max_size=HORIZON_DAYS), st.integers(-200, 200))
def test_p_unpaid_never_rises_in_k(hazards, term):
    probabilities = [p_unpaid(np.array([hazards]), term, k) for k in range(1, 120)]
    assert all(0 <= later <= earlier <= 1 for earlier, later in itertools.pairwise(probabilities))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_a_curve_alone_and_among_others_gives_equal_bytes(seed, n):
    rng = np.random.default_rng(seed)
    hazards = (rng.random((n, HORIZON_DAYS)) ** 4).astype(np.float32)
    as_of, due, minor = np.full(n, DAY), DAY + rng.integers(-90, 90, n), rng.integers(0, 10**12, n)

    def all_of(rows):
        curves = survival(hazards[rows])
        return [
            curves,
            *(unpaid(curves, as_of[rows], due[rows], k) for k in (1, 5, 30, 60, 90)),
            *(pay_offset(curves, share) for share in (0.1, 0.5, 0.9)),
            expected_days(curves),
            cash_of_weeks(curves, minor[rows]),
        ]

    together = all_of(slice(None))
    for i in range(n):
        assert [one.tobytes() for one in all_of([i])] == [whole[i : i + 1].tobytes() for whole in together]
    cash = together[-1]
    assert cash.shape == (n, CASH_WEEKS)
    assert np.all(cash >= 0)
    assert np.all(cash.sum(axis=1) <= minor)
