"""A reminder is sent once, at the right time, and never once the debt is paid, disputed or stopped."""

from __future__ import annotations

from datetime import date

import pytest
from world import CONTACT_HOUR, DEBTOR, OPENING, World

from duly.contact.v1 import events_pb2 as contact_events
from duly.outreach.v1 import events_pb2 as outreach_events

pytestmark = pytest.mark.postgres


def overdue(world: World, kind: str = "BUSINESS") -> None:
    """Monday 2031-03-10: one invoice of 240.00 EUR, due the Friday before, opening tick only. The first step is due."""
    world.advance_to("2031-03-03")
    world.party(kind=kind)
    world.invoice("INV-1", "240.00 EUR", due="2031-03-05")
    world.advance_to("2031-03-07")
    world.tick(date(2031, 3, 8), OPENING)
    world.new_events()


def test_the_story_of_one_reminder_event_by_event(world: World) -> None:
    world.advance_to("2031-03-03")
    world.party()
    world.expect("party.upserted", "risk.score_updated")
    world.invoice("INV-1", "240.00 EUR", due="2031-03-05")
    world.expect("invoice.issued", "risk.score_updated")
    world.advance_to("2031-03-05")
    world.expect("risk.score_updated", "risk.segment_changed", "risk.score_updated")
    world.advance_to("2031-03-06")
    world.expect("risk.score_updated", "invoice.overdue", "case.opened")
    world.advance_to("2031-03-10")
    scores = [*["risk.score_updated"] * 4, "risk.segment_changed"]
    world.expect(*scores, "treatment.decided", "contact.planned", "contact.sent")
    assert "240.00" in world.mail.sent[0].text
    world.payment("240.00 EUR", for_="INV-1")
    world.expect("payment.received", "allocation.applied", *["risk.score_updated"] * 2, "invoice.paid")
    world.advance_to("2031-04-30")
    world.expect("case.closed")
    assert len(world.mail.sent) == 1


def test_every_contact_names_its_causes(world: World) -> None:
    overdue(world)
    world.advance_to("2031-03-12")
    sent = world.last("contact-events", "contact.sent")
    planned = world.last("outreach-events", "contact.planned")
    decided = world.last("outreach-events", "treatment.decided")
    assert isinstance(sent, contact_events.ContactSent)
    assert isinstance(planned, outreach_events.ContactPlanned)
    assert isinstance(decided, outreach_events.TreatmentDecided)
    assert sent.contact_id == planned.contact_id
    assert planned.treatment_id == decided.treatment_id
    assert decided.rule_ids
    assert decided.reasons
    assert decided.pack_versions


def test_no_mail_leaves_at_the_weekend_or_at_midnight(world: World) -> None:
    overdue(world)
    world.tick(date(2031, 3, 8), CONTACT_HOUR)  # a Saturday: no business contact
    world.tick(date(2031, 3, 9), OPENING)
    world.tick(date(2031, 3, 9), CONTACT_HOUR)
    world.tick(date(2031, 3, 10), OPENING)
    assert not world.mail.sent
    world.tick(date(2031, 3, 10), CONTACT_HOUR)
    assert len(world.mail.sent) == 1


def test_a_payment_before_the_contact_hour_means_no_mail(world: World) -> None:
    overdue(world)
    world.tick(date(2031, 3, 10), OPENING)
    world.payment("240.00 EUR", for_="INV-1")
    world.advance_to("2031-03-31")
    assert not world.mail.sent


def test_a_disputed_invoice_is_left_alone(world: World) -> None:
    overdue(world)
    world.dispute("INV-1", "240.00 EUR")
    world.advance_to("2031-04-30")
    assert not world.mail.sent


def test_a_part_payment_is_asked_for_the_rest_only(world: World) -> None:
    overdue(world)
    world.payment("200.00 EUR", for_="INV-1")
    world.advance_to("2031-03-10")
    assert "40.00" in world.mail.sent[0].text
    assert "240.00" not in world.mail.sent[0].text


def test_a_stop_word_ends_all_mail_but_not_the_case(world: World) -> None:
    overdue(world)
    world.advance_to("2031-03-10")
    assert len(world.mail.sent) == 1
    assert world.reply("STOP", contact_id=world.mail.sent[0].contact_id).stopped
    assert {"consent.revoked", "reply.received"} <= set(world.new_events())
    world.advance_to("2031-04-30")
    assert len(world.mail.sent) == 1
    assert "case.closed" not in world.new_events()


def test_the_same_delivery_and_the_same_reply_again_change_nothing(world: World) -> None:
    overdue(world)
    world.advance_to("2031-03-10")
    world.reply("I will pay on Friday")
    world.new_events()
    world.reply("I will pay on Friday")
    world.invoice("INV-1", "240.00 EUR", due="2031-03-05")
    world.expect_nothing()


def test_one_mail_lists_all_that_is_overdue(world: World) -> None:
    overdue(world)
    world.invoice("INV-2", "60.00 USD", due="2031-03-05")
    world.advance_to("2031-03-10")
    (mail,) = world.mail.sent
    for wanted in ("INV-1", "INV-2", "240.00", "60.00"):
        assert wanted in mail.text


def test_another_debtor_keeps_its_own_step(world: World) -> None:
    overdue(world)
    world.party("D-2")
    world.advance_to("2031-03-10")
    world.invoice("INV-9", "10.00 EUR", due="2031-03-10", debtor="D-2")
    world.advance_to("2031-03-12")
    assert [mail.to for mail in world.mail.sent] == [f"{DEBTOR.lower()}@debtors.example"]


def test_history_moves_the_ledger_and_contacts_nobody(world: World) -> None:
    world.party(backfill=True)
    world.invoice("OLD", "99.00 EUR", due="2031-02-20", backfill=True)
    world.tick(date(2031, 3, 2), CONTACT_HOUR, backfill=True)
    world.expect("party.upserted", "invoice.issued")
    assert not world.mail.sent
    world.advance_to("2031-03-03")
    names = world.new_events()
    assert "case.opened" in names
    assert len(world.mail.sent) == 1, "an old debt enters the ladder once, at the step of its age"


def test_a_debt_older_than_the_ladder_becomes_work_for_a_person(world: World) -> None:
    world.party(backfill=True)
    world.invoice("OLD", "99.00 EUR", due="2030-12-01", backfill=True)
    world.advance_to("2031-03-04")
    assert world.new_events().count("work_item.created") == 1
    assert not world.mail.sent


def test_a_contact_over_the_cap_waits_and_a_payment_cancels_it(world: World) -> None:
    overdue(world)
    world.advance_to("2031-03-10")
    for number, due in ((2, "2031-03-08"), (3, "2031-03-09")):
        world.invoice(f"INV-{number}", "50.00 EUR", due=due)
    world.advance_to("2031-03-12")
    names = world.new_events()
    assert len(world.mail.sent) == 2, "two in seven days"
    assert "contact.deferred" in names
    world.payment("50.00 EUR", for_="INV-3")
    names = world.new_events()
    assert "contact.cancelled" in names
    assert len(world.mail.sent) == 2


def test_a_contact_over_the_cap_leaves_when_the_cap_allows_and_never_twice(world: World) -> None:
    overdue(world)
    world.advance_to("2031-03-10")
    for number, due in ((2, "2031-03-08"), (3, "2031-03-09")):
        world.invoice(f"INV-{number}", "50.00 EUR", due=due)
    world.advance_to("2031-03-16")
    assert len(world.mail.sent) == 2
    world.advance_to("2031-03-17")
    assert len(world.mail.sent) == 3
    assert len({mail.contact_id for mail in world.mail.sent}) == 3
