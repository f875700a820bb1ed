"""Training, back-test and serving give the same bytes: features, curves, scores, whatever the calendar."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from duly_risk.batch import Item, apply_batch
from duly_risk.closed_days import ClosedRule
from duly_risk.codec import decode_state, encode_state
from duly_risk.curves import HORIZON_DAYS, expected_days, pay_offset, unpaid
from duly_risk.days import day_of
from duly_risk.facts import InvoiceStated, Position, RiskEvent, Tick
from duly_risk.fallback import RulesModel
from duly_risk.features import features_of
from duly_risk.ledger import apply_records
from duly_risk.measures import COLUMN, LANDMARKS
from duly_risk.model import HazardModel
from duly_risk.packing import packed
from duly_risk.plan import plan_of
from duly_risk.score import InvoiceScore
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_training.backtest.answering import survival_of
from duly_training.backtest.questions import AskedDays, Purpose, questions_of
from duly_training.fit import FitSettings, as_model
from duly_training.history import History, history_of
from duly_training.origin import fit_before, known_before
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
        result = apply_batch(
            states, batch, lambda key, day: RulesModel(), lambda key, event: event.event_id, lambda index, score: score
        )
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


# A Wednesday before Christmas; what is due then is due on the first open day after it.
DAY = day_of(date(2025, 12, 10))
CHRISTMAS = (ClosedRule("day", 12, 24, 0), ClosedRule("day", 12, 25, 0), ClosedRule("day", 12, 26, 0))
UNPAID = (1, 5, 30, 60, 90)


@pytest.fixture(scope="module")
def christmas_model(made_up_timeline) -> HazardModel:
    fitted = fit_before(made_up_timeline, DAY, FitSettings(7, parallel_trees=1, rounds_max=15, rounds_min=15))
    return as_model(fitted.booster, replace(fitted.known.frame, closed_rules=CHRISTMAS))


def test_what_the_stream_says_with_christmas_ahead_is_byte_for_byte_what_the_back_test_says(
    made_up_ledger, known_until, christmas_model
):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    live = {}
    for number, debtor_id in enumerate(history.by_debtor):
        for key, score in scores_on(history, number, christmas_model):
            live[debtor_id, key] = score
    asked = list(questions_of(history, AskedDays(DAY, DAY, history.cut_day, frozenset({DAY}))))
    curves = survival_of(asked, christmas_model)
    compared = dict.fromkeys((Purpose.ISSUED, Purpose.OPEN), 0)
    for question, curve in zip(asked, curves, strict=True):
        score = live.get((question.debtor_id, (question.purpose, question.terms.invoice_id)))
        if score is None:
            continue
        t0, due = np.array([DAY]), np.array([question.terms.due_day])
        offsets = [int(pay_offset(curve[np.newaxis], share)[0]) for share in (0.1, 0.5, 0.9)]
        said = [float(unpaid(curve[np.newaxis], t0, due, k)[0]) for k in UNPAID]
        said += [float(expected_days(curve[np.newaxis])[0])]
        assert list(score[1:7]) == said
        assert list(score[7:]) == [DAY + offset if offset <= HORIZON_DAYS else 0 for offset in offsets]
        compared[question.purpose] += 1
    assert compared[Purpose.OPEN] == sum(one.purpose is Purpose.OPEN for one in asked) >= 30
    assert compared[Purpose.ISSUED] >= 1


def test_a_closed_day_is_in_those_scores(made_up_ledger, known_until, christmas_model):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    asked = [
        one
        for one in questions_of(history, AskedDays(DAY, DAY, history.cut_day, frozenset({DAY})))
        if one.terms.due_day > DAY
    ]
    plain = as_model(christmas_model.booster, replace(christmas_model.info.frame, closed_rules=()))
    closed, as_ever = (survival_of(asked, model) for model in (christmas_model, plain))
    eve = day_of(date(2025, 12, 24)) - DAY
    paid = closed[:, eve - 1] - closed[:, eve + 2]
    assert paid.max() < 0.15 < (as_ever[:, eve - 1] - as_ever[:, eve + 2]).max()


def scores_on(history: History, number: int, model: HazardModel) -> Iterator[tuple[tuple[Purpose, str], InvoiceScore]]:
    """The live scores of a debtor on DAY: of an invoice that begins the day, and of all that are open at its end."""
    items = [one for one in stream(history, number, range(DAY, DAY + 1)) if business_day(one) <= DAY]
    items = [one._replace(event=one.event._replace(backfill=business_day(one) < DAY)) for one in items]
    result = apply_batch(
        {}, items, lambda key, day: model, lambda key, event: event.event_id, lambda index, score: score
    )
    scores = {index: score for index, score in result.told.items() if score.business_day == DAY}
    first = next((index for index in scores if isinstance(items[index].event.body, InvoiceStated)), None)
    if first is not None and items[first - 1].event.is_tick:
        issued = items[first].event.body.invoice_id
        yield from (((Purpose.ISSUED, issued), one) for one in scores[first].invoices if one.invoice_id == issued)
    if scores:
        yield from (((Purpose.OPEN, one.invoice_id), one) for one in scores[max(scores)].invoices)


def business_day(item: Item) -> int:
    return item.event.business_day
