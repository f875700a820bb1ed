"""Everything may come twice and the process may die anywhere: the debtor hears of it once."""

import pytest
from outreach.domain import ledger as ledger_fold

from duly.ledger.v1 import events_pb2 as ledger

pytestmark = pytest.mark.postgres


def story(world):
    world.party()
    world.invoice("INV-1")
    world.invoice("INV-2", due="2026-06-05")
    world.play_until("2026-06-12")
    world.pay("INV-1")
    world.dispute("INV-2", "100.00")
    world.publish(ledger.InvoiceDisputeResolved(invoice_id="INV-2", debtor_id="D-1", on="2026-06-12"))
    world.play_until("2026-06-18")


def test_f11_a_replay_of_all_topics_with_an_empty_inbox_contacts_nobody(world):
    story(world)
    contacts, events = len(world.gateway.requests), len(world.all_events())
    invoices = world.rows("select * from invoice order by invoice_id")

    world.execute("truncate inbox")
    world.send_again()
    world.run()

    assert contacts > 0
    assert len(world.gateway.requests) == contacts
    assert len(world.all_events()) == events
    assert world.rows("select * from invoice order by invoice_id") == invoices


def test_a_repeated_event_has_no_second_effect(world):
    story(world)
    events = len(world.all_events())
    world.send_again()
    world.run()

    assert len(world.all_events()) == events


def test_a_crash_between_commit_and_request_asks_once_with_the_stored_key(world):
    world.party()
    world.invoice("INV-1")
    run, world.run = world.run, lambda: None
    world.tick("2026-06-04")
    while world.consumer.step(0):
        pass
    assert world.gateway.requests == []
    key = world.rows("select idempotency_key from gateway_call")[0]["idempotency_key"]

    world.restart()
    world.run = run
    world.run()
    assert [r.idempotency_key for r in world.gateway.requests] == [key]


def test_a_crash_during_the_call_repeats_the_same_bytes_at_once_after_the_restart(world):
    world.party()
    world.invoice("INV-1")
    world.gateway.dies_after_taking = True
    with pytest.raises(KeyboardInterrupt):
        world.tick("2026-06-04")
    world.gateway.dies_after_taking = False
    world.restart()
    world.run()

    first, second = world.gateway.requests
    assert first.SerializeToString() == second.SerializeToString()
    assert len(world.gateway.contacts) == 1


def test_a_payment_while_the_call_is_under_way_is_cancelled_after_it(world):
    world.party()
    world.invoice("INV-1")
    world.gateway.dies_after_taking = True
    with pytest.raises(KeyboardInterrupt):
        world.tick("2026-06-04")
    world.gateway.dies_after_taking = False
    world.pay("INV-1")
    while world.consumer.step(0):
        pass
    world.run()
    assert world.gateway.cancels == []  # the request may still be on its way: its lease has not ended

    world.restart()
    world.run()
    assert len(world.gateway.cancels) == 1
    assert len(world.gateway.requests) == 1


def test_while_the_gateway_is_away_calls_wait_and_then_go_out_once(world):
    world.party()
    world.invoice("INV-1")
    world.gateway.down = True
    world.tick("2026-06-04")
    for _ in range(5):
        world.clock.advance(60)
        world.run()
    assert world.service.status().work == 1

    world.gateway.down = False
    world.clock.advance(60)
    world.run()
    assert len(world.gateway.requests) == 1
    assert world.service.status().work == 0


def test_a_refused_request_is_a_work_item(world):
    world.party()
    world.invoice("INV-1")
    world.gateway.refuses = "INVALID_ARGUMENT"
    world.tick("2026-06-04")

    assert world.names()[-1] == "work_item.created"
    assert world.last("work_item.created")[1].kind == "contact_request_refused"
    assert world.rows("select state from treatment") == [{"state": "FAILED"}]
    assert world.service.status().work == 0


def test_an_unusable_record_makes_a_person_decide_about_its_debtor(world):
    world.party()
    world.invoice("INV-1", due="not a date")
    world.invoice("INV-2")
    world.run()
    assert len(world.log.records("ledger-events-dlq")) == 1

    world.play_until("2026-06-05")
    assert world.last("work_item.created")[1].kind == "decide_contact"
    assert world.gateway.contacts == []


def test_a_dead_letter_that_is_replayed_after_the_fix_takes_effect_and_frees_its_debtor(world, monkeypatch):
    world.party()
    with monkeypatch.context() as broken:
        broken.setattr(ledger_fold, "stated", lambda *_: [][0])
        world.invoice("INV-1")
        world.run()
    world.pay("INV-1", "40.00")
    world.run()
    (letter,) = world.log.records("ledger-events-dlq")
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers["dlq_service"] == "outreach"
    assert world.rows("select unusable_here from debtor") == [{"unusable_here": True}]
    own = [(name, value) for name, value in letter.headers if not name.startswith("dlq_")]
    world.log.producer("duly-dlq").send("ledger-events", letter.key, letter.value, own).result(1)
    world.run()

    assert world.rows("select unusable_here from debtor") == [{"unusable_here": False}]

    assert world.rows("select open_minor from invoice") == [{"open_minor": 20000}]
    world.play_until("2026-06-05")
    assert [c.step_no for c in world.gateway.contacts] == [1]


def test_without_its_database_it_is_not_ready(world):
    assert world.service.not_ready() == ""
    world.stop()
    assert world.service.not_ready() == "the database does not answer"


def test_status_names_positions_and_the_policy_instant_and_survives_a_restart(world):
    assert world.service.status().clock == ""
    world.party()
    world.tick("2026-06-04")
    before = world.service.status()
    assert (before.clock, before.outbox, before.work) == ("2026-06-04T08:00:00Z", 0, 0)
    assert sum(before.positions["ledger-events"].values()) == len(world.log.records("ledger-events"))

    world.restart()
    assert world.service.status() == before
