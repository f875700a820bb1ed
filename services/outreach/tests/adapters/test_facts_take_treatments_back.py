"""Nothing is sent for what is paid or disputed, and a reversal brings it all back."""

from datetime import time

import pytest

from duly.contact.v1 import events_pb2 as contact
from duly.ledger.v1 import events_pb2 as ledger
from duly.outreach.v1 import events_pb2 as pb

pytestmark = pytest.mark.postgres


@pytest.fixture
def planned(world):
    """A reminder was planned and the gateway was asked; nothing was sent yet."""
    world.party()
    world.invoice("INV-1")
    world.play_day("2026-06-04")
    world.names()
    return world


def test_a_payment_cancels_the_requested_contact_here_and_at_the_gateway(planned):
    world = planned
    received = world.payment("P-1")
    world.allocation("P-1", "INV-1")
    world.run()

    assert world.names() == ["contact.cancelled", "invoice.paid"]
    cancelled = world.last("contact.cancelled")[1]
    assert (cancelled.reason, cancelled.cause_event_id) == (pb.CANCEL_REASON_PAID, received)
    assert [c.contact_id for c in world.gateway.cancels] == [world.gateway.contacts[0].contact_id]
    world.play_until("2026-06-12")
    assert world.names() == ["case.closed"]


def test_a_payment_between_planning_and_request_leaves_nothing_to_ask_for(world):
    world.party()
    world.invoice("INV-1")
    world.gateway.down = True
    world.tick("2026-06-04")
    world.clock.advance(1000)
    world.execute("update gateway_call set attempts = 0")  # as if the process had died before the first try
    world.pay("INV-1")
    world.consumer.step(0)
    world.gateway.down = False
    world.run()

    assert world.gateway.requests == []
    assert world.gateway.cancels == []
    assert world.rows("select state, cancel_reason from treatment") == [{"state": "CANCELLED", "cancel_reason": "PAID"}]


def test_a_dispute_cancels_and_the_invoice_stays_off_the_ladder_until_it_is_resolved(planned):
    world = planned
    world.dispute("INV-1")
    world.run()
    assert world.names() == ["contact.cancelled"]
    assert world.last("contact.cancelled")[1].reason == pb.CANCEL_REASON_DISPUTE
    world.play_until("2026-06-09")
    assert len(world.gateway.contacts) == 1

    world.publish(ledger.InvoiceDisputeResolved(invoice_id="INV-1", debtor_id="D-1", on="2026-06-09"))
    world.play_day("2026-06-10")
    assert len(world.gateway.contacts) == 2


@pytest.mark.parametrize("fact", ["void", "write_off"])
def test_a_void_or_a_write_off_cancels_without_saying_paid(planned, fact):
    world = planned
    if fact == "void":
        world.publish(ledger.InvoiceVoided(invoice_id="INV-1", debtor_id="D-1", on="2026-06-04"))
    else:
        off = ledger.InvoiceWrittenOff(
            write_off_id="W-1", invoice_id="INV-1", debtor_id="D-1", reason=ledger.WRITE_OFF_REASON_BAD_DEBT
        )
        off.amount.amount_minor, off.amount.currency = 24000, "EUR"
        world.publish(off)
    world.run()

    assert world.names() == ["contact.cancelled"]


def revise(world, invoice_id, due, amount=24000):
    revised = ledger.InvoiceRevised(invoice_id=invoice_id, debtor_id="D-1", due_date=due)
    revised.total.amount_minor, revised.total.currency = amount, "EUR"
    return world.publish(revised)


def test_a_due_date_moved_into_the_future_takes_the_reminder_back_until_it_has_come(planned):
    world = planned
    cause = revise(world, "INV-1", due="2026-07-01")
    world.run()

    assert world.names() == ["contact.cancelled"]
    cancelled = world.last("contact.cancelled")[1]
    assert (cancelled.reason, cancelled.cause_event_id) == (pb.CANCEL_REASON_SUPERSEDED, cause)
    assert [c.contact_id for c in world.gateway.cancels] == [world.gateway.contacts[0].contact_id]
    world.play_until("2026-07-03")
    assert len(world.gateway.contacts) == 1
    world.play_until("2026-07-06")
    assert len(world.gateway.contacts) == 2


def test_a_revision_that_leaves_the_invoice_overdue_cancels_nothing(planned):
    revise(planned, "INV-1", due="2026-06-03", amount=12000)
    planned.run()

    assert planned.names() == []


def test_when_one_of_two_invoices_is_postponed_the_other_is_asked_for_alone(world):
    world.party()
    world.invoice("A")
    world.invoice("B")
    world.play_day("2026-06-04")
    revise(world, "B", due="2026-07-01")
    world.play_day("2026-06-05")

    assert [sorted(c.invoice_ids) for c in world.gateway.contacts] == [["A", "B"], ["A"]]
    assert len(world.gateway.cancels) == 1


def test_a_part_payment_cancels_nothing(planned):
    planned.payment("P-1", "40.00")
    planned.allocation("P-1", "INV-1", "40.00")
    planned.run()

    assert planned.names() == []


def test_at_20_of_three_listed_invoices_two_are_paid_and_the_third_is_still_asked_for(world):
    world.party()
    for name in ("A", "B", "C"):
        world.invoice(name)
    world.play_day("2026-06-04")
    world.pay("A")
    world.pay("C")
    world.run()
    world.play_day("2026-06-05")

    assert [sorted(c.invoice_ids) for c in world.gateway.contacts] == [["A", "B", "C"], ["B"]]
    assert len(world.gateway.cancels) == 1


