"""Scores: money adds up, batches may be cut anywhere, bands wait on the way down, the rules score is monotone."""

import itertools

import numpy as np
import pytest
from duly_risk.asking import HazardInvalid, hazards_of
from duly_risk.bands import band_of, next_standing
from duly_risk.batch import Item, apply_batch
from duly_risk.codec import encode_state
from duly_risk.curves import HORIZON_DAYS
from duly_risk.facts import (
    AllocationApplied,
    DisputeStated,
    Fact,
    InvoiceStated,
    Position,
    RiskEvent,
    SourceReceived,
    Tick,
)
from duly_risk.fallback import RulesModel
from duly_risk.features import INDEX, N_STATIC
from duly_risk.model import CurveDays, FeatureFrame, ModelInfo, Role
from duly_risk.outlook import outlooks_of
from duly_risk.plan import plan_of
from duly_risk.score import Band, Direction, ScoreUpdated
from duly_risk.score_codec import encode_score
from duly_risk.state import DebtorState, Standing
from duly_risk.step import conclude, fold
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.risk.v1 import events_pb2 as risk

T0 = 20_000
MODEL = RulesModel()
IDS = {"ledger_version": 9, "score_id": "s", "debtor_id": "d"}


def always(key: bytes, day: int) -> RulesModel:
    return MODEL


def as_it_is(index: int, score: ScoreUpdated) -> ScoreUpdated:
    return score


def item(offset: int, debtor: int, body: Fact | Tick, day: int, backfill: bool = False) -> Item:
    event = RiskEvent(f"e{offset}-{debtor}", type(body).__name__, day, backfill, body)
    return Item(f"demo|D{debtor}".encode(), f"D{debtor}", event, Position(0, offset))


def score_id(key: bytes, event: RiskEvent) -> str:
    return f"score of {event.event_id} for {key.decode()}"


