"""Features: the design's vectors, missing is NaN, and nothing later than t0 shows."""

import math
from datetime import date

import numpy as np
import pytest
from duly_risk.book import Terms, book_of, history_of
from duly_risk.closed_days import ClosedRule
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import day_of, on_business_day, weekday_of
from duly_risk.facts import AllocationApplied, DisputeStated, Fact, InvoiceStated, Position, RiskEvent, SourceReceived
from duly_risk.features import (
    DAY,
    FEATURES,
    N_FEATURES,
    N_STATIC,
    NAMES,
    STATIC,
    curve_matrix,
    day_features,
    features_of,
    schema_sha256,
    shrunk,
)
from duly_risk.measures import (
    N_MEASURES,
    currency_code,
    currency_of,
    curve_days,
    invoice_measures,
    stacked,
)
from duly_risk.model import FeatureFrame
from duly_risk.plan import plan_of
from duly_risk.state import DebtorState
from duly_risk.step import fold
from hypothesis import given, settings
from hypothesis import strategies as st

T0 = 20_000
FRAME = FeatureFrame(amount_median_minor={"EUR": 100_00.0})


def folded(*bodies: Fact) -> DebtorState:
    state = DebtorState()
    for offset, body in enumerate(bodies):
        state = fold(state, RiskEvent(str(offset), "", T0, False, body), Position(0, offset)).state
    return state


def invoice(name: str, issue: int, due: int, total: int = 100_00) -> InvoiceStated:
    return InvoiceStated(name, issue, due, total, "EUR", "1")


def paid(name: str, on: int, amount: int = 100_00) -> tuple[Fact, Fact]:
    return (
        SourceReceived(f"P-{name}", False, amount, "EUR", on),
        AllocationApplied(f"A-{name}", name, f"P-{name}", False, amount, 0, on),
    )


def of(state: DebtorState, terms: Terms, as_of: int = T0, frame: FeatureFrame = FRAME) -> dict[str, float]:
    book = book_of(state)
    values = features_of(invoice_measures(book, terms, as_of)[np.newaxis], frame)[0].tolist()
    return dict(zip([feature.name for feature in STATIC], values, strict=True))


NEW = Terms("NEW", T0, T0 + 30, 200_00, "EUR")


def test_the_decayed_mean_of_the_design():
    assert history_of({0: 1, 10: 1, 4: 1}, (4, 10, 0), 0, 0).decayed == pytest.approx(4.918, abs=5e-4)


def test_the_cold_start_of_the_design():
    assert shrunk(np.array([1.0]), np.array([4.0]), 0.07) == pytest.approx([0.15])
    assert shrunk(np.array([1.0]), np.array([4.0]), None) == pytest.approx([0.25])


def test_without_history_everything_about_history_is_missing_and_not_zero():
    values = of(DebtorState(), NEW)
    missing = {name for name, value in values.items() if math.isnan(value)}
    assert missing == {feature.name for feature in STATIC if feature.group in ("delay", "late")} | {
        "amt_ratio",
        "days_since_pay",
        "days_since_inv",
        "disputed_share",
        "tenure",
    }
    assert values["n_known"] == values["open_n"] == values["over_n"] == values["unapplied_amt"] == 0


def test_a_currency_without_a_median_has_no_amount():
    assert math.isnan(of(DebtorState(), Terms("X", T0, T0, 5, "JPY"))["amount"])


