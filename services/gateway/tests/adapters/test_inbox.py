"""Replies and stop words, on real PostgreSQL."""

from __future__ import annotations

import pytest
from gateway.application.errors import ContactNotFound

from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as pb
from duly.gateway.v1 import inbox_service_pb2 as inbox

pytestmark = pytest.mark.postgres


def message(body: str, **changes) -> inbox.IngestMessageRequest:
    values = {
        "tenant_id": "acme",
        "idempotency_key": "m-1",
        "contact_id": "C-T-D-1",
        "channel": types.CHANNEL_EMAIL,
        "body": body,
    }
    return inbox.IngestMessageRequest(**(values | changes))


def test_a_reply_is_told_with_the_contact_it_answers(world):
    world.ready()
    world.ask()
    world.settle()
    assert not world.call("IngestMessage", message("I will pay on Friday")).stopped
    world.settle()
    envelope, reply = world.told()[-1]
    assert (reply.contact_id, reply.debtor_id, reply.body) == ("C-T-D-1", "D-1", "I will pay on Friday")
    assert envelope.causation_id == "planned-T-D-1"


def test_stop_calls_everything_off_at_once_and_denies_what_comes_later(world):
    world.ready()
    world.ask()
    waiting = world.ask(treatment="T-2")
    assert waiting.state == pb.CONTACT_STATE_WAITING
    answer = world.call("IngestMessage", message("STOP"))
    assert answer.stopped
    assert (world.state(), world.state("C-T-2")) == ("CANCELLED", "CANCELLED")
    later = world.ask(treatment="T-3")
    assert [hit.rule_id for hit in later.decision.hits] == ["DULY-STOP"]
    world.settle()
    assert world.channel.sent == []
    assert sorted(world.events()) == ["consent.revoked", "contact.deferred", "contact.denied", "reply.received"]


def test_the_same_message_twice_is_one(world):
    world.ready()
    world.ask()
    first = world.call("IngestMessage", message("STOP"))
    again = world.call("IngestMessage", message("STOP"))
    assert again.idempotent_replayed
    assert again.message_id == first.message_id
    world.settle()
    assert world.events().count("reply.received") == 1


def test_a_contact_of_another_debtor_is_not_guessed_at(world):
    world.ready("D-1", "D-2")
    world.ask()
    with pytest.raises(ContactNotFound):
        world.call("IngestMessage", message("hello", debtor_id="D-2"))
