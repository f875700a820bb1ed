"""The history: a fingerprint that sees every fact, and the schema that scoring checks."""

from dataclasses import replace
from datetime import date

from duly_risk.days import day_of
from duly_risk.measures import N_MEASURES
from duly_training.frame import frame_of
from duly_training.history import history_of
from duly_training.snapshots import known_at, measures_of, outcomes_of, snapshots_of


def test_the_fingerprint_sees_every_fact_and_the_cut(made_up_ledger, known_until):
    facts = list(made_up_ledger.facts(known_until))
    whole = history_of(facts, known_until)
    assert history_of(facts, known_until).sha256 == whole.sha256
    assert history_of(facts[:-1], known_until).sha256 != whole.sha256
    assert history_of([*facts[:-1], replace(facts[-1], source_version="2")], known_until).sha256 != whole.sha256
    assert history_of(facts, date(2027, 1, 1)).sha256 != whole.sha256


def test_landmarks_are_the_first_day_and_days_past_due_while_open(made_up_ledger, known_until):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    outcomes = outcomes_of(history)
    snapshots = list(snapshots_of(history))
    assert {one.days_after_due for one in snapshots} == {None, 1, 5, 15, 30, 60}
    for one in snapshots:
        outcome = outcomes[one.debtor_id, one.terms.invoice_id]
        assert len(one.measures) == N_MEASURES
        assert one.as_of_day < history.cut_day - 1
        if one.days_after_due is not None:
            assert one.as_of_day == one.terms.due_day + one.days_after_due
            # A payment of the landmark's own day is not known yet.
            assert outcome.paid_day is None or outcome.paid_day >= one.as_of_day


def test_the_frame_is_made_of_what_was_known(made_up_ledger, known_until):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    early = history.before(day_of(date(2025, 3, 1)))
    frame, early_frame = frame_of(history, outcomes_of(history)), frame_of(early, outcomes_of(early))
    assert 0.3 < frame.late_rate < 0.6
    assert frame.late_rate < frame.any_late_rate < 1
    assert early_frame != frame
    assert 10_000 < frame.amount_median_minor["EUR"] < 100_000


def test_a_history_is_folded_once_for_every_cut(made_up_ledger, known_until):
    history = history_of(made_up_ledger.facts(known_until), known_until)
    snapshots = list(snapshots_of(history))
    for day in (date(2025, 3, 1), date(2025, 9, 13), date(2026, 1, 5)):
        cut = day_of(day)
        once, again = known_at(snapshots, cut), list(snapshots_of(history.before(cut)))
        assert [(one.debtor_id, one.terms, one.as_of_day) for one in once] == [
            (one.debtor_id, one.terms, one.as_of_day) for one in again
        ]
        assert measures_of(once).tobytes() == measures_of(again).tobytes()