def test_figures_of_a_debtor_with_a_past_and_an_open_book():
    state = folded(
        invoice("A", T0 - 100, T0 - 80),
        *paid("A", T0 - 80),
        invoice("B", T0 - 90, T0 - 60),
        *paid("B", T0 - 50),
        invoice("C", T0 - 70, T0 - 40),
        *paid("C", T0 - 36),
        invoice("D", T0 - 20, T0 - 6, 300_00),
        invoice("E", T0 - 10, T0, 100_00),
        DisputeStated("E", 40_00, T0 - 1, False, ""),
        SourceReceived("P-free", False, 50_00, "EUR", T0 - 1),
    )
    values = of(state, NEW)
    expected = {
        "term": 30,
        "amount": math.log1p(2),
        "amt_ratio": 200_00 * 5 / 700_00,
        "n_prior": 5,
        "n_known": 3,
        "days_since_pay": 36,
        "days_since_inv": 10,
        "h_mean": 14 / 3,
        "h_median": 4,
        "h_std": np.std([0, 10, 4]),
        "h_max": 10,
        "h_last3": 14 / 3,
        "h_last10": 14 / 3,
        "h_ewm": 12 / 2.44,
        "h_dtp_mean": (20 + 40 + 34) / 3,
        "h_late_rate": 1 / 3,
        "h_late5": 1 / 3,
        "h_any_late_rate": 2 / 3,
        "h_q25": 0,
        "h_q75": 4,
        "h_q90": 4,
        "h_last1": 4,
        "h_last2": 10,
        "h_max10": 10,
        "h_std10": np.std([0, 10, 4]),
        "h_on_due_rate": 1 / 3,
        "h_early_rate": 0,
        "h_late15_rate": 0,
        "h_on_due10": 1 / 3,
        "h_any_late10": 2 / 3,
        "h_late20": 1 / 3,
        "before_n": 2,
        "before7_n": 2,
        "same_due_n": 0,
        "near_due_n": 0,
        "open_n": 2,
        "open_amt": math.log1p(4),
        "over_n": 1,
        "over_amt": math.log1p(3),
        "over_max_days": 6,
        "unapplied_amt": math.log1p(0.5),
        "disputed_share": 0.1,
        "tenure": 100,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_other_open_invoices_are_counted_by_when_they_are_due():
    dues = {"A": T0 - 1, "B": T0 + 12, "C": T0 + 19, "D": T0 + 20, "E": T0 + 23, "F": T0 + 24}
    state = folded(*(invoice(name, T0 - 30, due) for name, due in dues.items()))
    names = ("before_n", "before7_n", "same_due_n", "near_due_n")
    new, own = (of(state, Terms(name, T0 - 30, T0 + 20, 100_00, "EUR")) for name in ("NEW", "D"))
    assert [new[name] for name in names] == [3, 2, 1, 3]
    assert [own[name] for name in names] == [3, 2, 0, 2]


def test_an_invoice_is_not_among_its_own_others():
    alone = of(DebtorState(), Terms("E", T0 - 10, T0, 100_00, "EUR"))
    inside = of(folded(invoice("E", T0 - 10, T0)), Terms("E", T0 - 10, T0, 100_00, "EUR"))
    assert {**alone, "tenure": 10.0} == pytest.approx(inside, nan_ok=True)


def test_days_are_counted_from_the_business_day_of_due():
    saturday = day_of(date(2026, 3, 28))
    assert weekday_of(saturday) == 5
    effective = on_business_day(saturday)
    assert effective == saturday + 2
    block = day_features(np.arange(saturday, saturday + 5), saturday - 1, saturday - 30, effective)
    assert block.dtype == np.float32
    assert dict(zip([f.name for f in DAY], block.T.tolist(), strict=True)) == {
        "pre_due": [-2, -1, 0, 0, 0],
        "dpd_day": [0, 0, 0, 1, 2],
        "age": [30, 31, 32, 33, 34],
        "lag": [1, 2, 3, 4, 5],
        "dow": [5, 6, 0, 1, 2],
        "dom": [28, 29, 30, 31, 1],
    }


def test_each_feature_is_allowed_by_somebody_for_a_reason():
    assert len(set(NAMES)) == len(NAMES) == 52
    assert all(feature.owner and feature.reason and feature.unit for feature in FEATURES)
    assert N_STATIC + len(DAY) == len(NAMES)


def test_the_schema_hash_is_pinned():
    # Another hash makes every registered model unusable: change it knowingly.
    assert schema_sha256() == "656aeef2aabc3bbec7c8b06b29237f9e746dca17225104e012bffe24fde0c906"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-90, -1), st.integers(0, 60), st.integers(0, 80)), min_size=1, max_size=12))
def test_facts_in_any_order_give_the_same_float32(invoices):
    facts: list[tuple[Fact, ...]] = []
    for i, (issue, term, delay) in enumerate(invoices):
        stated = invoice(f"I{i}", T0 + issue, T0 + issue + term, 100_00 + i)
        known = T0 + issue + delay
        facts.append((stated, *(paid(f"I{i}", known, 100_00 + i) if known < T0 else ())))
    forwards = [fact for group in facts for fact in group]
    backwards = [fact for group in reversed(facts) for fact in reversed(group)]
    one, other = plan_of(folded(*forwards)).measures, plan_of(folded(*backwards)).measures
    assert one.tobytes() == other.tobytes()
    assert features_of(one, FRAME).tobytes() == features_of(other, FRAME).tobytes()


two_currencies = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["EUR", "USD", "JPY"]), st.integers(-40, 40), st.integers(1, 10**9)),
    min_size=1,
    max_size=9,
)


@settings(deadline=None, max_examples=50)
@given(two_currencies)
def test_a_row_alone_and_among_others_gives_equal_bytes(invoices):
    frame = FeatureFrame({"EUR": 77_77.0, "USD": 90_00.0}, None, 0.1, 0.3, 2.0, 30.0)
    bodies = {
        debtor: [
            InvoiceStated(f"I{i}", T0 - 50, T0 + due, minor, currency, "1")
            for i, (owner, currency, due, minor) in enumerate(invoices)
            if owner == debtor
        ]
        for debtor in range(3)
    }
    plans = [plan_of(folded(*facts)) for facts in bodies.values() if facts]
    whole = features_of(stacked([plan.measures for plan in plans]), frame)
    alone = [features_of(plan.measures[i : i + 1], frame) for plan in plans for i in range(len(plan.measures))]
    assert whole.tobytes() == np.concatenate(alone).tobytes()


