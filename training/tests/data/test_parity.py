"""Training and serving see the same float32: a snapshot's features are those of a live state at the tick of its day."""

from duly_risk.facts import Position, RiskEvent, Tick
from duly_risk.features import features_of
from duly_risk.plan import plan_of
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_training.frame import frame_of
from duly_training.history import history_of
from duly_training.snapshots import outcomes_of, snapshots_of, static_of


def live_state(events, day: int) -> DebtorState:
    state, offset = DebtorState(), 0
    for event in events:
        if event.business_day < day:
            state = fold(state, event, Position(0, offset)).state
            offset += 1
    tick = RiskEvent(f"tick {day}", "calendar.business_date_advanced", day, False, Tick(day))
    return fold(state, tick, Position(0, offset)).state


def test_a_live_tick_is_byte_for_byte_what_training_saw(made_up_ledger, known_until):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    frame = frame_of(history, outcomes_of(history))
    later = [one for one in snapshots_of(history) if one.days_after_due is not None]
    static = static_of(later, frame)
    compared = 0
    for i in range(0, len(later), 7):
        one = later[i]
        plan = plan_of(live_state(history.by_debtor[one.debtor_id], one.as_of_day))
        row = next(n for n, claim in enumerate(plan.claims) if claim.terms.invoice_id == one.terms.invoice_id)
        assert plan.measures[row].tobytes() == one.measures.tobytes()
        assert features_of(plan.measures, frame)[row].tobytes() == static[i].tobytes()
        compared += 1
    assert compared > 30
