"""Nothing that was answered 2xx disappears: late facts and unreadable deliveries are named, and can be read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ledger_sync.application import map_delivery
from ledger_sync.application.fact_rules import FactInvalid
from ledger_sync.entrypoints import normaliser
from structlog.testing import capture_logs

pytestmark = pytest.mark.postgres

# As the README says it; the service is stopped meanwhile.
MOVE_BACK = """update consumer_position set next_offset = %s
    where consumer = 'ledger-sync-normaliser' and topic = 'ingress-raw' and "partition" = %s"""
FORGET = """delete from inbox
    where consumer = 'ledger-sync-normaliser' and topic = 'ingress-raw' and "partition" = %s and "offset" = %s"""


def execute(world: Any, statement: str, *parameters: object) -> None:
    with world.parts.database.unit_of_work() as uow:
        uow.connection.execute(statement, parameters)


def test_a_fact_that_comes_too_late_is_named_in_the_log(world: Any, events: Any) -> None:
    world.send(events.invoice(minor=10000, sourceversion="2031-03-01T12:00:00.250Z"))
    world.settle()
    world.send(events.invoice(minor=99999, sourceversion="2031-03-01T12:00:00Z"))
    with capture_logs() as lines:
        world.settle()
    (line,) = [line for line in lines if line["event"] == "ledger_sync.facts_stale"]
    assert (line["count"], len(line["facts"])) == (1, 1)
    assert "D-1" not in str(line)
    assert "99999" not in str(line)
    assert world.rows("select total_minor from invoice") == [{"total_minor": 10000}]


def test_the_later_of_two_instants_wins_even_with_a_fraction(world: Any, events: Any) -> None:
    world.send(events.invoice(minor=10000, sourceversion="2031-03-01T12:00:00Z"))
    world.send(events.invoice(minor=20000, sourceversion="2031-03-01T12:00:00.250Z"))
    world.settle()
    assert world.rows("select total_minor from invoice") == [{"total_minor": 20000}]


def test_a_batch_with_a_lone_surrogate_gets_in_but_for_that_event(world: Any, events: Any) -> None:
    bad = events.payment()
    bad["data"]["\ud800"] = 1
    world.send(events.invoice(), bad)
    world.settle()
    assert world.names() == ["invoice.issued"]
    assert [event.event_id for event in world.parts.quarantine.newest("demo", 10)] == [bad["id"]]


def test_a_delivery_that_could_not_be_read_is_in_the_quarantine_and_is_replayed_after_the_fix(
    make_world: Callable[[], Any], events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    with monkeypatch.context() as broken:
        broken.setattr(normaliser, "delivery_from", lambda message, envelope: None)
        receipt = world.send(events.invoice(), **{"x-duly-delivery": "night-1"})
        world.settle()
    (put_aside,) = world.parts.quarantine.newest("demo", 10)
    assert (put_aside.state, put_aside.code, put_aside.delivery_id) == ("rejected", "delivery_unusable", "night-1")
    assert "scheme_unknown" in put_aside.text
    assert receipt.delivery_id == "night-1"
    (letter,) = world.log.records("ingress-raw-dlq")
    again = make_world()
    own = [(name, value) for name, value in letter.headers if not name.startswith("dlq_")]
    again.log.producer("duly-dlq").send("ingress-raw", letter.key, letter.value, own).result(1)
    again.settle()
    assert again.names() == ["invoice.issued"]


def test_a_record_without_a_key_of_ours_does_not_stop_the_others(world: Any, events: Any) -> None:
    for key in (b"", b"\xff", b"demo", b"demo|erp|a|b"):
        world.log.producer("test").send("ingress-raw", key, b"", [], 0)
    world.send(events.invoice())
    world.settle()
    assert world.names() == ["invoice.issued"]
    assert len(world.log.records("ingress-raw-dlq")) == 4
    assert [event.delivery_id for event in world.parts.quarantine.newest("demo", 10)] == ["a|b"]


def test_after_a_mapping_fault_a_delivery_is_read_again_and_only_what_was_refused_is_new(
    make_world: Callable[[], Any], events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_invoices(message: Any) -> None:
        if hasattr(message, "invoice_id"):
            raise FactInvalid("field_invalid", "our own mistake")

    world = make_world()
    with monkeypatch.context() as broken:
        broken.setattr(map_delivery, "check", refuse_invoices)
        world.send(events.invoice(), events.payment())
        world.settle()
    assert world.names() == ["payment.received"]
    (raw,) = world.log.records("ingress-raw")
    execute(world, MOVE_BACK, raw.offset, raw.partition)
    stayed = make_world()
    stayed.settle()
    assert stayed.names() == ["payment.received"]  # the inbox knows the delivery
    execute(world, FORGET, raw.partition, raw.offset)
    execute(world, MOVE_BACK, raw.offset, raw.partition)
    again = make_world()
    again.settle()
    assert sorted(again.names()) == ["invoice.issued", "payment.received"]
    assert [event.event_id for event in world.parts.quarantine.newest("demo", 10)] == ["e-1"]  # the history stays