def test_a_reversal_opens_invoice_case_and_ladder_position_again(world):
    world.party()
    world.invoice("INV-1")
    world.play_until("2026-06-04")
    world.pay("INV-1")
    world.play_day("2026-06-05")
    first_case = world.last("case.closed")[1].case_id
    world.names()

    world.publish(ledger.AllocationRemoved(allocation_id="P-INV-1-INV-1", invoice_id="INV-1", debtor_id="D-1"))
    reversal = ledger.PaymentReversed(reversal_id="R-1", payment_id="P-INV-1", debtor_id="D-1")
    reversal.amount.amount_minor, reversal.amount.currency = 24000, "EUR"
    world.publish(reversal)
    world.play_day("2026-06-09")
    assert world.names() == ["invoice.overdue", "case.opened"]
    assert world.last("case.opened")[1].case_id == first_case

    world.play_until("2026-06-11")
    assert [c.step_no for c in world.gateway.contacts] == [1, 2]


def test_a_reversal_without_a_removal_opens_the_invoice_too(world):
    world.party()
    world.invoice("INV-1")
    world.pay("INV-1")
    reversal = ledger.PaymentReversed(reversal_id="R-1", payment_id="P-INV-1", debtor_id="D-1")
    reversal.amount.amount_minor, reversal.amount.currency = 24000, "EUR"
    world.publish(reversal)
    world.run()

    assert world.rows("select open_minor from invoice") == [{"open_minor": 24000}]


def test_a_later_episode_is_a_case_of_its_own(world):
    world.party()
    world.invoice("INV-1")
    world.play_until("2026-06-04")
    world.pay("INV-1")
    world.invoice("INV-2", due="2026-06-15")
    world.play_until("2026-06-16")

    assert [row["episode"] for row in world.rows("select episode from debt_case order by episode")] == [1, 2]


def test_a_new_step_replaces_the_contact_that_still_waits(planned):
    world = planned
    world.publish(contact.ContactDeferred(contact_id=world.gateway.contacts[0].contact_id, debtor_id="D-1"))
    world.play_until("2026-06-11", deliver=False)

    live = [row["step_no"] for row in world.rows("select step_no from treatment where state = 'REQUESTED'")]
    assert live == [2]
    reasons = {m.reason for _, m in world.all_events() if isinstance(m, pb.ContactCancelled)}
    assert reasons == {pb.CANCEL_REASON_SUPERSEDED}
    assert len(world.gateway.cancels) == len(world.gateway.contacts) - 1


def test_an_unknown_outcome_counts_as_sent(planned):
    world = planned
    request = world.gateway.contacts[0]
    unknown = contact.ContactUnknown(contact_id=request.contact_id, attempt_id="A-1", debtor_id="D-1")
    unknown.at.CopyFrom(request.not_before)
    world.publish(unknown)
    world.play_until("2026-06-10", deliver=False)

    assert len(world.gateway.contacts) == 1
    assert world.rows("select step_sent from invoice") == [{"step_sent": 1}]


def test_a_permanent_refusal_closes_the_address(planned):
    world = planned
    request = world.gateway.contacts[0]
    failed = contact.ContactFailed(contact_id=request.contact_id, attempt_id="A-1", debtor_id="D-1", permanent=True)
    failed.at.CopyFrom(request.not_before)
    world.publish(failed)
    world.play_until("2026-06-10", deliver=False)

    assert len(world.gateway.contacts) == 1
    assert world.last("work_item.created")[1].kind == "find_address"


def test_a_denied_contact_ends_its_treatment_and_is_planned_anew_another_day(planned):
    world = planned
    world.publish(contact.ContactDenied(contact_id=world.gateway.contacts[0].contact_id, debtor_id="D-1"))
    world.tick("2026-06-04", at=time(14, 0))
    assert len(world.gateway.contacts) == 1

    world.play_day("2026-06-05")
    assert len(world.gateway.contacts) == 2


def test_a_held_contact_is_one_work_item_and_is_not_asked_for_again(planned):
    world = planned
    world.publish(
        contact.ContactHeld(
            contact_id=world.gateway.contacts[0].contact_id, debtor_id="D-1", rule_ids=["DULY-DEGRADED"]
        )
    )
    world.play_until("2026-06-09", deliver=False)

    assert len(world.gateway.contacts) == 1
    assert [m.kind for _, m in world.all_events() if isinstance(m, pb.WorkItemCreated)] == ["decide_contact"]


def test_after_a_stop_nothing_is_planned(world):
    world.party()
    world.invoice("INV-1")
    world.publish(contact.ConsentRevoked(debtor_id="D-1"))
    world.play_until("2026-06-10")

    assert world.gateway.contacts == []
    assert world.last("work_item.created")[1].kind == "no_channel_left"


def test_a_kill_switch_stops_planning_until_it_is_released(world):
    world.party()
    world.invoice("INV-1")
    world.publish(contact.KillSwitchChanged(scope="tenant", scope_id="acme", on=True), "")
    world.play_until("2026-06-05")
    assert world.gateway.contacts == []

    world.publish(contact.KillSwitchChanged(scope="tenant", scope_id="acme", on=False), "")
    world.play_day("2026-06-08")
    assert len(world.gateway.contacts) == 1


def test_a_reply_is_work_for_a_person_and_its_text_goes_nowhere(world, capfd):
    world.publish(contact.ReplyReceived(message_id="M-1", debtor_id="D-1", body="my secret reason"))
    world.run()

    item = world.last("work_item.created")[1]
    assert (item.kind, "secret" in str(item)) == ("answer_reply", False)
    assert "secret" not in "".join(capfd.readouterr())
