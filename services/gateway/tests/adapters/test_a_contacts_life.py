"""What becomes of a requested contact, on real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from duly_runtime.clock import PolicyClockUnset
from gateway.application.errors import ContactExists, DebtorNotFound, InvalidRequest
from gateway.domain.contact import NotSent, Refused, Unknown

from duly.contact.v1 import events_pb2 as contact_events
from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as pb

pytestmark = pytest.mark.postgres
NIGHT = datetime(2031, 3, 4, 3, 0, tzinfo=UTC)


def test_an_allowed_contact_is_reserved_then_sent_once_and_told(world):
    world.ready()
    assert world.ask().state == pb.CONTACT_STATE_RESERVED
    world.settle()
    assert world.state() == "ACCEPTED"
    assert [sent.address for sent in world.channel.sent] == ["D-1@debtors.example"]
    assert world.events() == ["contact.sent"]
    envelope, sent = world.told()[0]
    assert envelope.causation_id == "planned-T-D-1"
    assert sent.amount_claimed[0].amount_minor == 24000
    assert sent.sent_at.ToDatetime().hour == 15
    assert world.gateway.status().work == 0


def test_the_message_shows_the_amounts_of_the_fold_at_send(world):
    world.ready()
    world.ask()
    world.payment("D-1", "INV-D-1", 4000)
    world.gateway.loops[0].step(0)
    world.settle()
    assert "200.00 USD" in world.channel.sent[0].rendered.text
    assert "reply STOP" in world.channel.sent[0].rendered.text
    assert world.contact().amount_claimed[0].amount_minor == 20000


def test_at_night_the_contact_waits_and_is_asked_again_when_the_day_opens(world):
    world.ready(now=NIGHT)
    answer = world.ask()
    assert answer.state == pb.CONTACT_STATE_WAITING
    assert [hit.rule_id for hit in answer.decision.hits] == ["DULY-QUIET"]
    world.settle()
    assert world.channel.sent == []
    assert world.gateway.status().work == 0
    world.tick("2031-03-04", NIGHT + timedelta(hours=12))
    world.settle()
    assert world.state() == "ACCEPTED"
    assert world.events() == ["contact.deferred", "contact.sent"]


def test_a_payment_after_the_reservation_denies_the_claim_and_names_the_rule(world):
    world.ready()
    world.ask()
    world.payment("D-1", "INV-D-1")
    world.gateway.loops[0].step(0)
    world.settle()
    assert world.state() == "DENIED"
    assert world.channel.sent == []
    _, denied = world.told()[0]
    assert isinstance(denied, contact_events.ContactDenied)
    assert list(denied.rule_ids) == ["DULY-PAID"]


def test_a_dispute_after_the_reservation_denies_the_claim(world):
    from duly.ledger.v1 import events_pb2 as ledger
    from duly.money.v1.money_pb2 import Money

    world.ready()
    world.ask()
    dispute = ledger.InvoiceDisputed(
        invoice_id="INV-D-1", debtor_id="D-1", amount=Money(amount_minor=1, currency="USD"), on="2031-03-04"
    )
    world.fact("D-1", dispute)
    world.gateway.loops[0].step(0)
    world.settle()
    assert world.state() == "DENIED"
    assert world.channel.sent == []


def test_a_second_contact_of_the_day_waits_for_the_next_and_reservations_count(world):
    world.ready()
    world.ask()
    second = world.ask(treatment="T-2")
    assert second.state == pb.CONTACT_STATE_WAITING
    assert [hit.rule_id for hit in second.decision.hits] == ["DULY-CAP"]
    world.settle()
    assert len(world.channel.sent) == 1


def test_a_treatment_has_one_contact(world):
    world.ready()
    world.ask()
    with pytest.raises(ContactExists):
        world.ask(idempotency_key="another", contact_id="another")


def test_an_unknown_debtor_leaves_no_trace_and_the_key_stays_free(world):
    world.ready()
    with pytest.raises(DebtorNotFound):
        world.ask("D-2")
    world.debtor("D-2")
    world.invoice("D-2", "INV-D-2")
    world.settle()
    assert world.ask("D-2").state == pb.CONTACT_STATE_RESERVED


def test_an_action_that_is_not_automatic_is_held_for_a_person(world):
    world.ready()
    assert world.ask(action="escalated_tone").state == pb.CONTACT_STATE_HELD
    world.settle()
    assert world.events() == ["contact.held"]
    assert world.channel.sent == []


def test_what_was_not_sent_is_tried_again_after_a_back_off_as_the_same_attempt(world):
    world.ready()
    world.channel.outcomes = [NotSent("connect: refused")]
    world.ask()
    world.settle()
    assert world.state() == "RESERVED"
    assert world.gateway.status().work == 1
    world.clock.advance(1.5)
    world.settle()
    assert world.state() == "ACCEPTED"
    first, second = world.channel.sent
    assert first.attempt.attempt_id == second.attempt.attempt_id
    assert second.attempt.fence == first.attempt.fence + 1


def test_a_refusal_for_the_moment_is_bounded(world):
    world.ready()
    world.channel.outcomes = [Refused("451 later", permanent=False)] * 3
    world.ask()
    for _ in range(5):
        world.settle()
        world.clock.advance(61)
    assert world.state() == "REFUSED"
    assert len(world.channel.sent) == 3
    assert world.events() == ["contact.failed"]


def test_an_address_that_does_not_exist_is_not_written_to_again(world):
    world.ready()
    world.channel.outcomes = [Refused("550 5.1.1 no such mailbox", permanent=True)]
    world.ask()
    world.settle()
    assert world.state() == "REFUSED"
    again = world.ask(treatment="T-2")
    assert [hit.rule_id for hit in again.decision.hits] == ["DULY-ADDR"]


def test_a_lost_answer_is_unknown_counts_and_is_never_tried_again(world):
    world.ready()
    world.channel.outcomes = [Unknown("data: timeout")]
    world.ask()
    world.settle()
    world.clock.advance(3600)
    world.settle()
    assert world.state() == "UNKNOWN"
    assert len(world.channel.sent) == 1
    assert world.events() == ["contact.unknown"]
    assert world.ask(treatment="T-2").state == pb.CONTACT_STATE_WAITING


def test_a_crash_between_claim_and_answer_is_unknown_after_the_lease(world):
    world.ready()
    world.ask()
    world.channel.outcomes = [SystemExit()]  # the process dies while the provider has the message
    with pytest.raises(SystemExit):
        world.settle()
    world.restart()
    world.settle()
    assert world.state() == "IN_FLIGHT"
    assert world.gateway.status().work == 1
    world.clock.advance(31)
    world.settle()
    assert world.state() == "UNKNOWN"
    assert len(world.channel.sent) == 1
    assert world.events() == ["contact.unknown"]


def test_an_answer_that_comes_after_the_lease_changes_nothing(world):
    world.ready()
    world.ask()
    due = world.gateway.dispatch.due(10)[0]
    handover = world.gateway.dispatch.claim(due)
    world.clock.advance(31)
    (overdue,) = world.gateway.dispatch.expired(10)
    assert world.gateway.dispatch.expire(overdue) is not None
    assert world.gateway.dispatch.expire(overdue) is None
    from gateway.domain.contact import Accepted

    assert world.gateway.dispatch.record(handover, Accepted("late")).late
    world.settle()
    assert world.state() == "UNKNOWN"
    assert world.events() == ["contact.unknown"]


def test_an_answer_for_an_older_try_does_not_settle_the_one_under_way(world):
    from gateway.domain.contact import Accepted

    world.ready()
    world.ask()
    first = world.gateway.dispatch.claim(world.gateway.dispatch.due(1)[0])
    world.gateway.dispatch.record(first, NotSent("connect: refused"))
    world.clock.advance(1.5)
    second = world.gateway.dispatch.claim(world.gateway.dispatch.due(1)[0])
    assert world.gateway.dispatch.record(first, Refused("550 stale", permanent=True)).late
    assert world.state() == "IN_FLIGHT"
    assert not world.gateway.dispatch.record(second, Accepted("ok")).late
    assert world.state() == "ACCEPTED"


def test_a_cancelled_contact_is_not_sent_and_frees_its_place(world):
    world.ready()
    world.ask()
    request = pb.CancelContactRequest(tenant_id="acme", idempotency_key="c", contact_id="C-T-D-1", reason="superseded")
    assert world.call("CancelContact", request).state == pb.CONTACT_STATE_CANCELLED
    assert world.call("CancelContact", request).idempotent_replayed
    assert world.ask(treatment="T-2").state == pb.CONTACT_STATE_RESERVED
    world.settle()
    assert [sent.contact.contact_id for sent in world.channel.sent] == ["C-T-2"]


def test_cancelling_too_late_says_what_became_of_it(world):
    world.ready()
    world.ask()
    world.settle()
    request = pb.CancelContactRequest(tenant_id="acme", idempotency_key="c", contact_id="C-T-D-1", reason="paid")
    assert world.call("CancelContact", request).state == pb.CONTACT_STATE_ACCEPTED


def test_a_malformed_request_names_its_field(world):
    world.ready()
    for field, change in {
        "template_id": {"template_id": "no-such"},
        "channel": {"channel": 4},
        "invoice_ids": {"invoice_ids": []},
        "idempotency_key": {"idempotency_key": ""},
    }.items():
        with pytest.raises(InvalidRequest) as caught:
            world.ask(**change)
        assert caught.value.field == field


def test_an_invoice_that_was_given_more_time_is_not_claimed_by_a_contact_that_waited(world):
    world.ready(now=NIGHT)
    world.invoice("D-1", "INV-2", minor=5000)
    world.settle()
    assert world.ask(invoice_ids=["INV-D-1", "INV-2"]).state == pb.CONTACT_STATE_WAITING
    revise(world, "INV-D-1", "2031-03-04")  # due today is not overdue
    world.tick("2031-03-04", NIGHT + timedelta(hours=12))
    world.settle()
    assert world.contact().amount_claimed[0].amount_minor == 5000
    assert "INV-D-1" not in world.channel.sent[0].rendered.text


def test_a_contact_whose_every_invoice_was_given_more_time_is_denied(world):
    world.ready(now=NIGHT)
    world.ask()
    revise(world, "INV-D-1", "2031-05-01")
    world.tick("2031-03-04", NIGHT + timedelta(hours=12))
    world.settle()
    assert (world.state(), world.channel.sent) == ("DENIED", [])
    _, denied = world.told()[-1]
    assert list(denied.rule_ids) == ["DULY-PAID"]


def test_an_invoice_that_became_overdue_with_the_callers_tick_is_claimed_before_we_have_read_it(world):
    world.ready(now=NIGHT)
    world.invoice("D-1", "INV-2", due="2031-03-04")
    world.settle()
    request = world.request(invoice_ids=["INV-2"])
    request.as_of.FromDatetime(NIGHT + timedelta(hours=12))
    assert world.call("RequestContact", request).state == pb.CONTACT_STATE_DENIED
    request = world.request(invoice_ids=["INV-2"], treatment="T-2")
    request.as_of.FromDatetime(NIGHT + timedelta(hours=36))
    assert world.call("RequestContact", request).state == pb.CONTACT_STATE_RESERVED


def revise(world, invoice: str, due: str) -> None:
    from duly.ledger.v1 import events_pb2 as ledger
    from duly.money.v1.money_pb2 import Money

    total = Money(amount_minor=24000, currency="USD")
    world.fact("D-1", ledger.InvoiceRevised(invoice_id=invoice, debtor_id="D-1", number=invoice, due_date=due,
                                            total=total))  # fmt: skip


@pytest.mark.parametrize(("as_of", "taken"), [
    ("2031-03-05T15:00:00Z", True), ("2031-03-06T23:59:59Z", True), ("2031-03-07T00:00:00Z", False),
    ("9999-12-31T23:59:59Z", False),
])  # fmt: skip
def test_a_caller_may_be_one_tick_ahead_and_no_more(world, as_of, taken):
    world.ready()
    request = world.request()
    request.as_of.FromJsonString(as_of)
    if taken:
        world.call("RequestContact", request)
        assert world.gateway.status().clock == as_of
        return
    with pytest.raises(InvalidRequest) as caught:
        world.call("RequestContact", request)
    assert caught.value.field == "as_of"
    assert world.gateway.status().clock == "2031-03-04T15:00:00Z"


def test_before_the_first_tick_nobody_starts_the_clock(world):
    world.debtor("D-1")
    world.invoice("D-1", "INV-D-1")
    world.settle()
    request = world.request()
    request.as_of.FromJsonString("9999-12-31T23:59:59Z")
    with pytest.raises(PolicyClockUnset):
        world.call("RequestContact", request)
    assert world.gateway.status().clock == ""


def test_a_channel_that_is_not_on_is_refused_and_reaches_nobody_in_the_gate(world):
    world.ready()
    for channel in (types.CHANNEL_CONSOLE, types.CHANNEL_NOOP):
        with pytest.raises(InvalidRequest) as caught:
            world.ask(channel=channel)
        assert caught.value.field == "channel"
        question = pb.EvaluateGateRequest(
            tenant_id="acme", debtor_id="D-1", invoice_ids=["INV-D-1"], channel=channel, purpose="collection",
            action="reminder",
        )  # fmt: skip
        answer = world.call("EvaluateGate", question).decision
        assert [hit.rule_id for hit in answer.hits] == ["DULY-ADDR"]


def test_the_callers_policy_clock_pulls_ours_forward_and_survives_a_restart(world):
    world.ready(now=NIGHT)
    request = world.request()
    request.as_of.FromJsonString("2031-03-04T15:00:00Z")
    assert world.call("RequestContact", request).state == pb.CONTACT_STATE_RESERVED
    world.restart()
    assert world.gateway.status().clock == "2031-03-04T15:00:00Z"


def test_the_decision_is_kept_with_its_input_and_cannot_be_changed(world):
    import hashlib

    import psycopg
    from duly_policy import canonical_decision_json, evaluate, gate_input_from_json, load_packs

    world.ready()
    world.ask()
    world.settle()
    with psycopg.connect(world.dsn) as connection:
        rows = connection.execute("select input, input_sha256, decision from gate_decision").fetchall()
        for text, sha256, decision in rows:
            assert hashlib.sha256(text.encode()).hexdigest() == sha256
            replayed = evaluate(gate_input_from_json(text), load_packs("duly-default"))
            assert canonical_decision_json(replayed) == decision
        assert rows
        with pytest.raises(psycopg.errors.RaiseException):
            connection.execute("update gate_decision set answer = 'ALLOW'")
