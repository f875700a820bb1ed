"""A fault nobody foresaw stays with the contact it is of, on real PostgreSQL."""

from __future__ import annotations

from datetime import UTC

import pytest
from gateway.adapters.postgres.store import PostgresStore

from duly.contact.v1 import events_pb2 as contact_events

pytestmark = pytest.mark.postgres


@pytest.fixture
def faulty(world, monkeypatch):
    """Reading this debtor's picture fails, in a way that no handler expects."""
    debtors = set()
    picture = PostgresStore.picture

    def reading(store, tenant, debtor_id, *rest):
        if debtor_id in debtors:
            raise RuntimeError("D-1@debtors.example broke it")
        return picture(store, tenant, debtor_id, *rest)

    monkeypatch.setattr(PostgresStore, "picture", reading)
    return debtors


def test_a_channel_that_breaks_on_one_contact_leaves_the_others_alone(world):
    world.ready("D-1", "D-2", "D-3")
    world.channel.before = lambda handover: 1 / (handover.contact.debtor_id != "D-2")
    for debtor in ("D-1", "D-2", "D-3"):
        world.ask(debtor)
    world.settle()
    assert [world.state(f"C-T-D-{n}") for n in (1, 2, 3)] == ["ACCEPTED", "UNKNOWN", "ACCEPTED"]
    assert len(world.channel.sent) == 2
    unknown = next(m for _, m in world.told() if isinstance(m, contact_events.ContactUnknown))
    assert unknown.provider_code == "fault: ZeroDivisionError"
    world.clock.advance(3600)
    world.settle()
    assert world.state("C-T-D-2") == "UNKNOWN"


def test_an_answer_that_cannot_be_recorded_is_unknown(world, monkeypatch):
    world.ready()
    world.ask()

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr("gateway.application.dispatch._accepted", fail)
    world.settle()
    assert world.state() == "UNKNOWN"
    assert len(world.channel.sent) == 1


def test_a_claim_that_breaks_is_tried_a_few_times_and_nothing_is_sent(world, faulty):
    world.ready("D-1", "D-2")
    world.ask("D-1")
    world.ask("D-2")
    faulty.add("D-1")
    world.settle()
    assert (world.state(), world.state("C-T-D-2")) == ("RESERVED", "ACCEPTED")
    for _ in range(5):
        world.clock.advance(61)
        world.settle()
    assert world.state() == "REFUSED"
    assert [sent.contact.debtor_id for sent in world.channel.sent] == ["D-2"]
    assert sorted(world.events()) == ["contact.failed", "contact.sent"]


def test_a_waiting_contact_whose_claim_broke_is_sent_once_it_works_again(world, faulty):
    world.ready("D-1")
    world.ask()
    second = world.ask(treatment="T-2")  # waits for the next day under the cap
    world.settle()
    faulty.add("D-1")
    until = second.decision.until.ToDatetime(UTC)
    world.tick(until.date().isoformat(), until)
    world.settle()
    assert world.state("C-T-2") == "RESERVED"
    faulty.clear()
    world.clock.advance(2)
    world.settle()
    assert world.state("C-T-2") == "ACCEPTED"
    assert len(world.channel.sent) == 2


def test_a_lease_that_cannot_be_ended_does_not_hold_up_the_others(world, monkeypatch):
    world.ready("D-1", "D-2")
    for debtor in ("D-1", "D-2"):
        world.ask(debtor)
    for due in world.gateway.dispatch.due(2):
        world.gateway.dispatch.claim(due)
    expire = world.gateway.dispatch.expire

    def expiring(seen):
        if seen.debtor_id == "D-1":
            raise RuntimeError
        return expire(seen)

    monkeypatch.setattr(world.gateway.dispatch, "expire", expiring)
    world.clock.advance(31)
    world.settle()
    assert (world.state(), world.state("C-T-D-2")) == ("IN_FLIGHT", "UNKNOWN")
