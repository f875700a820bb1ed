"""The one event this service consumes, and the ones it writes, as their contracts say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import EVENTS, decode, encode
from ledger_sync.application.delivery import Framing, MappedFact
from ledger_sync.application.fact_rules import RULES
from ledger_sync.application.map_delivery import map_delivery
from ledger_sync.application.receive_delivery import delivery_from

from duly.ingress.v1 import events_pb2 as pb

NOT_FROM_SOURCES = {
    "ledger.drift_detected",
    "ledger.drift_cleared",
    "ledger.event_dismissed",
    "calendar.business_date_advanced",
}
AT = datetime(2031, 3, 1, 9, 30, tzinfo=UTC)


def test_every_ledger_event_a_source_may_send_has_a_rule() -> None:
    ledger = {event.name: event.message for event in EVENTS if event.topic == "ledger-events"}
    assert {name for name, message in ledger.items() if message not in RULES} == NOT_FROM_SOURCES


def test_every_field_a_rule_names_is_in_its_message() -> None:
    for message, rule in RULES.items():
        fields = set(message.DESCRIPTOR.fields_by_name)
        named = {rule.external_id, *rule.ids, *rule.dates, *rule.optional_dates, *rule.money, *rule.zero_money}
        assert named | {"debtor_id"} <= fields


@pytest.mark.parametrize("scheme, framing", [(1, Framing.BINARY), (2, Framing.STRUCTURED), (3, Framing.BATCH)])
def test_a_delivery_survives_the_log_byte_for_byte(scheme: int, framing: Framing, events: Any) -> None:
    body = json.dumps([events.invoice()]).encode()
    sent = pb.IngressReceived(connector="erp", delivery_id="d", headers={"ce-id": "1"}, body=body, scheme=scheme)  # type: ignore[arg-type]
    envelope = Envelope("x", "duly.ingress.received.v1", "/tenants/demo/ledgers/erp", "d", AT, "demo")
    read = decode("duly.ingress.received.v1", encode(sent))
    assert isinstance(read, pb.IngressReceived)
    delivery = delivery_from(read, Envelope.from_headers(envelope.to_headers()))
    assert delivery is not None
    assert (delivery.body, delivery.framing, delivery.tenant) == (body, framing, "demo")
    assert (delivery.key, delivery.received_at, dict(delivery.headers)) == ("x", AT, {"ce-id": "1"})


def test_a_framing_of_a_later_version_is_no_default() -> None:
    envelope = Envelope("x", "duly.ingress.received.v1", "s", "d", AT, "demo")
    assert delivery_from(pb.IngressReceived(), envelope) is None


def test_the_same_bytes_are_mapped_to_the_same_facts(events: Any) -> None:
    sent = pb.IngressReceived(body=json.dumps([events.invoice(), events.payment()]).encode(), scheme=3)  # type: ignore[arg-type]
    delivery = delivery_from(sent, Envelope("x", "t", "s", "d", AT, "demo"))
    assert delivery is not None
    once, again = map_delivery(delivery), map_delivery(delivery)
    assert once == again
    assert all(isinstance(result, MappedFact) for result in once)