def story(choices: list[tuple[int, int, int]]) -> list[Item]:
    """A month of facts and ticks of three debtors; choices: (debtor, kind, amount)."""
    items: list[Item] = []
    for step, (debtor, kind, amount) in enumerate(choices):
        day, offset = T0 + step // 3, 10 * step
        name = f"I{step}"
        items += [item(offset, other, Tick(day), day) for other in range(3)]
        items.append(item(offset + 1, debtor, InvoiceStated(name, day, day + kind, amount, "EUR", "1"), day))
        if kind % 2:
            paid = SourceReceived(f"P{step}", False, amount, "EUR", day)
            items.append(item(offset + 2, debtor, paid, day))
        if kind % 4 == 1:
            applied = AllocationApplied(f"A{step}", name, f"P{step}", False, amount, 0, day)
            items.append(item(offset + 3, debtor, applied, day))
        if kind % 5 == 0:
            items.append(item(offset + 4, debtor, DisputeStated(name, amount // 2, day, False, ""), day))
    return items


stories = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(1, 10**7)), min_size=1, max_size=25)


@settings(deadline=None, max_examples=40)
@given(stories.map(story), st.lists(st.integers(0, 200), max_size=8))
def test_where_a_batch_ends_changes_no_byte(items, cuts):
    whole = apply_batch({}, items, always, score_id, as_it_is)
    states: dict[bytes, DebtorState] = {}
    scores: list[ScoreUpdated] = []
    bounds = [0, *sorted(min(cut, len(items)) for cut in cuts), len(items)]
    for start, stop in itertools.pairwise(bounds):
        part = apply_batch(states, items[start:stop], always, score_id, as_it_is)
        states |= part.states
        scores += part.told.values()
    assert [encode_score(score) for score in scores] == [encode_score(score) for score in whole.told.values()]
    assert {k: encode_state(s) for k, s in states.items()} == {k: encode_state(s) for k, s in whole.states.items()}
    again = apply_batch(whole.states, items, always, score_id, as_it_is)
    assert again.states == whole.states
    assert again.told == {}


@settings(deadline=None, max_examples=60)
@given(stories.map(story))
def test_cash_of_the_weeks_and_the_rest_is_what_can_be_claimed(items):
    result = apply_batch({}, items, always, score_id, as_it_is)
    for state in result.states.values():
        plan = plan_of(state)
        [outlook] = outlooks_of([plan], hazards_of(MODEL, plan.measures))
        _, score = conclude(state.standing, plan, outlook, MODEL.info, **IDS, on_tick=False)
        claimable = sum(claim.claimable_minor for claim in plan.claims)
        cash = [minor for _, weeks in score.expected_cash_minor for minor in weeks]
        assert 0 <= sum(cash) <= claimable
        assert all(minor >= 0 for minor in cash)
        assert 0 <= sum(minor for _, minor in score.amount_at_risk_minor) <= claimable + len(plan.claims)
        assert 0 <= score.risk <= 1
        for one in score.invoices:
            assert 1 >= one.p_unpaid_1 >= one.p_unpaid_5 >= one.p_unpaid_30 >= one.p_unpaid_60 >= one.p_unpaid_90 >= 0


def state_of(*bodies: Fact, day: int = T0) -> DebtorState:
    state = DebtorState()
    for offset, body in enumerate(bodies):
        state = fold(state, RiskEvent(str(offset), "", day, False, body), Position(0, offset)).state
    return state


def test_certain_payment_brings_all_the_cash_in_the_first_week():
    state = state_of(InvoiceStated("I", T0, T0 + 30, 999, "EUR", "1"), InvoiceStated("J", T0, T0 + 30, 5, "JPY", "1"))
    plan = plan_of(state)
    sure = np.ones((len(plan.claims), HORIZON_DAYS), dtype=np.float32)
    [outlook] = outlooks_of([plan], sure)
    _, score = conclude(state.standing, plan, outlook, MODEL.info, **IDS, on_tick=False)
    assert score.expected_cash_minor == (("EUR", (999, *[0] * 12)), ("JPY", (5, *[0] * 12)))


def test_disputes_and_unapplied_cash_lower_what_can_be_claimed_oldest_due_first():
    state = state_of(
        InvoiceStated("OLD", T0 - 40, T0 - 10, 100, "EUR", "1"),
        InvoiceStated("NEW", T0, T0 + 30, 100, "EUR", "1"),
        DisputeStated("OLD", 30, T0, False, ""),
        SourceReceived("P", False, 90, "EUR", T0),
    )
    claims = plan_of(state).claims
    assert {claim.terms.invoice_id: claim.claimable_minor for claim in claims} == {"OLD": 0, "NEW": 80}


def test_a_debtor_who_owes_nothing_more_is_scored_low_with_no_invoices():
    bodies = (
        InvoiceStated("I", T0 - 90, T0 - 60, 100, "EUR", "1"),
        SourceReceived("P", False, 100, "EUR", T0),
        AllocationApplied("A", "I", "P", False, 100, 0, T0),
    )
    result = apply_batch({}, [item(i, 0, body, T0) for i, body in enumerate(bodies)], always, score_id, as_it_is)
    first, last = result.told[0], result.told[len(bodies) - 1]
    assert first.band > Band.LOW
    assert (last.band, last.invoices, last.risk, last.expected_cash_minor) == (Band.LOW, (), 0.0, ())
    assert result.states[b"demo|D0"].standing.band is Band.LOW


def test_a_score_names_its_model_and_gives_its_reasons_in_plain_words():
    bodies = [
        InvoiceStated("I", T0 - 90, T0 - 23, 100, "EUR", "1"),
        InvoiceStated("J", T0 - 90, T0 - 3, 100, "EUR", "1"),
    ]
    result = apply_batch({}, [item(i, 0, body, T0) for i, body in enumerate(bodies)], always, score_id, as_it_is)
    message = risk.RiskScoreUpdated.FromString(encode_score(result.told[1]))
    assert (message.role, message.model_name, message.model_version) == (4, "risk-rules", "rules-1")
    assert message.business_date == "2024-10-04"
    assert message.ledger_version == 1
    assert [reason.text for reason in message.reasons] == [
        "2 overdue invoices, the oldest 23 days",
        "no invoice of this debtor has been settled so far",
    ]
    assert message.reasons[0].direction == Direction.RAISES_RISK


class Liar:
    """Answers every invoice with the same curve."""

    info = ModelInfo("liar", "1", Role.CHAMPION, "", FeatureFrame())

    def __init__(self, curve):
        self._curve = curve

    def curves(self, static, days):
        return np.repeat(self._curve[np.newaxis], len(static), axis=0)


@pytest.mark.parametrize("bad", [np.float32(np.nan), np.float32(1.5), np.float32(-0.1), None])
def test_a_model_that_answers_nonsense_is_refused(bad):
    curve = np.full(HORIZON_DAYS if bad is not None else 3, 0.1, dtype=np.float32)
    if bad is not None:
        curve[3] = bad
    with pytest.raises(HazardInvalid):
        hazards_of(Liar(curve), plan_of(state_of(InvoiceStated("I", T0, T0 + 30, 999, "EUR", "1"))).measures)


def test_bands_go_up_at_the_threshold():
    assert [band_of(risk) for risk in (0.0, 0.0499, 0.05, 0.1999, 0.2, 0.5, 1.0)] == [1, 1, 2, 2, 3, 4, 4]
    assert next_standing(Standing(Band.LOW), 0.6, True, on_tick=False, day=T0).band is Band.CRITICAL


def test_bands_come_down_after_three_ticks_in_a_row_one_step_a_day():
    standing = Standing(Band.CRITICAL)
    seen = []
    for day, now in enumerate([0.45, 0.39, 0.01, 0.45, 0.01, 0.01, 0.01, 0.01, 0.01], T0):
        standing = next_standing(standing, now, True, on_tick=True, day=day)
        seen.append(int(standing.band))
    assert seen == [4, 4, 4, 4, 4, 4, 3, 2, 1]


def test_facts_between_ticks_do_not_bring_a_band_down():
    standing = Standing(Band.HIGH, (3, 3, 3))
    assert next_standing(standing, 0.0, True, on_tick=False, day=T0).band is Band.HIGH
    assert next_standing(standing, 0.0, False, on_tick=False, day=T0).band is Band.LOW


one_invoice = st.tuples(st.integers(-30, 90), st.floats(0, 1), st.floats(0, 1), st.floats(0, 5))


def curve_of(due: int, late_rate: float, late5: float, amount: float):
    static = np.full((1, N_STATIC), np.nan, dtype=np.float32)
    for name, value in (("h_late_rate", late_rate), ("h_late5", late5), ("amount", amount)):
        static[0, INDEX[name]] = value
    as_of = np.array([T0])
    return MODEL.curves(static, CurveDays(as_of, as_of - 5, as_of + due))[0]


@given(one_invoice, st.integers(1, 3), st.floats(0, 50))
def test_late_payments_or_money_never_raise_the_rules_hazard(values, which, more):
    worse = list(values)
    worse[which] = min(1.0 if which < 3 else np.inf, values[which] + more)
    before, after = curve_of(*values), curve_of(*worse)
    assert before.shape == (HORIZON_DAYS,)
    assert np.all(after <= before)
    assert np.all((before >= 0) & (before <= 1))


@given(one_invoice)
def test_days_overdue_never_raise_the_rules_hazard_of_a_weekday(values):
    curve = curve_of(*values)[max(0, values[0]) :]
    for weekday in range(7):
        assert np.all(np.diff(curve[weekday::7]) <= 0)


def test_the_standing_is_no_part_of_the_fold():
    state = state_of(InvoiceStated("I", T0, T0 + 30, 999, "EUR", "1"))._replace(standing=Standing(Band.HIGH, (1, 2, 3)))
    event = RiskEvent("tick", "", T0 + 1, False, Tick(T0 + 1))
    assert fold(state, event, Position(0, 99)).state.standing is state.standing