def test_amounts_of_several_currencies_are_added_in_medians():
    frame = FeatureFrame({"EUR": 100_00.0, "USD": 50_00.0})
    state = folded(
        InvoiceStated("E", T0 - 40, T0 - 10, 300_00, "EUR", "1"),
        InvoiceStated("U", T0 - 40, T0 - 4, 25_00, "USD", "1"),
        InvoiceStated("V", T0 - 40, T0 + 4, 75_00, "USD", "1"),
        DisputeStated("U", 25_00, T0 - 1, False, ""),
    )
    new = of(state, NEW, frame=frame)
    assert new["open_amt"] == pytest.approx(math.log1p(3 + 0.5 + 1.5))
    assert new["over_amt"] == pytest.approx(math.log1p(3 + 0.5))
    assert new["disputed_share"] == pytest.approx(0.5 / 5)
    assert (new["open_n"], new["over_n"], new["over_max_days"]) == (3, 2, 10)
    dollars = of(state, Terms("NEW", T0, T0 + 30, 200_00, "USD"), frame=frame)
    assert dollars["open_amt"] == new["open_amt"]
    assert dollars["amount"] == pytest.approx(math.log1p(4))
    # Where no median is known for one of them, nothing is known of the sum.
    assert math.isnan(of(state, NEW, frame=FeatureFrame({"EUR": 100_00.0}))["open_amt"])


def test_a_book_in_one_currency_is_a_flat_row_and_another_currency_adds_a_block():
    one = plan_of(folded(invoice("A", T0, T0 + 30), invoice("B", T0, T0 + 30))).measures
    two = plan_of(folded(invoice("A", T0, T0 + 30), InvoiceStated("B", T0, T0 + 30, 5, "USD", "1"))).measures
    assert one.shape == (2, N_MEASURES)
    assert two.shape == (2, N_MEASURES + 4)
    assert stacked([one, two]).shape == (4, N_MEASURES + 4)
    assert features_of(stacked([one, two]), FRAME)[:2].tobytes() == features_of(one, FRAME).tobytes()


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=6))
def test_a_currency_survives_its_number(currency):
    assert currency_of(float(currency_code(currency))) == currency


def test_a_curve_is_one_row_a_day_with_the_invoice_frozen():
    measures = plan_of(folded(invoice("A", T0 - 3, T0 + 30), invoice("B", T0 - 9, T0 - 2))).measures
    static, days = features_of(measures, FRAME), curve_days(measures, FRAME)
    rows = curve_matrix(static, days).reshape(2, HORIZON_DAYS, N_FEATURES)
    assert days.due.tolist() == [on_business_day(T0 + 30), on_business_day(T0 - 2)]
    for i in range(2):
        assert np.array_equal(rows[i, :, :N_STATIC], np.repeat(static[i : i + 1], HORIZON_DAYS, axis=0), equal_nan=True)
        begin = int(days.as_of[i])
        asked = np.arange(begin + 1, begin + HORIZON_DAYS + 1)
        expected = day_features(asked, begin, int(days.issue[i]), int(days.due[i]))
        assert rows[i, :, N_STATIC:].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("issue", "due", "begin"),
    [
        pytest.param(T0 - 3, T0 + 30, T0 - 3, id="new: at the issue date"),
        pytest.param(T0 - 30, T0 + 10, T0, id="ten days before due"),
        pytest.param(T0 - 30, T0 + 3, T0 - 7, id="still of that day"),
        pytest.param(T0 - 1, T0 + 4, T0 - 1, id="no landmark lies before the issue date"),
        pytest.param(T0 - 30, T0 - 9, T0 - 8, id="a day after due"),
        pytest.param(T0 - 900, T0 - 500, T0 - 470, id="a month after due is the last one"),
        pytest.param(T0 + 5, T0 + 35, T0, id="issued later: at t0"),
    ],
)
def test_a_curve_is_asked_from_the_last_landmark(issue, due, begin):
    measures = invoice_measures(book_of(DebtorState()), Terms("I", issue, due, 100, "EUR"), T0)[np.newaxis]
    assert curve_days(measures, FRAME).as_of.tolist() == [begin]


def test_due_is_moved_by_the_frame():
    frame = FeatureFrame(closed_rules=(ClosedRule("easter", 0, -2, 0), ClosedRule("easter", 0, 1, 0)))
    good_friday = day_of(date(2024, 3, 29))
    terms = Terms("I", good_friday - 20, good_friday, 100, "EUR")
    measures = invoice_measures(book_of(DebtorState()), terms, good_friday - 20)[np.newaxis]
    assert curve_days(measures, FRAME).due.tolist() == [good_friday]
    assert curve_days(measures, frame).due.tolist() == [good_friday + 4]
