"""Training and serving see the same float32: a snapshot's features are those of a live state at the tick of its day."""

import numpy as np
from duly_risk.facts import Position, RiskEvent, Tick
from duly_risk.features import features_of
from duly_risk.measures import COLUMN
from duly_risk.plan import plan_of
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_training.history import history_of
from duly_training.origin import known_before
from duly_training.timeline import FIRST


def live_state(events, day: int) -> DebtorState:
    state, offset = DebtorState(), 0
    for event in events:
        if event.business_day < day:
            state = fold(state, event, Position(0, offset)).state
            offset += 1
    tick = RiskEvent(f"tick {day}", "calendar.business_date_advanced", day, False, Tick(day))
    return fold(state, tick, Position(0, offset)).state


def test_a_live_tick_is_byte_for_byte_what_training_saw(made_up_ledger, made_up_timeline, known_until):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    frame = known_before(made_up_timeline, history.cut_day).frame
    later = made_up_timeline.snapshots.where(made_up_timeline.snapshots.landmark != FIRST)
    static = features_of(later.measures, frame)
    for i in range(0, len(later), 37):
        invoice = later.invoice[i]
        debtor_id = made_up_timeline.debtor_ids[made_up_timeline.debtor[invoice]]
        plan = plan_of(live_state(history.by_debtor[debtor_id], int(later.measures[i, COLUMN["as_of_day"]])))
        ids = [claim.terms.invoice_id for claim in plan.claims]
        row = ids.index(made_up_timeline.invoice_ids[invoice])
        assert plan.measures[row].tobytes() == later.measures[i].tobytes()
        assert features_of(plan.measures, frame)[row].tobytes() == static[i].tobytes()
    assert len(np.unique(later.landmark)) == 7
