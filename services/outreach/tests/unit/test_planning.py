"""The decision about one debtor at one tick, as a pure function."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from duly_policy import Answer, Channel, PastAttempt, Stage, gate_input_from_json, load_packs, load_strategy
from outreach.domain import planning
from outreach.domain.debtor import ContactPoint, Debtor, OpenInvoice, Score
from outreach.domain.planning import Picture, PlanKind, Policy, Tick
from outreach.domain.treatment import CancelReason, Case, TreatmentState, why_withdrawn

TODAY = date(2026, 6, 4)
TICK = Tick(TODAY, datetime(2026, 6, 4, 8, 0, tzinfo=UTC), 77)
POLICY = Policy(load_strategy("reminder-ladder"), load_packs("duly-default"), timedelta(hours=24), 7)
CASE = Case("CASE-1", "D-1", 1, date(2026, 6, 2))
DEBTOR = Debtor(
    tenant="acme",
    debtor_id="D-1",
    kind="BUSINESS",
    country="DE",
    zones=("Europe/Berlin",),
    contact_points=(ContactPoint("D-1-email", "EMAIL", verified=True),),
)


def overdue(invoice_id="INV-1", dpd=3, **values):
    return OpenInvoice(invoice_id, TODAY - timedelta(days=dpd), "EUR", 24000, **values)


def picture(*invoices, debtor=DEBTOR, case=CASE, **values):
    defaults = {"unapplied": {}, "waiting": (), "attempts": (), "kill_switch": False}
    return Picture(debtor=debtor, invoices=invoices or (overdue(),), case=case, **{**defaults, **values})


def plan(*invoices, tick=TICK, policy=POLICY, **values):
    return planning.plan_treatment(picture(*invoices, **values), CASE, tick, policy)


def test_the_same_picture_gives_the_same_treatment_whoever_plans_it_and_when_it_arrives():
    first, second = plan(), plan(tick=replace(TICK, ledger_version=99))

    assert first.treatment.treatment_id == second.treatment.treatment_id
    assert first.treatment.contact_id == second.treatment.contact_id
    assert first.treatment.treatment_id != plan(overdue("INV-2")).treatment.treatment_id


def test_the_recorded_question_can_be_read_back():
    decided = plan()

    question = gate_input_from_json(decided.gate_input_json)
    assert (question.contact_id, question.now) == (decided.treatment.contact_id, TICK.instant)


@pytest.mark.parametrize(
    "tick",
    [
        Tick(TODAY, datetime(2026, 6, 3, 22, 0, tzinfo=UTC), 1),
        Tick(date(2026, 6, 6), datetime(2026, 6, 6, 8, 0, tzinfo=UTC), 1),
        Tick(date(2026, 12, 25), datetime(2026, 12, 25, 9, 0, tzinfo=UTC), 1),
    ],
    ids=["night", "saturday", "christmas"],
)
def test_outside_contact_hours_there_is_no_decision(tick):
    assert plan(tick=tick) is None


def test_a_contact_over_the_cap_is_planned_and_waits_for_its_slot():
    earlier = PastAttempt("C-0", TICK.instant - timedelta(hours=2), Channel.EMAIL, "accepted")

    planned = plan(attempts=(earlier,))

    assert planned is not None
    assert planned.kind is PlanKind.CONTACT
    assert planned.decision.answer is Answer.DEFER
    assert "DULY-CAP" in planned.treatment.rule_ids
    assert planned.decision.until is not None
    assert planned.treatment.not_after > planned.decision.until


def test_somewhere_unknown_is_a_persons_matter_and_not_silence():
    nowhere = plan(debtor=replace(DEBTOR, zones=(), country=""))

    assert (nowhere.kind, nowhere.work_kind) == (PlanKind.WORK, "decide_contact")


def test_the_kill_switch_refuses_and_is_recorded():
    refused = plan(kill_switch=True)

    assert (refused.kind, "DULY-KILL" in refused.treatment.rule_ids) == (PlanKind.REFUSED, True)


def test_a_disputed_invoice_is_left_out_and_the_others_are_asked_for():
    decided = plan(overdue("A"), overdue("B", disputed_minor=100))

    assert decided.treatment.invoice_ids == ("A",)


def test_a_call_task_needs_no_address_of_ours():
    decided = plan(overdue(dpd=40))

    assert (decided.kind, decided.work_kind, decided.treatment.steps_reached) == (
        PlanKind.WORK,
        "call_task",
        {"INV-1": 4},
    )


def test_a_step_given_to_a_person_is_not_due_again():
    assert plan(overdue(dpd=40, step_handed=4)) is None


def test_a_waiting_treatment_stays_until_another_step_is_due_or_its_time_is_over():
    waiting = replace(plan().treatment, state=TreatmentState.WAITING)
    held = replace(waiting, state=TreatmentState.HELD)
    later = Tick(date(2026, 6, 8), datetime(2026, 6, 8, 8, 0, tzinfo=UTC), 1)

    assert plan(waiting=(waiting,)) is None
    assert plan(waiting=(waiting,), tick=later) is not None
    assert plan(waiting=(held,), tick=later) is None
    assert plan(overdue(dpd=10), waiting=(waiting,)).treatment.step_no == 2


def test_a_score_older_than_allowed_leaves_the_default_timing():
    score = Score("S-1", TODAY - timedelta(days=8), "CHAMPION", "CRITICAL", 5)
    stale = plan(overdue(dpd=5), debtor=replace(DEBTOR, score=score))
    fresh = plan(overdue(dpd=5), debtor=replace(DEBTOR, score=replace(score, business_date=TODAY)))

    assert (stale.treatment.step_no, stale.treatment.risk_band) == (1, "")
    assert (fresh.treatment.step_no, fresh.treatment.risk_band) == (2, "CRITICAL")


def test_in_stage_reminders_no_score_times_anything():
    score = Score("S-1", TODAY, "CHAMPION", "CRITICAL", 5)
    policy = replace(POLICY, strategy=POLICY.strategy.in_stage(Stage.REMINDERS))

    decided = plan(overdue(dpd=5), debtor=replace(DEBTOR, score=score), policy=policy)
    assert (decided.treatment.step_no, decided.treatment.stage) == (1, "REMINDERS")


def test_more_invoices_than_one_request_takes_keep_those_whose_step_is_due():
    handed = [overdue(f"OLD-{n:03d}", dpd=60, step_sent=4) for n in range(100)]
    decided = plan(*handed, overdue("NEW", dpd=3))

    assert len(decided.treatment.invoice_ids) == planning.INVOICES_PER_CONTACT_MAX
    assert decided.treatment.invoice_ids[-1] == "NEW"
    assert decided.treatment.steps_reached == {"NEW": 1}


def test_a_case_opens_closes_and_opens_again_after_a_reversal():
    opened = planning.day_change(picture(case=None), TODAY)
    assert (opened.opens, opened.case.episode, len(opened.newly_overdue)) == (True, 1, 1)

    closed = planning.day_change(Picture(DEBTOR, (), {}, opened.case, (), (), False), TODAY)
    assert (closed.closes, closed.case.closed_on) == (True, TODAY)

    again = planning.day_change(picture(overdue(case_id=opened.case.case_id), case=closed.case), TODAY)
    assert (again.opens, again.case.case_id) == (True, opened.case.case_id)
    other = planning.day_change(picture(overdue("INV-2"), case=closed.case), TODAY)
    assert (other.opens, other.case.episode) == (True, 2)


@pytest.mark.parametrize(
    ("disputed", "claimable", "reason"),
    [(0, 100, None), (0, 0, CancelReason.PAID), (100, 0, CancelReason.DISPUTE), (40, 60, CancelReason.DISPUTE)],
)
def test_a_waiting_treatment_is_withdrawn_for_what_is_not_owed(disputed, claimable, reason):
    invoice = overdue("A", disputed_minor=disputed)
    waiting = plan(overdue("A")).treatment
    with_another = replace(waiting, invoice_ids=("A", "GONE"))

    assert why_withdrawn(waiting, {"A": invoice}, {"A": claimable}, TODAY) is reason
    assert why_withdrawn(with_another, {"A": invoice}, {"A": claimable}, TODAY) is CancelReason.PAID


@pytest.mark.parametrize(
    ("dpd", "fact_days_later", "reason"),
    [
        (1, 0, None),
        (0, 0, CancelReason.SUPERSEDED),
        (-30, 0, CancelReason.SUPERSEDED),
        (-1, 2, None),
        (-1, 1, CancelReason.SUPERSEDED),
        (1, -1, None),  # recorded on the eve of the day it was planned on
    ],
)
def test_a_waiting_treatment_is_withdrawn_for_what_is_not_overdue_any_more(dpd, fact_days_later, reason):
    waiting = plan(overdue("A"), overdue("B")).treatment
    invoices = {"A": overdue("A", dpd=dpd), "B": overdue("B")}
    on = TODAY + timedelta(days=fact_days_later)

    assert why_withdrawn(waiting, invoices, {"A": 24000, "B": 24000}, on) is reason
