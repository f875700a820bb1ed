"""Nothing from after an invoice's as-of date enters its features: the future may be cut off or changed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from duly_risk.days import day_of
from duly_risk.facts import InvoiceStated, RiskEvent
from duly_risk.measures import COLUMN
from duly_training.folding import timeline_of
from duly_training.history import History, history_of
from duly_training.timeline import Timeline

from duly.ledger.v1 import events_pb2 as ledger

CUTS = (date(2025, 6, 1), date(2025, 9, 13), date(2026, 1, 5))

Fold = Callable[[History], Timeline]


def bytes_before(timeline: Timeline, day: int) -> dict[tuple[str, int], bytes]:
    # Landmarks of the last two days before a cut are made only if days after them can be seen.
    known = timeline.snapshots_before(day)
    return {
        (timeline.invoice_ids[invoice], as_of): measures.tobytes()
        for invoice, as_of, measures in zip(known.invoice, known.as_of.tolist(), known.measures, strict=True)
    }


def leaks(make: Fold, whole: History, other: History, cut: date) -> bool:
    """Whether features as of days before `cut` differ between two histories that agree on what was known before it."""
    day = day_of(cut)
    ours, theirs = bytes_before(make(whole), day), bytes_before(make(other), day)
    assert len(theirs) > 200
    return ours != theirs


def future_changed(facts, cut: date):
    """The same facts before the cut; after it nobody pays, and everybody is billed a hundred times as much."""
    for fact in facts:
        if fact.known_on < cut:
            yield fact
        elif isinstance(fact.message, ledger.InvoiceIssued):
            message = ledger.InvoiceIssued()
            message.CopyFrom(fact.message)
            message.total.amount_minor *= 100
            yield replace(fact, message=message)


def leaking(history: History) -> Timeline:
    """The broken rule: payments are believed to be known a month before they were."""
    early = {debtor: tuple(sorted(map(_early, events), key=_day)) for debtor, events in history.by_debtor.items()}
    return timeline_of(replace(history, by_debtor=early))


def _early(event: RiskEvent) -> RiskEvent:
    return event if isinstance(event.body, InvoiceStated) else event._replace(business_day=event.business_day - 30)


def _day(event: RiskEvent) -> int:
    return event.business_day


@pytest.mark.parametrize("cut", CUTS)
def test_cutting_the_future_off_changes_no_byte_of_earlier_features(made_up_ledger, known_until, cut):
    whole = history_of(made_up_ledger.facts(known_until), known_until)
    assert not leaks(timeline_of, whole, whole.before(day_of(cut)), cut)


@pytest.mark.parametrize("cut", CUTS)
def test_another_future_changes_no_byte_of_earlier_features(made_up_ledger, known_until, cut):
    whole = history_of(made_up_ledger.facts(known_until), known_until)
    other = history_of(future_changed(made_up_ledger.facts(known_until), cut), known_until)
    assert whole.sha256 != other.sha256
    assert not leaks(timeline_of, whole, other, cut)


def test_a_planted_leak_is_found(made_up_ledger, known_until):
    whole = history_of(made_up_ledger.facts(known_until), known_until)
    other = history_of(future_changed(made_up_ledger.facts(known_until), CUTS[1]), known_until)
    assert leaks(leaking, whole, other, CUTS[1])


def test_a_payment_is_no_news_on_its_own_day_and_is_on_the_next(made_up_ledger, known_until):
    whole = history_of(made_up_ledger.facts(known_until), known_until)
    day = day_of(date(2025, 1, 1) + timedelta(days=31))
    for gap, known in ((0, 0.0), (1, 1.0)):
        events = {
            "D": tuple(
                event._replace(business_day=day - gap if "I00-000" not in event.event_id else event.business_day)
                for event in whole.by_debtor["D00"]
                if "I00-000" in event.event_id
            )
        }
        paid_day = max(event.business_day for event in events["D"])
        fresh = whole.by_debtor["D00"][0]._replace(event_id="fresh", business_day=paid_day + gap)
        fresh = fresh._replace(body=replace(fresh.body, invoice_id="FRESH"))
        history = History(paid_day + 90, {"D": (*events["D"], fresh)}, "")
        timeline = timeline_of(history)
        first = timeline.snapshots.invoice.tolist().index(timeline.invoice_ids.index("FRESH"))
        assert timeline.snapshots.measures[first, COLUMN["n_known"]] == known
