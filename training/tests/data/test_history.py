"""The history and its timeline: a fingerprint that sees every fact, one fold for every cut."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby

import numpy as np
import pytest
from duly_risk.days import day_of
from duly_risk.measures import LANDMARKS, N_MEASURES
from duly_training.folding import timeline_of
from duly_training.frame import tier_cuts
from duly_training.history import history_of, read_history
from duly_training.origin import known_before
from duly_training.timeline import FIRST, NEVER

from duly.ledger.v1 import events_pb2 as ledger


def test_the_fingerprint_sees_every_fact_and_the_cut(made_up_ledger, known_until):
    facts = list(made_up_ledger.facts(known_until))
    whole = history_of(facts, known_until)
    assert history_of(facts, known_until).sha256 == whole.sha256
    assert history_of(facts[:-1], known_until).sha256 != whole.sha256
    assert history_of([*facts[:-1], replace(facts[-1], source_version="2")], known_until).sha256 != whole.sha256
    assert history_of(facts, date(2027, 1, 1)).sha256 != whole.sha256


class DebtorByDebtor:
    """A ledger that never holds all of its facts."""

    def __init__(self, facts):
        self._facts = sorted(facts, key=lambda fact: fact.debtor_id)

    def facts(self, known_until):
        raise AssertionError("all facts at once were asked for")

    def facts_by_debtor(self, known_until):
        for debtor_id, facts in groupby(self._facts, key=lambda fact: fact.debtor_id):
            yield debtor_id, [fact for fact in facts if fact.known_on < known_until]


def test_a_ledger_read_debtor_by_debtor_gives_the_same_history(made_up_ledger, known_until):
    facts = list(made_up_ledger.facts(known_until))
    assert read_history(DebtorByDebtor(facts), known_until) == history_of(facts, known_until)


def test_landmarks_are_the_first_day_and_days_around_due_while_open(made_up_timeline):
    snapshots, outcomes = made_up_timeline.snapshots, made_up_timeline.outcomes_before(made_up_timeline.cut_day)
    assert set(snapshots.landmark.tolist()) == {FIRST, *LANDMARKS}
    assert snapshots.measures.shape[1] == N_MEASURES
    due, paid = outcomes.due[snapshots.invoice], outcomes.paid[snapshots.invoice]
    later = snapshots.landmark != FIRST
    assert np.all(snapshots.as_of[later] == (due + snapshots.landmark)[later])
    # A payment of the landmark's own day is not known yet.
    assert np.all(paid[later] >= snapshots.as_of[later])
    assert np.all(snapshots.as_of < made_up_timeline.cut_day - 1)


def test_the_frame_is_made_of_what_was_known(made_up_timeline):
    frame = known_before(made_up_timeline, made_up_timeline.cut_day).frame
    early = known_before(made_up_timeline, day_of(date(2025, 3, 1))).frame
    assert 0.3 < frame.late_rate < 0.6
    assert frame.late_rate < frame.any_late_rate < 1
    assert early != frame
    assert 10_000 < frame.amount_median_minor["EUR"] < 100_000


@pytest.mark.parametrize("day", [date(2025, 3, 1), date(2025, 9, 13), date(2026, 1, 5)])
def test_a_history_is_folded_once_for_every_cut(made_up_ledger, made_up_timeline, known_until, day):
    cut = day_of(day)
    again = timeline_of(history_of(made_up_ledger.facts(known_until), known_until).before(cut))
    once = made_up_timeline.before(cut)
    ids, again_ids = np.array(once.invoice_ids), np.array(again.invoice_ids)
    assert ids[once.snapshots.invoice].tolist() == again_ids[again.snapshots.invoice].tolist()
    assert once.snapshots.measures.tobytes() == again.snapshots.measures.tobytes()
    ours, theirs = made_up_timeline.outcomes_before(cut), again.outcomes_before(cut)
    for name in ("issue", "due", "total_minor", "paid", "censored"):
        assert getattr(ours, name)[ours.known].tolist() == getattr(theirs, name)[theirs.known].tolist()


def test_an_outcome_is_what_was_known_then(made_up_ledger, known_until):
    """Paid, taken back, paid again; revised and credited: each cut sees its own truth."""
    facts = [fact for fact in made_up_ledger.facts(known_until) if fact.event_id.endswith("I00-000")]
    paid = next(fact for fact in facts if isinstance(fact.message, ledger.AllocationApplied))
    back = ledger.PaymentReversed(
        reversal_id="R",
        payment_id="P-I00-000",
        debtor_id="D00",
        amount=paid.message.amount,
        on=(paid.known_on + timedelta(days=9)).isoformat(),
    )
    reversed_on = paid.known_on + timedelta(days=9)
    facts.append(replace(paid, known_on=reversed_on, event_id="back", message=back))
    timeline = timeline_of(history_of(facts, known_until))
    day = day_of(paid.known_on)
    assert timeline.outcomes_before(day).paid.tolist() == [NEVER]
    assert timeline.outcomes_before(day + 1).paid.tolist() == [day]
    assert timeline.outcomes_before(day + 9).paid.tolist() == [day]
    assert timeline.outcomes_before(day + 10).paid.tolist() == [NEVER]
    assert not timeline.outcomes_before(0).known.any()


def test_value_tiers_are_cut_where_the_largest_debtors_make_most_of_the_billing(made_up_timeline):
    outcomes = made_up_timeline.outcomes_before(made_up_timeline.cut_day)
    [(currency, (a, b))] = tier_cuts(made_up_timeline, outcomes).items()
    debtors = np.unique(made_up_timeline.debtor)
    first = np.array([outcomes.issue[made_up_timeline.debtor == debtor].min() for debtor in debtors])
    billed = np.bincount(made_up_timeline.debtor, outcomes.total_minor)
    yearly = billed / np.maximum(1.0, (outcomes.issue.max() - first) / 365)
    assert currency == "EUR"
    for cut, share in ((a, 0.8), (b, 0.95)):
        assert yearly[yearly >= cut].sum() >= share * yearly.sum() > yearly[yearly > cut].sum()
