"""From a delivery to `ledger-events`, on real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from ledger_sync.application.delivery import Rejection

pytestmark = pytest.mark.postgres


def test_a_paid_invoice_reaches_the_log_in_order_with_its_causes(world: Any, events: Any) -> None:
    world.tick("2031-03-01")
    receipt = world.send(events.party(), events.invoice(), events.payment(), events.allocation())
    world.settle()
    assert world.names() == ["party.upserted", "invoice.issued", "payment.received", "allocation.applied"]
    facts = [envelope for envelope, _ in world.emitted() if envelope.subject == "D-1"]
    assert {envelope.business_date for envelope in facts} == {date(2031, 3, 1)}
    assert len({envelope.causation_id for envelope in facts}) == 1
    assert {envelope.source for envelope in facts} == {"/tenants/demo/ledgers/erp"}
    assert [envelope.source_version for envelope in facts] == ["1", "2", "3", "4"]
    assert [result.event_id for result in receipt.results] == ["e-1", "e-2", "e-3", "e-4"]
    assert world.rows("select invoice_id, total_minor, open_minor from invoice") == [
        {"invoice_id": "I-1", "total_minor": 24000, "open_minor": 0}
    ]


def test_the_same_delivery_after_a_crash_before_the_answer_has_no_double_effect(world: Any, events: Any) -> None:
    batch = [events.invoice(), events.payment()]
    first = world.send(*batch)
    world.clock.advance(5)
    again = world.send(*batch)
    assert first.delivery_id == again.delivery_id
    kept = world.log.records("ingress-raw")
    assert len(kept) == 2
    assert len({(record.key, record.value, dict(record.headers)["ce_id"]) for record in kept}) == 1
    world.settle()
    assert len(world.log.records("ingress-raw")) == 2
    assert world.names() == ["invoice.issued", "payment.received"]


def test_a_full_replay_with_emptied_inbox_and_seen_events_emits_nothing(
    make_world: Callable[[], Any], events: Any
) -> None:
    world = make_world()
    world.send(events.invoice(), events.payment(), events.allocation(), events.removal())
    world.settle()
    before = world.rows("select * from ledger_fact order by aspect, thing_id")
    with world.parts.database.unit_of_work() as uow:
        for table in ("inbox", "consumer_position", "seen_event", "outbox"):
            uow.connection.execute(f"delete from {table}")
    again = make_world()
    again.settle()
    assert again.names() == ["invoice.issued", "payment.received", "allocation.applied", "allocation.removed"]
    assert again.rows("select * from ledger_fact order by aspect, thing_id") == before


def test_an_allocation_before_its_invoice_waits_and_counts_once_the_invoice_is_there(world: Any, events: Any) -> None:
    invoice = events.invoice()
    world.send(events.payment(), events.allocation())
    world.settle()
    assert world.names() == ["payment.received"]
    assert [row["code"] for row in world.rows("select code from held_fact")] == ["invoice_missing"]
    world.send(invoice)
    world.settle()
    assert world.names() == ["payment.received", "invoice.issued", "allocation.applied"]
    assert world.rows("select open_minor from invoice") == [{"open_minor": 0}]
    assert world.rows("select * from held_fact") == []


def test_an_over_allocation_is_held_and_the_debtor_marked_until_it_fits(world: Any, events: Any) -> None:
    world.tick("2031-03-01")
    world.send(events.invoice(), events.payment("P-1", 30000), events.payment("P-2"), events.allocation("A-1"))
    world.send(events.allocation("A-2", 6000))
    world.settle()
    assert world.names()[-1] == "ledger.drift_detected"
    assert world.rows("select degraded from debtor") == [{"degraded": True}]
    assert world.rows("select open_minor from invoice") == [{"open_minor": 0}]
    world.send(events.removal("A-1"))
    world.settle()
    assert world.names()[-3:] == ["allocation.removed", "allocation.applied", "ledger.drift_cleared"]
    assert world.rows("select open_minor from invoice") == [{"open_minor": 18000}]
    assert world.rows("select degraded from debtor") == [{"degraded": False}]


def test_an_allocation_in_a_foreign_currency_is_held_with_its_reason(world: Any, events: Any) -> None:
    wrong = events.allocation()
    wrong["data"]["amount"]["currency"] = "USD"
    world.send(events.invoice(), events.payment(), wrong)
    world.settle()
    (held,) = world.parts.quarantine.newest("demo", 10)
    assert (held.state, held.code, held.event_id) == ("held", "currency_foreign", wrong["id"])
    assert world.names()[-1] == "ledger.drift_detected"


def test_a_fact_that_still_waits_when_the_day_ends_marks_the_debtor(world: Any, events: Any) -> None:
    world.tick("2031-03-01")
    world.send(events.payment(), events.allocation())
    world.settle()
    world.tick("2031-03-01", "2031-03-01T10:00:00+00:00")
    world.settle()
    assert world.names() == ["payment.received"]
    world.tick("2031-03-02")
    world.tick("2031-03-03")
    world.settle()
    assert world.names() == ["payment.received", "ledger.drift_detected"]
    world.send(events.invoice())
    world.settle()
    assert world.names()[2:] == ["invoice.issued", "allocation.applied", "ledger.drift_cleared"]


def test_an_older_revision_that_comes_last_changes_nothing(world: Any, events: Any) -> None:
    world.send(events.invoice(minor=10000, sourceversion="9"))
    world.send(events.invoice(minor=99999, sourceversion="8"))
    world.settle()
    assert world.names() == ["invoice.issued"]
    assert world.rows("select total_minor from invoice") == [{"total_minor": 10000}]


def test_an_id_with_other_content_and_a_version_with_other_content_are_put_aside(world: Any, events: Any) -> None:
    world.send(events.invoice(minor=10000, id="x", sourceversion="1"))
    world.settle()
    world.send(events.invoice(minor=20000, id="x", sourceversion="2"))
    world.send(events.invoice(minor=30000, id="y", sourceversion="1"))
    world.settle()
    assert {event.code for event in world.parts.quarantine.newest("demo", 10)} == {"id_reused", "version_reused"}
    assert world.names() == ["invoice.issued"]
    assert world.rows("select total_minor from invoice") == [{"total_minor": 10000}]


def test_rejected_events_stay_with_their_reason_and_do_not_stop_the_others(world: Any, events: Any) -> None:
    bad = events.invoice("I-2", minor=-1)
    receipt = world.send(events.invoice(), bad, events.payment())
    assert [isinstance(result, Rejection) for result in receipt.results] == [False, True, False]
    world.settle()
    assert world.names() == ["invoice.issued", "payment.received"]
    (put_aside,) = world.parts.quarantine.newest("demo", 10)
    assert (put_aside.state, put_aside.code, put_aside.event_id) == ("rejected", "money_invalid", bad["id"])


def test_malformed_json_is_put_aside_once_however_often_it_comes(world: Any) -> None:
    for _ in range(2):
        world.parts.ingress.deliver(b'[{"id": ', {"content-type": "application/cloudevents+json"}, world.principal)
    world.settle()
    (put_aside,) = world.parts.quarantine.newest("demo", 10)
    assert put_aside.code == "json_malformed"
    assert world.log.records("ingress-raw-dlq") == []


def test_two_tenants_with_the_same_ids_stay_apart(make_world: Callable[[], Any], events: Any) -> None:
    from dataclasses import replace

    world = make_world()
    other = make_world()
    other.principal = replace(world.principal, tenant="other")
    event = events.invoice()
    world.send(event)
    other.send({**event, "source": "/tenants/other/ledgers/erp"})
    world.settle()
    envelopes = [envelope for envelope, _ in world.emitted()]
    assert sorted(envelope.tenant for envelope in envelopes) == ["demo", "other"]
    assert len({envelope.id for envelope in envelopes}) == 2
    assert other.rows("select tenant, open_minor from invoice order by tenant") == [
        {"tenant": "demo", "open_minor": 24000},
        {"tenant": "other", "open_minor": 24000},
    ]


def test_a_tenant_sees_nothing_of_anothers_quarantine(world: Any, events: Any) -> None:
    world.send(events.invoice("I-2", minor=-1), events.allocation())
    world.settle()
    assert {event.state for event in world.parts.quarantine.newest("demo", 10)} == {"rejected", "held"}
    assert world.parts.quarantine.newest("other", 10) == []


def test_the_status_reaches_the_end_of_the_log_and_an_empty_outbox(world: Any, events: Any) -> None:
    world.tick("2031-03-01")
    world.send(events.invoice())
    world.settle()
    status = world.parts.service.status()
    ends = {tp.partition: end for tp, end in world.log.end_offsets(["ingress-raw"]).items() if end}
    assert status.positions == {"ingress-raw": ends}
    assert (status.outbox, status.work, status.clock) == (0, 0, "2031-03-01T00:00:00Z")
