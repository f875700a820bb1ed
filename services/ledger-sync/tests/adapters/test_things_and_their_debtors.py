"""A thing belongs to one debtor: whoever reads the facts keys invoices, allocations and write-offs by id alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_testing.eventually import eventually
from ledger_sync.adapters.postgres.recording import PostgresRecordingStore
from ledger_sync.application.delivery import Delivery, Framing
from ledger_sync.application.record_facts import THING_OF_OTHER_DEBTOR, record_delivery

pytestmark = pytest.mark.postgres
AT = datetime(2031, 3, 1, 9, 30, tzinfo=UTC)


def put_aside(world: Any) -> list[tuple[str, str]]:
    return [(event.event_id, event.code) for event in world.parts.quarantine.newest("demo", 10)]


def write_off(events: Any, debtor: str) -> dict[str, Any]:
    amount = {"amountMinor": "100", "currency": "EUR"}
    data = {"writeOffId": "W-1", "invoiceId": "I-1", "amount": amount, "on": "2031-03-02", "reason": 1}
    return events.event("invoice.written_off", data, debtor)


def test_what_belongs_to_one_debtor_is_refused_for_another(world: Any, events: Any) -> None:
    world.send(events.invoice(), events.payment(), events.allocation(minor=100), write_off(events, "D-1"))
    world.settle()
    emitted = world.names()
    others = [
        events.invoice(debtor="D-2"),
        events.payment(debtor="D-2"),
        events.allocation(debtor="D-2"),
        write_off(events, "D-2"),
        events.removal(debtor="D-2"),
    ]
    world.send(*others, events.invoice("I-2", debtor="D-2"))
    world.settle()
    assert sorted(put_aside(world)) == sorted((event["id"], THING_OF_OTHER_DEBTOR) for event in others)
    assert world.names() == [*emitted, "invoice.issued"]
    assert world.rows("select debtor_id, invoice_id from invoice order by 1") == [
        {"debtor_id": "D-1", "invoice_id": "I-1"},
        {"debtor_id": "D-2", "invoice_id": "I-2"},
    ]


def test_of_two_debtors_in_one_delivery_the_first_has_the_thing(world: Any, events: Any) -> None:
    first, second = events.invoice(debtor="D-2"), events.invoice(debtor="D-1")
    world.send(first, second)
    world.settle()
    assert put_aside(world) == [(second["id"], THING_OF_OTHER_DEBTOR)]
    assert world.rows("select debtor_id from invoice") == [{"debtor_id": "D-2"}]


def test_a_dispute_of_an_invoice_nobody_issued_yet_makes_it_nobodys(world: Any, events: Any) -> None:
    dispute = {"invoiceId": "I-1", "amount": {"amountMinor": "100", "currency": "EUR"}, "on": "2031-03-02"}
    world.send(events.event("invoice.disputed", dispute, "D-2"))
    world.settle()
    world.send(events.invoice(debtor="D-1"))
    world.settle()
    assert world.names() == ["invoice.issued"]
    assert [event.code for event in world.parts.quarantine.newest("demo", 10)] == ["invoice_missing"]


def test_a_revision_of_ones_own_thing_is_no_conflict(world: Any, events: Any) -> None:
    world.send(events.invoice(minor=10000))
    world.settle()
    world.send(events.invoice(minor=12000), events.invoice(minor=13000))
    world.settle()
    assert put_aside(world) == []
    assert world.rows("select total_minor from invoice") == [{"total_minor": 13000}]


def test_of_two_recorders_at_once_the_second_sees_whose_the_thing_is(
    make_world: Callable[[], Any], events: Any
) -> None:
    world = make_world()
    database = world.parts.database

    def delivery(number: int, *batch: Any) -> Delivery:
        return Delivery("demo", f"d-{number}", f"c-{number}", Framing.BATCH, {}, json.dumps(batch).encode(), AT)

    def record(number: int, *batch: Any) -> None:
        with database.unit_of_work() as uow:
            record_delivery(delivery(number, *batch), PostgresRecordingStore(uow))

    def somebody_waits() -> bool:
        waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        with database.reading() as connection:
            return connection.execute(waiting).fetchone() is not None

    with ThreadPoolExecutor(1) as pool:
        with database.unit_of_work() as uow:
            record_delivery(delivery(1, events.invoice(debtor="D-1")), PostgresRecordingStore(uow))
            second = pool.submit(record, 2, events.invoice(debtor="D-2"))
            eventually(somebody_waits, 10)
        second.result(10)
    assert [code for _, code in put_aside(world)] == [THING_OF_OTHER_DEBTOR]
    assert world.rows("select debtor_id from invoice") == [{"debtor_id": "D-1"}]
