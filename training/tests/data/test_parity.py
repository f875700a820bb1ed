"""Training and serving see the same float32: a snapshot's features are those of a live state at the tick of its day."""

import numpy as np
from duly_risk.curves import grid_for
from duly_risk.facts import Position, RiskEvent, Tick
from duly_risk.features import N_STATIC
from duly_risk.rows import curve_matrix, plan_rows
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_training.frame import frame_of
from duly_training.history import history_of
from duly_training.snapshots import outcomes_of, snapshots_of


def live_state(events, day: int) -> DebtorState:
    state, offset = DebtorState(), 0
    for event in events:
        if event.business_day < day:
            state = fold(state, event, Position(0, offset)).state
            offset += 1
    tick = RiskEvent(f"tick {day}", "calendar.business_date_advanced", day, False, Tick(day))
    return fold(state, tick, Position(0, offset)).state


def test_the_rows_of_a_live_tick_are_byte_for_byte_those_of_training(made_up_ledger, known_until):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    frame = frame_of(history, outcomes_of(history))
    later = [one for one in snapshots_of(history, frame) if one.days_after_due is not None]
    compared = 0
    for one in later[::7]:
        rows = plan_rows(live_state(history.by_debtor[one.debtor_id], one.as_of_day), frame)
        layout = next(layout for layout in rows.invoices if layout.terms.invoice_id == one.terms.invoice_id)
        live = rows.matrix[layout.start : layout.stop]
        assert live[0, :N_STATIC].tobytes() == np.array(one.static, dtype=np.float32).tobytes()
        grid = grid_for(one.as_of_day, one.terms.due_day)
        assert live.tobytes() == curve_matrix(one.static, one.terms, one.as_of_day, grid).tobytes()
        compared += 1
    assert compared > 30
