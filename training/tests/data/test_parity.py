"""Training and serving see the same float32: a snapshot's features are those of a live state at the tick of its day."""

import itertools
from collections.abc import Sequence

import numpy as np
from duly_risk.batch import Item, apply_batch
from duly_risk.codec import decode_state, encode_state
from duly_risk.facts import Position, RiskEvent, Tick
from duly_risk.fallback import RulesModel
from duly_risk.features import features_of
from duly_risk.ledger import apply_records
from duly_risk.measures import COLUMN, LANDMARKS
from duly_risk.packing import packed
from duly_risk.plan import plan_of
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_training.history import History, history_of
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
    assert len(np.unique(later.landmark)) == len(LANDMARKS)


def test_the_stream_at_a_tick_is_the_log_up_to_it_over_a_thousand_debtor_dates(made_up_ledger, known_until):
    """However the log is cut into batches, with facts that come twice and states that come from their blobs."""
    history = history_of(made_up_ledger.facts(known_until), known_until)
    first = min(events[0].business_day for events in history.by_debtor.values())
    ticks = range(first + 30, history.cut_day, 16)
    items = [item for number, debtor_id in enumerate(history.by_debtor) for item in stream(history, number, ticks)]
    blobs: dict[bytes, bytes] = {}
    compared = rows = start = 0
    for size in itertools.cycle((1, 7, 50, 333)):
        batch = items[start : start + size]
        if not batch:
            break
        states = {one.key: decode_state(blobs[one.key]) for one in batch if one.key in blobs}
        result = apply_batch(states, batch, lambda key, day: RulesModel(), lambda key, event: event.event_id)
        blobs |= {key: encode_state(state) for key, state in result.states.items()}
        for one, folded in zip(batch, result.folded, strict=True):
            if one.event.is_tick:
                live = plan_of(folded.state)
                log = plan_of(from_the_log(history.by_debtor[one.debtor_id], one.event.body.day))
                assert live.measures.tobytes() == log.measures.tobytes()
                compared, rows = compared + 1, rows + len(log.measures)
        start += size
    assert compared >= 1_000
    assert rows >= 500


def stream(history: History, number: int, ticks: range) -> list[Item]:
    """A debtor's facts and ticks as they lie in the log, every ninth fact once more later on."""
    debtor_id, events = list(history.by_debtor.items())[number]
    dated = [(event.business_day, 1, event) for event in events]
    dated += [(event.business_day + 3, 1, event) for event in events[number % 9 :: 9]]
    dated += [(day, 0, RiskEvent(f"tick {day}", "tick", day, False, Tick(day))) for day in ticks]
    dated.sort(key=lambda row: row[:2])
    key = f"demo|{debtor_id}".encode()
    return [Item(key, debtor_id, event, Position(0, offset)) for offset, (_, _, event) in enumerate(dated)]


def from_the_log(events: Sequence[RiskEvent], day: int) -> DebtorState:
    """All facts known before a day, packed at the end and not as they came."""
    state = DebtorState(business_day=day)
    for event in events:
        if event.business_day < day:
            state = apply_records(state, event.body)
    return packed(state)
