"""Segments: by the book and the frame, told once a day, and only what is new."""

import numpy as np
import pytest
from duly_risk.book import Terms, book_of
from duly_risk.facts import AllocationApplied, Fact, InvoiceStated, Position, RiskEvent, SourceReceived
from duly_risk.fallback import RulesModel
from duly_risk.measures import invoice_measures, measures_of
from duly_risk.model import FeatureFrame
from duly_risk.outlook import Outlook
from duly_risk.plan import plan_of
from duly_risk.score import Band, Behaviour, Segment, Tier
from duly_risk.segments import behaviour_of, behaviours_of, tier_of
from duly_risk.state import DebtorState, Standing
from duly_risk.step import conclude, fold

T0 = 20_000
FRAME = FeatureFrame(tier_cuts_minor={"EUR": (1_000_00.0, 100_00.0)}, late_rate=0.1)


def state_of(delays: list[int], total: int = 100_00, overdue: int | None = None) -> DebtorState:
    """A debtor who paid one invoice a month, so late, and owes one that is overdue."""
    facts: list[Fact] = []
    for i, delay in enumerate(delays):
        due = T0 - 30 * (len(delays) - i) - 20
        facts += [
            InvoiceStated(f"I{i}", due - 14, due, total, "EUR", "1"),
            SourceReceived(f"P{i}", False, total, "EUR", due + delay),
            AllocationApplied(f"A{i}", f"I{i}", f"P{i}", False, total, 0, due + delay),
        ]
    if overdue is not None:
        facts.append(InvoiceStated("OPEN", T0 - overdue - 14, T0 - overdue, total, "EUR", "1"))
    state = DebtorState()
    for offset, body in enumerate(facts):
        state = fold(state, RiskEvent(str(offset), "", T0, False, body), Position(0, offset)).state
    return state


@pytest.mark.parametrize(
    ("delays", "overdue", "behaviour"),
    [
        ([0, 0], None, Behaviour.NEW),
        ([0, 0, 0], 60, Behaviour.DISTRESSED),
        ([0] * 7 + [20] * 3, 59, Behaviour.DISTRESSED),
        ([6] * 10, None, Behaviour.LATE_PAYER),
        ([0] * 9 + [6], None, Behaviour.IRREGULAR),
        ([0] * 20, None, Behaviour.PROMPT),
    ],
)
def test_behaviour_is_the_first_that_fits(delays, overdue, behaviour):
    book = book_of(state_of(delays, overdue=overdue))
    assert behaviour_of(book, T0, FRAME) is behaviour
    # The same by the measures of an invoice issued today, and of those that are open.
    issued = invoice_measures(book, Terms("NEXT", T0, T0 + 14, 100_00, "EUR"), T0)[np.newaxis]
    for rows in (issued, measures_of(book, T0)):
        assert set(behaviours_of(rows, FRAME)) <= {behaviour}


def test_the_late_rate_is_pulled_to_the_tenants_while_little_is_known():
    book = book_of(state_of([6, 0, 0]))
    assert behaviour_of(book, T0, FeatureFrame()) is Behaviour.LATE_PAYER
    assert behaviour_of(book, T0, FRAME) is Behaviour.IRREGULAR
    rows = invoice_measures(book, Terms("NEXT", T0, T0 + 14, 100_00, "EUR"), T0)[np.newaxis]
    assert behaviours_of(rows, FeatureFrame()).tolist() == [Behaviour.LATE_PAYER]
    assert behaviours_of(rows, FRAME).tolist() == [Behaviour.IRREGULAR]


def test_the_value_tier_is_by_billing_of_a_year():
    assert tier_of(book_of(state_of([0] * 10)), T0, FRAME) is Tier.A  # 1 000.00 within a year
    assert tier_of(book_of(state_of([0] * 9)), T0, FRAME) is Tier.B
    assert tier_of(book_of(state_of([0], total=99_99)), T0, FRAME) is Tier.C
    assert tier_of(book_of(state_of([0] * 24, total=60_00)), T0, FRAME) is Tier.B  # 1 440.00 in two years
    assert tier_of(book_of(state_of([0] * 10)), T0, FeatureFrame()) is Tier.NONE


def concluded(standing: Standing, day: int, band: Band):
    plan = plan_of(DebtorState(business_day=day, invoices=state_of([0], overdue=1).invoices))
    outlook = Outlook(risk={Band.LOW: 0.0, Band.MEDIUM: 0.1, Band.HIGH: 0.3}[band])
    ids = {"ledger_version": 1, "score_id": "s", "debtor_id": "d"}
    return conclude(standing, plan, outlook, RulesModel.info, **ids, on_tick=False)


def test_a_change_is_told_once_a_day_and_what_came_after_it_the_next_day():
    first, score = concluded(Standing(), T0, Band.LOW)
    low = Segment(Band.LOW, Tier.NONE, Behaviour.NEW)
    assert (score.segment, score.segment_before) == (low, None)  # the first is told by scores alone
    same, score = concluded(first, T0 + 1, Band.LOW)
    assert (score.segment, score.segment_before) == (low, None)
    up, score = concluded(same, T0 + 1, Band.MEDIUM)
    medium = Segment(Band.MEDIUM, Tier.NONE, Behaviour.NEW)
    assert (score.segment, score.segment_before) == (medium, low)
    higher, score = concluded(up, T0 + 1, Band.HIGH)
    assert (score.band, score.segment, score.segment_before, higher.segment) == (Band.HIGH, medium, None, medium)
    _, score = concluded(higher, T0 + 2, Band.HIGH)
    assert (score.segment.band, score.segment_before) == (Band.HIGH, medium)


def test_a_model_without_cut_points_leaves_the_tier_as_it_was():
    standing = Standing(Band.LOW, segment=Segment(Band.LOW, Tier.A, Behaviour.NEW), segment_day=T0)
    _, score = concluded(standing, T0 + 1, Band.LOW)
    assert (score.segment, score.segment_before) == (standing.segment, None)
