"""Each check of contacts and causes: it holds on a good run and fails on one planted fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from duly_cli.checks import cause_checks, contact_checks

from duly.contact.v1 import events_pb2 as contact
from duly.outreach.v1 import events_pb2 as outreach

TEN_LOCAL = datetime(2026, 3, 4, 15, tzinfo=UTC)


def send_again(world, made, contact_id, at, cause="planned-1"):
    world.add(made.sent(contact_id, at), f"sent of {contact_id}", "D-1", cause)


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        ("Please pay INV-1 and INV-2, 100.00 USD.", "was paid"),
        ("Please pay INV-10, 100.00 USD.", "names no invoice"),
        ("Thank you.", "names no invoice"),
    ],
)
def test_an_email_about_the_wrong_invoices_is_found(evidence, made, text, violation):
    check = contact_checks.none_for_paid_or_disputed(made.with_mails(evidence, [made.mail("contact-1", text)]))
    assert violation in check.shown[0]


def test_an_email_about_a_disputed_invoice_is_found(world, made):
    message = made.sent(minor=0)
    message.debtor_id = "D-2"
    world.events["contact-events"] = []
    world.add(message, "sent-1", "D-2", "planned-1")
    evidence = made.with_mails(world.evidence(), [made.mail("contact-1", "Please pay INV-3.", "d-2@debtors.example")])
    assert "was disputed" in contact_checks.none_for_paid_or_disputed(evidence).shown[0]


def test_an_email_before_the_due_date_is_found(world, made):
    facts = list(world.facts)
    for fact in facts:
        if fact.event == "invoice.issued" and fact.message.invoice_id == "INV-1":
            fact.message.due_date = "2026-03-04"
    check = contact_checks.none_for_paid_or_disputed(world.evidence())
    assert "was not due" in check.shown[0]


def test_i5_a_sum_that_is_not_owed_is_found(world, made):
    world.events["contact-events"] = []
    world.add(made.sent(minor=9_999), "sent-1", "D-1", "planned-1")
    assert "claims {'USD': 9999}" in contact_checks.none_for_paid_or_disputed(world.evidence()).shown[0]


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 4, 12, 59, tzinfo=UTC),  # 07:59 in New York
        datetime(2026, 3, 4, 23, 1, tzinfo=UTC),  # 18:01
        datetime(2026, 3, 7, 15, tzinfo=UTC),  # a Saturday
    ],
)
def test_a_contact_outside_the_hours_of_a_business_is_found(world, made, at):
    world.events["contact-events"] = []
    world.add(made.sent(at=at), "sent-1", "D-1", "planned-1")
    assert not contact_checks.none_outside_hours(world.evidence()).passed


def test_a_consumer_may_be_reached_on_saturday_until_eight(world, made):
    message = made.sent(at=datetime(2026, 3, 8, 0, 59, tzinfo=UTC))  # Saturday 19:59 in New York
    message.debtor_id = "D-2"
    world.events["contact-events"] = []
    world.add(message, "sent-1", "D-2", "planned-1")
    assert contact_checks.none_outside_hours(world.evidence()).passed


def test_a_second_contact_on_one_day_is_found(world, made):
    send_again(world, made, "contact-2", datetime(2026, 3, 4, 16, tzinfo=UTC))
    assert contact_checks.none_above_the_cap(world.evidence()).shown == (
        "D-1: 2 contacts on 2026-03-04, 2 in seven days",
    )


def test_a_third_contact_in_seven_days_is_found_and_one_on_the_eighth_is_not(world, made):
    send_again(world, made, "contact-2", datetime(2026, 3, 6, 15, tzinfo=UTC))
    send_again(world, made, "contact-3", datetime(2026, 3, 11, 15, tzinfo=UTC))
    assert contact_checks.none_above_the_cap(world.evidence()).passed
    send_again(world, made, "contact-4", datetime(2026, 3, 10, 15, tzinfo=UTC))
    assert not contact_checks.none_above_the_cap(world.evidence()).passed


def test_an_attempt_that_ended_unknown_counts_against_the_cap(world):
    message = contact.ContactUnknown(contact_id="contact-2", attempt_id="a", debtor_id="D-1")
    message.at.FromDatetime(TEN_LOCAL)
    world.add(message, "unknown-1", "D-1")
    assert not contact_checks.none_above_the_cap(world.evidence()).passed


def test_a_contact_without_an_email_or_with_two_is_found(evidence, made):
    for mails in ([], [made.mail("contact-1"), made.mail("contact-1")]):
        assert not contact_checks.one_mail_per_contact(made.with_mails(evidence, mails)).passed


def test_an_email_without_a_contact_is_found(evidence, made):
    mails = [*evidence.mails, made.mail("contact-9")]
    assert not contact_checks.one_mail_per_contact(made.with_mails(evidence, mails)).passed


def test_an_email_to_somebody_else_is_found(evidence, made):
    mails = [made.mail("contact-1", to="d-2@debtors.example")]
    assert not contact_checks.one_mail_per_contact(made.with_mails(evidence, mails)).passed


def test_a_contact_that_was_never_planned_is_found(world, made):
    send_again(world, made, "contact-2", TEN_LOCAL)
    assert "never planned" in cause_checks.causes_are_complete(world.evidence()).shown[0]


def test_a_treatment_that_was_never_decided_is_found(world):
    world.events["outreach-events"] = world.events["outreach-events"][1:]
    assert "was never decided" in cause_checks.causes_are_complete(world.evidence()).shown[0]


def test_a_score_that_is_in_no_topic_is_found(world):
    world.events["risk-scores"] = []
    assert "score score-1 is in no topic" in cause_checks.causes_are_complete(world.evidence()).shown[0]


def test_a_score_without_a_cause_is_found(world, made):
    world.events["risk-scores"] = []
    world.add(made.score(), "score-1", "D-1", "gone")
    assert "the score's cause gone is in no topic" in cause_checks.causes_are_complete(world.evidence()).shown[0]


def test_a_broken_link_in_the_chain_is_found(world, made):
    world.events["outreach-events"] = []
    world.add(made.decided(), "decided-1", "D-1", "gone")
    world.add(made.planned(), "planned-1", "D-1", "decided-1")
    check = cause_checks.causes_are_complete(world.evidence())
    assert check.shown == ("contact contact-1: the cause gone of treatment.decided is in no topic",)


def test_a_chain_that_leaves_out_the_decision_is_found(world, made):
    world.events["contact-events"] = []
    world.add(made.sent(), "sent-1", "D-1", "score-1")
    assert "leaves out its plan" in cause_checks.causes_are_complete(world.evidence()).shown[0]


def test_a_circle_of_causes_is_found(world, made):
    world.events["outreach-events"] = []
    world.add(made.decided(), "decided-1", "D-1", "planned-1")
    world.add(made.planned(), "planned-1", "D-1", "decided-1")
    assert "does not end" in cause_checks.causes_are_complete(world.evidence()).shown[0]


def test_a_decision_without_rules_is_found(evidence):
    evidence.decided["treatment-1"].message.ClearField("rule_ids")
    assert "names no rules" in cause_checks.causes_are_complete(evidence).shown[0]


def test_a_cancelled_contact_must_name_a_cause_and_must_not_be_sent_later(world):
    cause = world.facts[0].event_id
    good = outreach.ContactCancelled(contact_id="contact-2", debtor_id="D-1", cause_event_id=cause)
    world.add(good, "cancelled-2", "D-1", cause)
    assert cause_checks.every_cancelled_contact_names_its_cause(world.evidence()).passed
    bad = outreach.ContactCancelled(contact_id="contact-1", debtor_id="D-1", cause_event_id="gone")
    world.add(bad, "cancelled-1", "D-1", "gone", at=TEN_LOCAL - timedelta(hours=1))
    assert cause_checks.every_cancelled_contact_names_its_cause(world.evidence()).violations == 2


def test_a_cancellation_at_the_instant_of_the_sending_may_have_come_too_late(world):
    cause = world.facts[0].event_id
    same = outreach.ContactCancelled(contact_id="contact-1", debtor_id="D-1", cause_event_id=cause)
    world.add(same, "cancelled-1", "D-1", cause)
    checked = cause_checks.every_cancelled_contact_names_its_cause(world.evidence())
    assert checked.passed
    assert checked.figures["too_late"] == 1


def test_the_business_date_of_an_instant_is_that_of_the_last_tick(evidence):
    assert evidence.business_date_at(TEN_LOCAL) == date(2026, 3, 4)
    assert evidence.business_date_at(datetime(2026, 3, 4, 4, tzinfo=UTC)) == date.min


def test_only_the_first_violations_are_shown_and_all_are_counted(evidence, made):
    mails = [made.mail(f"stray-{number}") for number in range(9)] + list(evidence.mails)
    check = contact_checks.one_mail_per_contact(made.with_mails(evidence, mails))
    assert (check.violations, len(check.shown)) == (9, 5)
    assert replace(check, violations=0).passed
